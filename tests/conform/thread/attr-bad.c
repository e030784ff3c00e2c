/* Attributes out of range are EINVAL; a stack larger than the address space is EAGAIN, and later
 * creates still work. */
#include "../t.h"

static void *body(void *arg)
{
    return arg;
}

int main(void)
{
    pthread_attr_t attr;
    pthread_t thread;
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_EQ(pthread_attr_setstacksize(&attr, 1024), EINVAL);
    CHECK_EQ(pthread_attr_setdetachstate(&attr, 77), EINVAL);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(pthread_attr_setstacksize(&attr, (size_t)1 << 50));
        CHECK_EQ(pthread_create(&thread, &attr, body, NULL), EAGAIN);
        CHECK(t_join(t_go(body, &attr)) == &attr);
    }
    return 0;
}

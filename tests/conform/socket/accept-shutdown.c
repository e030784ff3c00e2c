/* shutdown of a listener wakes those in accept with EINVAL. */
#include "../t.h"

static int listener;

static void *accepts(void *arg)
{
    CHECK_ERR(accept(listener, NULL, NULL), EINVAL);
    return arg;
}

int main(void)
{
    struct sockaddr_in address;
    pthread_t threads[4];
    listener = t_listen(&address, 5);
    for (int i = 0; i < 4; i++)
        threads[i] = t_go(accepts, NULL);
    t_settle();
    CHECK_OK(shutdown(listener, SHUT_RD));
    for (int i = 0; i < 4; i++)
        t_join(threads[i]);
    return 0;
}

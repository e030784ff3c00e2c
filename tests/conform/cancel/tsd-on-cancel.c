/* A cancelled thread runs cleanup handlers, then destructors of thread-specific data, then is
 * joined. */
#include "../t.h"

static pthread_key_t key;
static int ends[2], order[2];
static _Atomic int step;

static void destroy(void *arg)
{
    (void)arg;
    order[1] = ++step;
}

static void cleanup(void *arg)
{
    (void)arg;
    order[0] = ++step;
}

static void *body(void *arg)
{
    char byte;
    CHECK_OK(pthread_setspecific(key, &key));
    pthread_cleanup_push(cleanup, NULL);
    CHECK(read(ends[0], &byte, 1) == 12345);
    pthread_cleanup_pop(0);
    return arg;
}

int main(void)
{
    t_pair(ends);
    CHECK_OK(pthread_key_create(&key, destroy));
    for (int i = 0; i < 20; i++) {
        step = 0;
        pthread_t thread = t_go(body, NULL);
        t_settle();
        CHECK_OK(pthread_cancel(thread));
        CHECK(t_join(thread) == PTHREAD_CANCELED);
        CHECK_EQ(order[0], 1);
        CHECK_EQ(order[1], 2);
    }
    return 0;
}

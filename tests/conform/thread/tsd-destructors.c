/* Thread-specific destructors run at exit with the value, again while values return, at most
 * PTHREAD_DESTRUCTOR_ITERATIONS times. */
#include "../t.h"

static pthread_key_t once_key, again_key, unset_key;
static _Atomic int once_runs, again_runs, unset_runs;

static void once(void *value)
{
    CHECK_EQ((intptr_t)value, 42);
    CHECK(pthread_getspecific(once_key) == NULL);
    once_runs++;
}

static void again(void *value)
{
    again_runs++;
    sched_yield();
    CHECK_OK(pthread_setspecific(again_key, value));
}

static void unset(void *value)
{
    (void)value;
    unset_runs++;
}

static void *body(void *arg)
{
    CHECK(pthread_getspecific(once_key) == NULL);
    CHECK_OK(pthread_setspecific(once_key, (void *)42));
    CHECK_OK(pthread_setspecific(again_key, arg));
    return NULL;
}

int main(void)
{
    CHECK_OK(pthread_key_create(&once_key, once));
    CHECK_OK(pthread_key_create(&again_key, again));
    CHECK_OK(pthread_key_create(&unset_key, unset));
    for (int i = 1; i <= 20; i++) {
        t_join(t_go(body, &once_key));
        CHECK_EQ(once_runs, i);
        CHECK_EQ(again_runs, i * PTHREAD_DESTRUCTOR_ITERATIONS);
    }
    CHECK_EQ(unset_runs, 0);
    return 0;
}

/* The C11 names: thrd_create, mtx, cnd, tss, call_once, thrd_sleep. */
#include "../t.h"
#include <threads.h>

static mtx_t lock;
static cnd_t cond;
static tss_t key;
static once_flag flag = ONCE_FLAG_INIT;
static int turn, destroyed, onces;

static void destroy(void *value)
{
    (void)value;
    destroyed++;
}

static void once(void)
{
    onces++;
}

static int body(void *arg)
{
    call_once(&flag, once);
    CHECK_EQ(tss_set(key, arg), thrd_success);
    CHECK_EQ(mtx_lock(&lock), thrd_success);
    while (turn != *(int *)arg)
        CHECK_EQ(cnd_wait(&cond, &lock), thrd_success);
    turn++;
    cnd_broadcast(&cond);
    mtx_unlock(&lock);
    struct timespec tick = {0, 1000};
    CHECK_EQ(thrd_sleep(&tick, NULL), 0);
    thrd_exit(*(int *)arg * 3);
}

int main(void)
{
    thrd_t threads[10];
    int ids[10], value;
    CHECK_EQ(mtx_init(&lock, mtx_plain), thrd_success);
    CHECK_EQ(cnd_init(&cond), thrd_success);
    CHECK_EQ(tss_create(&key, destroy), thrd_success);
    for (int i = 9; i >= 0; i--) {
        ids[i] = i;
        CHECK_EQ(thrd_create(&threads[i], body, &ids[i]), thrd_success);
    }
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(thrd_join(threads[i], &value), thrd_success);
        CHECK_EQ(value, i * 3);
    }
    CHECK_EQ(turn, 10);
    CHECK_EQ(destroyed, 10);
    CHECK_EQ(onces, 1);
    struct timespec past = {1, 0};
    mtx_lock(&lock);
    CHECK_EQ(cnd_timedwait(&cond, &lock, &past), thrd_timedout);
    mtx_unlock(&lock);
    return 0;
}

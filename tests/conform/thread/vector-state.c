/* x87, SSE and AVX registers and the rounding modes survive every kind of switch. */
#include "../t.h"
#include <fenv.h>

#define COUNT 8
static sem_t sems[COUNT];
static const int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};

/* switch_away: hand the turn round the ring of threads, or do nothing when alone. */
static void switch_away(int id, int alone)
{
    if (alone)
        return;
    CHECK_OK(sem_post(&sems[(id + 1) % COUNT]));
    CHECK_OK(sem_wait(&sems[id]));
    sched_yield();
}

/* Every register class holds a running value of the thread's own while it switches. */
static double series(int id, int alone)
{
    CHECK_OK(fesetround(modes[id % 4]));
    double sum = id;
    long double deep = id;
    float lanes[8];
    for (int k = 0; k < 8; k++)
        lanes[k] = (float)(id + k);
    for (int i = 1; i <= 2000; i++) {
        sum += 1.0 / (3.0 * i + id);
        deep = deep * 1.0000001L + 1.0L / i;
        for (int k = 0; k < 8; k++)
            lanes[k] = lanes[k] * 1.001f + 0.5f;
        if (i % 16 == 0)
            switch_away(id, alone);
    }
    CHECK_EQ(fegetround(), modes[id % 4]);
    return sum + (double)deep + (double)lanes[0] + (double)lanes[7];
}

static double got[COUNT];

static void *body(void *arg)
{
    int id = (int)(intptr_t)arg;
    got[id] = series(id, 0);
    return NULL;
}

int main(void)
{
    pthread_t threads[COUNT];
    for (int i = 0; i < COUNT; i++)
        CHECK_OK(sem_init(&sems[i], 0, 0));
    for (intptr_t i = 0; i < COUNT; i++)
        threads[i] = t_go(body, (void *)i);
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    for (int i = 0; i < COUNT; i++) {
        double want = series(i, 1);
        CHECK_OK(memcmp(&got[i], &want, sizeof want));
    }
    return 0;
}

/* A token runs round a ring of threads joined by pipes. */
#include "../t.h"

#define COUNT  50
#define ROUNDS 100
static int tubes[COUNT][2];

static void *body(void *arg)
{
    int id = (int)(intptr_t)arg, token;
    for (int i = 0; i < ROUNDS; i++) {
        t_read_all(tubes[id][0], &token, sizeof token);
        token++;
        t_write_all(tubes[(id + 1) % COUNT][1], &token, sizeof token);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[COUNT];
    int token = 0;
    for (int i = 0; i < COUNT; i++)
        CHECK_OK(pipe(tubes[i]));
    for (intptr_t i = 0; i < COUNT; i++)
        threads[i] = t_go(body, (void *)i);
    t_write_all(tubes[0][1], &token, sizeof token);
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    t_read_all(tubes[0][0], &token, sizeof token);
    CHECK_EQ(token, COUNT * ROUNDS);
    return 0;
}

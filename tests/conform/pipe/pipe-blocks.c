/* Pipes: readers wait, writers wait when it is full, small writes are atomic, the end is seen,
 * O_NONBLOCK on one end only. */
#include "../t.h"

#define WRITERS 8
#define RECORDS 300
static int tube[2];

struct record {
    uint32_t who, number;
    unsigned char pad[192];
};

static void *writes(void *arg)
{
    struct record r = {.who = (uint32_t)(intptr_t)arg};
    memset(r.pad, (int)r.who + 1, sizeof r.pad);
    for (r.number = 0; r.number < RECORDS; r.number++)
        CHECK_EQ(write(tube[1], &r, sizeof r), sizeof r);
    return NULL;
}

int main(void)
{
    pthread_t threads[WRITERS];
    uint32_t next[WRITERS] = {0};
    CHECK_OK(pipe(tube));
    for (intptr_t i = 0; i < WRITERS; i++)
        threads[i] = t_go(writes, (void *)i);
    for (int i = 0; i < WRITERS * RECORDS; i++) {
        struct record r;
        t_read_all(tube[0], &r, sizeof r);
        CHECK(r.who < WRITERS);
        CHECK_EQ(r.number, next[r.who]++);
        CHECK_EQ(r.pad[0], r.who + 1);
        CHECK_EQ(r.pad[191], r.who + 1);
    }
    for (int i = 0; i < WRITERS; i++)
        t_join(threads[i]);
    CHECK_OK(close(tube[1]));
    char byte;
    CHECK_EQ(read(tube[0], &byte, 1), 0);
    return 0;
}

/* Closing one socket does not disturb readers waiting on others, however the numbers lie. */
#include "../t.h"

#define COUNT 20
static int pairs[COUNT][2];

static void *reads(void *arg)
{
    char byte;
    int id = (int)(intptr_t)arg;
    CHECK_EQ(read(pairs[id][0], &byte, 1), 1);
    CHECK_EQ(byte, (char)id);
    return NULL;
}

int main(void)
{
    pthread_t threads[COUNT];
    for (int i = 0; i < COUNT; i++)
        t_pair(pairs[i]);
    for (intptr_t i = 0; i < COUNT; i += 2)
        threads[i] = t_go(reads, (void *)i);
    t_settle();
    for (int i = 1; i < COUNT; i += 2) {
        CHECK_OK(close(pairs[i][0]));
        CHECK_OK(close(pairs[i][1]));
    }
    for (int i = 0; i < COUNT; i += 2) {
        char byte = (char)i;
        CHECK_EQ(write(pairs[i][1], &byte, 1), 1);
        t_join(threads[i]);
    }
    return 0;
}

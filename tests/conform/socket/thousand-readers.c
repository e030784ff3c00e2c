/* A thousand threads parked in read, each on its own socket, each woken by its own byte, in another
 * order, twice over. */
#include "../t.h"

#define COUNT 1000
static int pairs[COUNT][2];

static void *body(void *arg)
{
    int id = (int)(intptr_t)arg;
    for (int i = 0; i < 2; i++) {
        uint16_t value;
        CHECK_EQ(read(pairs[id][0], &value, 2), 2);
        CHECK_EQ(value, id);
        CHECK_EQ(write(pairs[id][0], &value, 2), 2);
    }
    return NULL;
}

int main(void)
{
    static pthread_t threads[COUNT];
    struct rlimit files;
    CHECK_OK(getrlimit(RLIMIT_NOFILE, &files));
    if (files.rlim_max < 2 * COUNT + 50)
        t_skip("too few descriptors allowed");
    files.rlim_cur = files.rlim_max;
    CHECK_OK(setrlimit(RLIMIT_NOFILE, &files));
    pthread_attr_t attr;
    CHECK_OK(pthread_attr_init(&attr));
    CHECK_OK(pthread_attr_setstacksize(&attr, 64 << 10));
    for (intptr_t i = 0; i < COUNT; i++) {
        t_pair(pairs[i]);
        CHECK_OK(pthread_create(&threads[i], &attr, body, (void *)i));
    }
    for (int round = 0; round < 2; round++)
        for (int k = 0; k < COUNT; k++) {
            uint16_t id = (uint16_t)(k * 7 % COUNT), answer;
            CHECK_EQ(write(pairs[id][1], &id, 2), 2);
            if (k % 50 == 0) {
                CHECK_EQ(read(pairs[id][1], &answer, 2), 2);
                CHECK_EQ(answer, id);
            }
        }
    for (int i = 0; i < COUNT; i++)
        t_join(threads[i]);
    return 0;
}

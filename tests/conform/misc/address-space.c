/* A process whose address space is limited makes threads as it would natively: what handoff cannot have is not missing to it. */
#include "../t.h"

static void *nothing(void *arg)
{
    return arg;
}

int main(void)
{
    pthread_t threads[4];
    struct rlimit limit = {100 << 20, 100 << 20};
    CHECK_OK(setrlimit(RLIMIT_AS, &limit));
    for (int i = 0; i < 4; i++)
        CHECK_OK(pthread_create(&threads[i], NULL, nothing, NULL));
    for (int i = 0; i < 4; i++)
        t_join(threads[i]);
    return 0;
}

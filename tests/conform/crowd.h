/* Threads that compute on CPUs that are short, beside others that wake each other all the time. */
enum { COMPUTE = 4, PAIRS = 8 };
static volatile int stop; /* who computes looks at it */

static void *bounces(void *arg)
{
    int *ends = arg;
    char byte;
    while (read(ends[0], &byte, 1) == 1)
        CHECK_EQ(write(ends[0], &byte, 1), 1);
    return NULL;
}

static void *serves(void *arg)
{
    int *ends = arg;
    char byte = 'x';
    while (!stop) {
        CHECK_EQ(write(ends[1], &byte, 1), 1);
        CHECK_EQ(read(ends[1], &byte, 1), 1);
    }
    shutdown(ends[1], SHUT_RDWR);
    return NULL;
}

/* For 0.4 s, with what `meanwhile` does in the midst of it (NULL: nothing): `first` is one of the threads that compute. */
static void crowd(void *(*first)(void *), void *(*computes)(void *), void (*meanwhile)(void))
{
    pthread_t threads[COMPUTE + 2 * PAIRS];
    int ends[PAIRS][2], n = 0;
    struct timespec t = {0, 200 * MSEC};
    stop = 0;
    for (int i = 0; i < COMPUTE; i++)
        threads[n++] = t_go(i == 0 ? first : computes, NULL);
    for (int i = 0; i < PAIRS; i++) {
        t_pair(ends[i]);
        threads[n++] = t_go(bounces, ends[i]);
        threads[n++] = t_go(serves, ends[i]);
    }
    nanosleep(&t, NULL);
    if (meanwhile)
        meanwhile();
    nanosleep(&t, NULL);
    stop = 1;
    for (int i = 0; i < n; i++)
        t_join(threads[i]);
    for (int i = 0; i < PAIRS; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
}

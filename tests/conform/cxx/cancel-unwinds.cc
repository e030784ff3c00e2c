// Cancellation and pthread_exit unwind C++ frames: destructors run, catch (...) that rethrows
// passes it on.
#include <atomic>
#include <thread>
#include "../t.h"

static int ends[2];
static std::atomic<int> destroyed(0), passed(0);

struct Guard {
    ~Guard()
    {
        destroyed++;
    }
};

static void *waits(void *arg)
{
    Guard guard;
    try {
        Guard inner;
        char byte;
        CHECK(read(ends[0], &byte, 1) == 12345);
    } catch (...) {
        passed++;
        throw;
    }
    return arg;
}

static void *exits(void *arg)
{
    Guard guard;
    pthread_exit(arg);
}

int main()
{
    t_pair(ends);
    for (int i = 1; i <= 20; i++) {
        pthread_t thread = t_go(waits, nullptr);
        if (i % 2)
            t_settle();
        CHECK_OK(pthread_cancel(thread));
        CHECK(t_join(thread) == PTHREAD_CANCELED);
        CHECK_EQ(passed.load(), i);
        CHECK_EQ(destroyed.load(), 2 * i);
    }
    CHECK(t_join(t_go(exits, ends)) == ends);
    CHECK_EQ(destroyed.load(), 41);
    return 0;
}

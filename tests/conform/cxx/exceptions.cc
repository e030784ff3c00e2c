// Exceptions thrown and caught in threads, across calls that block, thrown while others throw; an
// uncaught one aborts.
#include <stdexcept>
#include <string>
#include <atomic>
#include <thread>
#include <vector>
#include "../t.h"

static int ends[2];
static std::atomic<int> unwound(0);

struct Guard {
    ~Guard()
    {
        struct timespec tick = {0, 1000};
        nanosleep(&tick, nullptr); // a destructor that blocks during unwinding
        unwound++;
    }
};

static int depth(int n, int fd)
{
    Guard guard;
    if (n == 0) {
        char byte;
        if (read(fd, &byte, 1) == 1)
            throw std::runtime_error("deep");
        return 1;
    }
    return depth(n - 1, fd) + 1;
}

int main()
{
    t_pair(ends);
    std::vector<std::thread> threads;
    for (int i = 0; i < 10; i++)
        threads.emplace_back([] {
            for (int k = 0; k < 20; k++) {
                try {
                    depth(10, ends[0]);
                    CHECK(false);
                } catch (const std::runtime_error &e) {
                    CHECK(std::string(e.what()) == "deep");
                    try {
                        sched_yield();
                        throw 42;
                    } catch (int v) {
                        CHECK_EQ(v, 42);
                    }
                    CHECK(std::current_exception() != nullptr);
                }
                CHECK(std::current_exception() == nullptr);
            }
        });
    for (int i = 0; i < 200; i++)
        t_write_all(ends[1], "x", 1);
    for (auto &t : threads)
        t.join();
    CHECK_EQ(unwound.load(), 200 * 11);

    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        t_bound();
        close(2);
        std::thread([] { throw 1; }).join();
        _exit(0);
    }
    t_expect_signal(pid, SIGABRT);
    return 0;
}

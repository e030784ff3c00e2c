// std::thread, mutex, condition_variable, async, future, promise, call_once, thread_local,
// shared_mutex, sleep_for, timed waits.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <future>
#include <mutex>
#include <numeric>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
#include "../t.h"

static std::atomic<int> destroyed;
struct Counted {
    int value = 0;
    ~Counted()
    {
        destroyed += value;
    }
};
static thread_local Counted counted;

int main()
{
    std::mutex lock;
    std::condition_variable cond;
    std::deque<int> queue;
    long total = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++)
        threads.emplace_back([&] {
            counted.value = 1;
            for (;;) {
                std::unique_lock<std::mutex> hold(lock);
                cond.wait(hold, [&] { return !queue.empty(); });
                int item = queue.front();
                queue.pop_front();
                if (item < 0)
                    return;
                total += item;
            }
        });
    for (int i = 1; i <= 2000; i++) {
        std::lock_guard<std::mutex> hold(lock);
        queue.push_back(i);
        cond.notify_one();
    }
    for (int i = 0; i < 8; i++) {
        std::lock_guard<std::mutex> hold(lock);
        queue.push_back(-1);
        cond.notify_all();
    }
    for (auto &t : threads)
        t.join();
    CHECK_EQ(total, 2001000);
    CHECK_EQ(destroyed, 8);

    std::vector<std::future<int>> futures;
    for (int i = 0; i < 20; i++)
        futures.push_back(std::async(std::launch::async, [i] {
            std::this_thread::sleep_for(std::chrono::microseconds(100));
            if (i == 7)
                throw std::runtime_error("seven");
            return i * i;
        }));
    for (int i = 0; i < 20; i++) {
        try {
            CHECK_EQ(futures[static_cast<size_t>(i)].get(), i * i);
            CHECK(i != 7);
        } catch (const std::runtime_error &e) {
            CHECK(i == 7 && std::string(e.what()) == "seven");
        }
    }

    std::promise<std::string> promise;
    auto future = promise.get_future();
    CHECK(future.wait_for(std::chrono::milliseconds(5)) == std::future_status::timeout);
    std::thread setter([&] { promise.set_value("kept"); });
    CHECK(future.get() == "kept");
    setter.join();

    std::unique_lock<std::mutex> hold(lock);
    auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
    CHECK(cond.wait_until(hold, until, [] { return false; }) == false);
    CHECK(std::chrono::steady_clock::now() >= until);
    hold.unlock();

    std::shared_mutex shared;
    int a = 0, b = 0;
    std::vector<std::thread> more;
    for (int i = 0; i < 8; i++)
        more.emplace_back([&, i] {
            for (int k = 0; k < 200; k++) {
                if (i % 2) {
                    std::shared_lock<std::shared_mutex> reading(shared);
                    CHECK_EQ(a, b);
                } else {
                    std::unique_lock<std::shared_mutex> writing(shared);
                    a++;
                    std::this_thread::yield();
                    b++;
                }
            }
        });
    for (auto &t : more)
        t.join();
    CHECK_EQ(a, 800);
    return 0;
}

// An exception thrown by a callback through C library frames (qsort, bsearch, pthread_once) and
// through waiting ones reaches its handler.
#include <stdexcept>
#include <thread>
#include <vector>
#include "../t.h"

static int ends[2];

static int compare(const void *a, const void *b)
{
    char byte;
    int x = *static_cast<const int *>(a), y = *static_cast<const int *>(b);
    if (x == 5 || y == 5) {
        CHECK_EQ(read(ends[0], &byte, 1), 1);
        throw std::logic_error("five");
    }
    return x - y;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int tries;
static void init()
{
    char byte;
    CHECK_EQ(read(ends[0], &byte, 1), 1);
    if (++tries < 3)
        throw std::logic_error("not yet");
}

int main()
{
    t_pair(ends);
    for (int i = 0; i < 23; i++)
        t_write_all(ends[1], "x", 1);
    std::vector<std::thread> threads;
    for (int i = 0; i < 10; i++)
        threads.emplace_back([] {
            for (int k = 0; k < 2; k++) {
                int numbers[] = {9, 5, 2, 7, 1};
                bool caught = false;
                try {
                    qsort(numbers, 5, sizeof(int), compare);
                } catch (const std::logic_error &) {
                    caught = true;
                }
                CHECK(caught);
            }
        });
    for (auto &t : threads)
        t.join();
    std::thread([] {
        for (int k = 0; k < 3; k++)
            try {
                pthread_once(&once, init);
            } catch (const std::logic_error &) {
            }
    }).join();
    CHECK_EQ(tries, 3);
    return 0;
}

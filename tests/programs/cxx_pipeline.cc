// A pipeline of std::threads joined by bounded queues (mutex and condition_variable), with futures,
// a timed wait and exceptions: counts the words of generated text and prints the sums.
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

template <class T> class Queue
{
  public:
    void push(T item)
    {
        std::unique_lock<std::mutex> hold(lock_);
        room_.wait(hold, [this] { return items_.size() < 32; });
        items_.push_back(std::move(item));
        ready_.notify_one();
    }
    std::optional<T> pop()
    {
        std::unique_lock<std::mutex> hold(lock_);
        while (!ready_.wait_for(hold, std::chrono::milliseconds(50),
                                [this] { return closed_ || !items_.empty(); }))
            ;
        if (items_.empty())
            return std::nullopt;
        T item = std::move(items_.front());
        items_.pop_front();
        room_.notify_one();
        return item;
    }
    void close()
    {
        std::lock_guard<std::mutex> hold(lock_);
        closed_ = true;
        ready_.notify_all();
    }

  private:
    std::mutex lock_;
    std::condition_variable ready_, room_;
    std::deque<T> items_;
    bool closed_ = false;
};

using Counts = std::map<std::string, uint64_t>;

static std::string text(uint32_t seed)
{
    std::string out;
    for (int i = 0; i < 400; i++) {
        seed = seed * 1664525u + 1013904223u;
        out += "word" + std::to_string((seed >> 16) % 97) + ' ';
    }
    return out;
}

int main()
{
    Queue<std::string> texts, words;
    std::vector<std::thread> writers, splitters;
    for (uint32_t w = 0; w < 16; w++)
        writers.emplace_back([&, w] {
            for (uint32_t i = 0; i < 50; i++)
                texts.push(text(w * 1000 + i));
        });
    for (int s = 0; s < 8; s++)
        splitters.emplace_back([&] {
            while (auto line = texts.pop()) {
                size_t at = 0, space;
                while ((space = line->find(' ', at)) != std::string::npos) {
                    words.push(line->substr(at, space - at));
                    at = space + 1;
                }
            }
        });
    std::vector<std::future<Counts>> counters;
    for (int c = 0; c < 8; c++)
        counters.push_back(std::async(std::launch::async, [&]() -> Counts {
            Counts counts;
            while (auto word = words.pop()) {
                counts[*word]++;
                try {
                    if (counts[*word] % 100 == 0)
                        throw std::runtime_error(*word);
                } catch (const std::runtime_error &e) {
                    if (e.what() != *word)
                        std::abort();
                }
            }
            return counts;
        }));
    for (auto &t : writers)
        t.join();
    texts.close();
    for (auto &t : splitters)
        t.join();
    words.close();
    Counts all;
    for (auto &f : counters)
        for (auto &[word, n] : f.get())
            all[word] += n;
    uint64_t total = 0;
    for (auto &[word, n] : all) {
        std::printf("%s %llu\n", word.c_str(), static_cast<unsigned long long>(n));
        total += n;
    }
    std::printf("total %llu\n", static_cast<unsigned long long>(total));
    return total == 16 * 50 * 400 ? 0 : 1;
}

// C++: exceptions in flight across the freeze, others thrown on and on in threads, and what the
// language runs at the end of scopes and threads.
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<int> destroyed{0}, wrong{0};
std::atomic<bool> stop{false};
std::mutex mutex;
std::condition_variable arrived;
int inside = 0;
bool gone = false;

void complain(const std::string &what) {
    wrong++;
    std::cout << "wrong: " << what << std::endl;
}

struct Witness {
    ~Witness() {
        destroyed++;
    }
};
thread_local Witness witness_of_thread;

struct Trouble : std::runtime_error {
    Trouble(int depth, std::string text) : std::runtime_error(std::move(text)), depth(depth) {}
    int depth;
};

void dig(int depth) {
    Witness witness;
    std::string text(static_cast<std::size_t>(depth % 40), 'x');
    if (depth == 0)
        throw Trouble(0, text);
    try {
        dig(depth - 1);
    } catch (const Trouble &trouble) {
        throw Trouble(trouble.depth + 1, trouble.what() + std::string("!"));
    }
}

// Caught, but neither handled nor rethrown when the process is frozen.
void hold(int depth) {
    (void)&witness_of_thread;
    try {
        try {
            dig(depth);
        } catch (const Trouble &) {
            std::unique_lock<std::mutex> lock(mutex);
            inside++;
            arrived.notify_all();
            arrived.wait(lock, [] { return gone; });
            lock.unlock();
            throw;
        }
    } catch (const Trouble &trouble) {
        if (trouble.depth != depth ||
            std::strlen(trouble.what()) != static_cast<std::size_t>(depth))
            complain("the exception held has depth " + std::to_string(trouble.depth));
        return;
    }
    complain("the exception held got lost");
}

std::uint64_t throw_on() {
    std::uint64_t count = 0;
    std::map<std::string, std::unique_ptr<int>> kept;
    while (!stop) {
        try {
            dig(5);
        } catch (const std::exception &error) {
            if (std::strcmp(error.what(), "!!!!!") != 0)
                complain(std::string("thrown: ") + error.what());
            count++;
        }
        kept[std::to_string(count % 100)] = std::make_unique<int>(static_cast<int>(count));
    }
    return count;
}

} // namespace

int main() {
    std::vector<std::thread> holders;
    for (int depth = 1; depth <= 4; depth++)
        holders.emplace_back(hold, depth * 3);
    auto first = std::async(std::launch::async, throw_on);
    auto second = std::async(std::launch::async, throw_on);
    {
        std::unique_lock<std::mutex> lock(mutex);
        arrived.wait(lock, [] { return inside == 4; });
    }
    std::cout << "ready" << std::endl;
    std::string line;
    if (!std::getline(std::cin, line))
        complain("standard input ended");
    {
        std::lock_guard<std::mutex> lock(mutex);
        gone = true;
    }
    arrived.notify_all();
    int before = destroyed;
    for (auto &holder : holders)
        holder.join();
    while (destroyed < before + 1000)
        std::this_thread::yield();
    stop = true;
    if (first.get() == 0 || second.get() == 0)
        complain("nothing was thrown");
    if (wrong == 0)
        std::cout << "ok" << std::endl;
    return wrong == 0 ? 0 : 1;
}

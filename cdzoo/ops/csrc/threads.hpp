// Independent tasks over a few threads. Threads live for one call: starting one takes some 20 microseconds, and in return
// there is no pool to deadlock after fork() and nothing that spins beside PyTorch's own threads between calls.
#pragma once

#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace cdzoo {

template <class Task>
void parallel_for(std::int64_t tasks, std::int64_t threads, const Task& task) {
    std::atomic<std::int64_t> next{0};
    const auto work = [&] {
        for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) task(i);
    };
    std::vector<std::thread> helpers;
    const std::int64_t wanted = (threads < tasks ? threads : tasks) - 1;
    try {
        helpers.reserve(wanted > 0 ? std::size_t(wanted) : 0);
        for (std::int64_t i = 0; i < wanted; i++) helpers.emplace_back(work);
    } catch (const std::system_error&) {
        // The system refuses more threads: those that started, and this one, do all the work.
    }
    work();
    for (auto& helper : helpers) helper.join();
}

// Threads worth starting for this many recurrence steps (each some tens of picoseconds of arithmetic).
inline std::int64_t useful_threads(std::int64_t asked, std::int64_t steps) {
    const std::int64_t most = steps / 500000 + 1;
    return asked < 1 ? 1 : (asked < most ? asked : most);
}

}  // namespace cdzoo

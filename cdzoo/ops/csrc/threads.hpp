// Independent tasks over a few threads: the OpenMP team that PyTorch's own operators run on, where the caller passes its
// entry, else threads that live for one call. A team of our own would find the cores taken: PyTorch's threads spin for
// milliseconds after an operator, waiting for the next one.
#pragma once

#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace cdzoo {

// GOMP_parallel of libgomp, which other OpenMP libraries offer too: run a function on each thread of a team.
using Region = void (*)(void (*function)(void*), void* data, unsigned threads, unsigned flags);

struct Team {
    std::int64_t threads;
    Region region;  // null where there is no OpenMP
};

// Each worker begins in a range of its own, and helps in others when it is done: neighbouring tasks write neighbouring cache
// lines, which two cores would fetch from each other in pairs.
template <class Task>
void parallel_for(std::int64_t tasks, Team team, const Task& task) {
    struct Range {
        std::atomic<std::int64_t> next{0};
        std::int64_t end = 0;
        char apart[64];  // from the next worker's counter
    };
    const std::int64_t workers = team.threads < tasks ? team.threads : tasks;
    if (workers < 2) {
        for (std::int64_t i = 0; i < tasks; i++) task(i);
        return;
    }
    std::vector<Range> ranges{std::size_t(workers)};
    for (std::int64_t w = 0; w < workers; w++) {
        ranges[std::size_t(w)].next = w * tasks / workers;
        ranges[std::size_t(w)].end = (w + 1) * tasks / workers;
    }
    std::atomic<std::int64_t> arrived{0};
    auto work = [&] {
        const std::int64_t own = arrived.fetch_add(1, std::memory_order_relaxed);
        for (std::int64_t w = 0; w < workers; w++) {
            Range& range = ranges[std::size_t((own + w) % workers)];
            for (std::int64_t i; (i = range.next.fetch_add(1, std::memory_order_relaxed)) < range.end;) task(i);
        }
    };
    if (team.region) {
        using Work = decltype(work);
        team.region([](void* data) { (*static_cast<Work*>(data))(); }, &work, unsigned(workers), 0);
        return;
    }
    std::vector<std::thread> helpers;
    try {
        helpers.reserve(std::size_t(workers - 1));
        for (std::int64_t i = 1; i < workers; i++) helpers.emplace_back(work);
    } catch (const std::system_error&) {
        // The system refuses more threads: those that started, and this one, do all the work.
    }
    work();
    for (auto& helper : helpers) helper.join();
}

// Threads worth starting for this many recurrence steps (each some tens of picoseconds of arithmetic).
inline Team useful(Team asked, std::int64_t steps) {
    const std::int64_t most = steps / 500000 + 1;
    return {asked.threads < 1 ? 1 : (asked.threads < most ? asked.threads : most), asked.region};
}

}  // namespace cdzoo

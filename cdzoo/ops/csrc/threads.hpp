// Run independent tasks on several threads: those of the OpenMP library of PyTorch if the caller passes its entry point,
// otherwise threads that exist for one call. A persistent pool of our own would compete with the threads of PyTorch, which spin
// for milliseconds after each operator.
#pragma once

#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace cdzoo {

// GOMP_parallel of libgomp, which other OpenMP libraries also provide: run a function on each thread of a team.
using Region = void (*)(void (*function)(void*), void* data, unsigned threads, unsigned flags);

struct Team {
    std::int64_t threads;
    Region region;  // null without OpenMP
};

// Each worker starts with its own range of tasks and takes tasks of other ranges when it is done. Neighboring tasks write to
// adjacent cache lines, so they should run on the same core.
template <class Task>
void parallel_for(std::int64_t tasks, Team team, const Task& task) {
    struct Range {
        std::atomic<std::int64_t> next{0};
        std::int64_t end = 0;
        char padding[64];  // the next counter is in another cache line
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
        // No more threads can be started; those that exist do all the work.
    }
    work();
    for (auto& helper : helpers) helper.join();
}

// Limit the number of threads for a small number of recurrence steps, each of which takes tens of picoseconds.
inline Team useful(Team asked, std::int64_t steps) {
    const std::int64_t most = steps / 500000 + 1;
    return {asked.threads < 1 ? 1 : (asked.threads < most ? asked.threads : most), asked.region};
}

}  // namespace cdzoo

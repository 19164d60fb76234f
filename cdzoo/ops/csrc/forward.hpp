// Forward scan. A task is one block of channels of one image. It processes the K directions one after the other, so the sum
// over directions is computed by one thread in a fixed order, and its slices of x and y stay in the cache.
#pragma once

#include <cstdlib>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "ahead.hpp"
#include "problem.hpp"

namespace cdzoo {

constexpr float LOG2E = 1.4426950408889634f;

template <int STEPS>
struct Chunk {  // data of several steps of one block, gathered in scan order
    alignas(64) float dt[STEPS][BLOCK];
    alignas(64) float du[STEPS][BLOCK];
    alignas(64) float y[STEPS][BLOCK];
    std::int64_t pos[STEPS];
    const float* B[STEPS];
    const float* C[STEPS];
    alignas(64) float longest[BLOCK];  // maximum |dt| of each channel, or NaN
    Ahead<3, 2, STEPS> ahead;
    int steps;

    // Whether no exponent of the chunk needs clamping or is NaN; `steepest` is the maximum of |A| log2(e) of each channel.
    bool bounded(const float* steepest) const {
        int within = 0;
        for (int l = 0; l < BLOCK; l++) within += longest[l] * steepest[l] <= -LEAST_EXPONENT;
        return within == BLOCK;
    }
};

// Scan GROUP states of one vector of channels over a chunk; h and A2 = A log2(e) are (N, BLOCK) with offsets applied.
template <int GROUP, bool BOUNDED, int STEPS>
CDZOO_INLINE void scan_group(Chunk<STEPS>& c, float* h, const float* A2, int n0, int lane) {
    vf state[GROUP], decay[GROUP];
    for (int j = 0; j < GROUP; j++) {
        state[j] = load(h + j * BLOCK);
        decay[j] = load(A2 + j * BLOCK);
    }
    for (int t = 0; t < c.steps; t++) {
        const vf dt = load(&c.dt[t][lane]), du = load(&c.du[t][lane]);
        const float *B = c.B[t] + n0, *C = c.C[t] + n0;
        vf y = load(&c.y[t][lane]);
        if (n0 + lane == 0) {
            c.ahead.fetch(t);
            c.ahead.fetch_projections(t);
        }
        for (int j = 0; j < GROUP; j++) {
            state[j] = exp2_product<BOUNDED>(dt, decay[j]) * state[j] + du * B[j];
            y += state[j] * C[j];
        }
        store(&c.y[t][lane], y);
    }
    for (int j = 0; j < GROUP; j++) store(h + j * BLOCK, state[j]);
}

// With 16 states at once, each step loads and stores its row once; values that do not fit in registers are memory operands.
constexpr int WIDE = CDZOO_LANES > 4 ? 16 : 4;

template <int STATE, bool BOUNDED, int STEPS>  // STATE 0: any number
void scan_chunk(Chunk<STEPS>& c, float* h, const float* A2, int state) {
    const int n = STATE ? STATE : state;
    for (int lane = 0; lane < BLOCK; lane += W) {
        int j = 0;
        for (; j + WIDE <= n; j += WIDE) scan_group<WIDE, BOUNDED>(c, h + j * BLOCK + lane, A2 + j * BLOCK + lane, j, lane);
        for (; j + 4 <= n; j += 4) scan_group<4, BOUNDED>(c, h + j * BLOCK + lane, A2 + j * BLOCK + lane, j, lane);
        for (; j < n; j++) scan_group<1, BOUNDED>(c, h + j * BLOCK + lane, A2 + j * BLOCK + lane, j, lane);
    }
}

// Gather dt, dt * x and the skip term of one chunk.
template <int STEPS>
void gather_forward(const Problem& p, Chunk<STEPS>& c, std::int64_t b, std::int64_t k, std::int64_t first, Lane lanes) {
    alignas(64) float bias[BLOCK] = {}, skip[BLOCK] = {};
    if (p.bias) load_block(bias, p.bias + k * p.channels + lanes.first, lanes.count);
    if (p.D) load_block(skip, p.D + k * p.channels + lanes.first, lanes.count);
    const std::int32_t* index = p.index + k * p.length + first;
    const float* xs = p.x + b * p.length * p.channels + lanes.first;
    const float* deltas = p.delta + (k * p.batch + b) * p.length * p.channels + lanes.first;
    const std::int64_t rest = p.length - first;
    c.steps = int(rest < STEPS ? rest : STEPS);
    vf longest[BLOCK / W] = {};
    for (int t = 0; t < c.steps; t++) {
        const std::int64_t pos = index[t];
        c.pos[t] = pos;
        c.B[t] = p.B + p.state_offset(b, pos, k);
        c.C[t] = p.C + p.state_offset(b, pos, k);
        for (int l = 0; l < BLOCK; l += W) {
            vf tail, dt = load_some(deltas + pos * p.channels + l, lanes.count - l) + load(bias + l);
            const vf u = load_some(xs + pos * p.channels + l, lanes.count - l);
            if (p.softplus) dt = softplus(dt, &tail);
            longest[l / W] = max_magnitude(longest[l / W], dt);
            store(&c.dt[t][l], dt);
            store(&c.du[t][l], dt * u);
            store(&c.y[t][l], load(skip + l) * u);
        }
    }
    for (int l = 0; l < BLOCK; l += W) store(c.longest + l, longest[l / W]);
}

// Write the rows of a chunk to their positions in a map, or add them (all directions but the first).
inline void scatter(float* map, std::int64_t stride, const std::int64_t* pos, const float (*rows)[BLOCK], int steps, int count,
                    bool add) {
    for (int t = 0; t < steps; t++) {
        float* to = map + pos[t] * stride;
        for (int l = 0; l < BLOCK; l += W) {
            vf row = load(&rows[t][l]);
            if (add) row += load_some(to + l, count - l);
            store_some(to + l, row, count - l);
        }
    }
}

// Load A of one block times log2(e), so that the decay is a power of two, and the maximum magnitude of each channel, or NaN.
inline void load_decay(float* to, float* steepest, const Problem& p, std::int64_t k, Lane lanes) {
    load_transposed(to, p.A + (k * p.channels + lanes.first) * p.state, lanes.count, int(p.state));
    for (int l = 0; l < BLOCK; l += W) {
        vf most{};
        for (float* row = to + l; row < to + p.state * BLOCK; row += BLOCK) {
            const vf rates = load(row) * LOG2E;
            most = max_magnitude(most, rates);
            store(row, rates);
        }
        store(steepest + l, most);
    }
}

template <int STATE>
void forward_direction(const Problem& p, std::int64_t b, std::int64_t k, Lane lanes, float* scratch, float* y, bool add,
                       float* states) {
    // With few states, most of the L1 cache is taken by gathered and prefetched rows, and those of a whole chunk would not fit.
    // With many states, the values of a step itself take most of it, and longer chunks have less overhead.
    constexpr int STEPS = STATE && STATE <= 4 ? 16 : CHUNK;
    Chunk<STEPS> c;
    const int n = int(p.state);
    const std::int64_t plane = b * p.length * p.channels;
    float *h = scratch, *A2 = scratch + n * BLOCK, *steepest = A2 + n * BLOCK;
    load_decay(A2, steepest, p, k, lanes);
    std::memset(h, 0, sizeof(float) * std::size_t(n) * BLOCK);
    for (std::int64_t first = 0; first < p.length; first += STEPS) {
        if (states && first % CHUNK == 0) {
            const std::int64_t row = ((k * p.batch + b) * p.chunks() + first / CHUNK) * p.channels + lanes.first;
            store_transposed(states + row * n, h, lanes.count, n);
        }
        gather_forward(p, c, b, k, first, lanes);
        const std::int64_t delta = k * p.batch * p.length * p.channels + plane;
        c.ahead.aim(p, b, k, first + STEPS, lanes, {p.x + plane, p.delta + delta, y + plane}, {p.B, p.C});
        if (c.bounded(steepest))
            scan_chunk<STATE, true>(c, h, A2, n);
        else
            scan_chunk<STATE, false>(c, h, A2, n);
        scatter(y + plane + lanes.first, p.channels, c.pos, c.y, c.steps, lanes.count, add);
    }
}

inline float* aligned(std::int64_t floats) {
    void* memory = nullptr;
    const std::size_t bytes = (std::size_t(floats) * sizeof(float) + 63) / 64 * 64;
#if defined(_WIN32)
    memory = _aligned_malloc(bytes ? bytes : 64, 64);
#else
    if (posix_memalign(&memory, 64, bytes ? bytes : 64)) memory = nullptr;
#endif
    return static_cast<float*>(memory);
}

inline void release(float* memory) {
#if defined(_WIN32)
    _aligned_free(memory);
#else
    std::free(memory);
#endif
}

// Request huge pages for new memory that is about to be written. Without them, a map of 10 MB causes thousands of page faults,
// which take as long as the arithmetic of a scan with few states. The system may ignore the request.
inline void expect_large(float* memory, std::int64_t floats) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    const std::uintptr_t page = std::uintptr_t(1) << 21;
    const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(memory) + page - 1) / page * page;
    const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(memory + floats) / page * page;
    if (memory && end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
    (void)memory, (void)floats;
#endif
}

// Sum maps of n floats in order, so that the result is the same as with one addition after the other.
inline void sum_maps(float* out, const float* maps, std::int64_t count, std::int64_t n, Team team) {
    const std::int64_t slice = 1 << 15;
    parallel_for((n + slice - 1) / slice, team, [&](std::int64_t s) {
        const std::int64_t end = (s + 1) * slice < n ? (s + 1) * slice : n;
        for (std::int64_t i = s * slice; i < end; i++) {
            float total = maps[i];
            for (std::int64_t m = 1; m < count; m++) total += maps[m * n + i];
            out[i] = total;
        }
    });
}

template <int STATE>
int forward(const Problem& p, float* y, float* states) {
    const std::int64_t map = p.batch * p.length * p.channels, blocks = p.batch * p.blocks();
    const Team team = useful(p.team, map * p.directions * (p.state + 2));
    // With more threads than blocks, each direction is a task with its own map; the maps are then added in the same order.
    const bool split = team.threads > blocks && p.directions > 1;
    const std::int64_t tasks = split ? blocks * p.directions : blocks;
    const std::int64_t each = (2 * p.state + 1) * BLOCK;
    float* scratch = aligned(tasks * each);
    float* maps = split ? aligned(map * p.directions) : y;
    const bool ready = scratch && maps;
    if (ready) {
        expect_large(maps, split ? map * p.directions : map);
        expect_large(states, states ? p.directions * p.batch * p.chunks() * p.channels * p.state : 0);
        parallel_for(tasks, team, [&](std::int64_t task) {
            const std::int64_t block = task % blocks, b = block / p.blocks();
            const Lane lanes(p, block % p.blocks());
            const std::int64_t k0 = split ? task / blocks : 0, k1 = split ? k0 + 1 : p.directions;
            for (std::int64_t k = k0; k < k1; k++)
                forward_direction<STATE>(p, b, k, lanes, scratch + task * each, maps + (split ? k * map : 0), !split && k > 0,
                                         states);
        });
        if (split) sum_maps(y, maps, p.directions, map, team);
    }
    release(scratch);
    if (split) release(maps);
    return ready ? 0 : 1;
}

}  // namespace cdzoo

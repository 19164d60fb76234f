// Description of a scan, shared by both passes. The fields must match those of `_Problem` in cdzoo/ops/scan_cpu.py.
#pragma once

#include <cstdint>

#include "simd.hpp"
#include "threads.hpp"

namespace cdzoo {

constexpr int CHUNK = 64;  // steps between saved states
constexpr int BLOCK = 16;  // channels per task: one cache line, for any vector width
constexpr int MAX_GROUP = 4;  // maximum number of blocks per backward task, which share the sums over channels
static_assert(BLOCK % W == 0, "a block consists of whole vectors");

struct Problem {
    std::int64_t batch, length, channels, directions, state;
    std::int64_t softplus;
    Team team;
    const float* x;             // (batch, length, channels)
    const float* delta;         // (directions, batch, length, channels)
    const float* A;             // (directions, channels, state)
    const float* B;             // (batch, length, directions, state)
    const float* C;             // (batch, length, directions, state)
    const float* D;             // (directions, channels) or null
    const float* bias;          // (directions, channels) or null
    const std::int32_t* index;  // (directions, length)

    std::int64_t chunks() const { return (length + CHUNK - 1) / CHUNK; }
    std::int64_t blocks() const { return (channels + BLOCK - 1) / BLOCK; }
    // Offset of the N values of B, C or their gradients for one position and direction.
    std::int64_t state_offset(std::int64_t b, std::int64_t pos, std::int64_t k) const {
        return ((b * length + pos) * directions + k) * state;
    }
};

// Channels of one block: a whole cache line, except for the last block of a map.
struct Lane {
    std::int64_t first;
    int count;
    Lane(const Problem& p, std::int64_t block)
        : first(block * BLOCK), count(int(p.channels - first < BLOCK ? p.channels - first : BLOCK)) {}
};

inline void load_block(float* to, const float* from, int count) {
    for (int l = 0; l < BLOCK; l += W) store(to + l, load_some(from + l, count - l));
}

inline void store_block(float* to, const float* from, int count) {
    for (int l = 0; l < BLOCK; l += W) store_some(to + l, load(from + l), count - l);
}

// (count, N) in memory <-> (N, BLOCK) as used by the kernels; lanes beyond count are zero.
inline void load_transposed(float* to, const float* from, int count, int n) {
    if (count == BLOCK && n % W == 0) {
        for (int i = 0; i < BLOCK; i += W)
            for (int j = 0; j < n; j += W) transpose(to + j * BLOCK + i, BLOCK, from + i * n + j, n);
        return;
    }
    for (int j = 0; j < n; j++)
        for (int i = 0; i < BLOCK; i++) to[j * BLOCK + i] = i < count ? from[i * n + j] : 0.0f;
}

inline void store_transposed(float* to, const float* from, int count, int n) {
    if (count == BLOCK && n % W == 0) {
        for (int i = 0; i < BLOCK; i += W)
            for (int j = 0; j < n; j += W) transpose(to + i * n + j, n, from + j * BLOCK + i, BLOCK);
        return;
    }
    for (int i = 0; i < count; i++)
        for (int j = 0; j < n; j++) to[i * n + j] = from[j * BLOCK + i];
}

}  // namespace cdzoo

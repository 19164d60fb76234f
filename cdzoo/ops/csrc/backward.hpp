// Backward scan. States are recomputed chunk by chunk from the saved ones, last chunk first, so a task holds the states of one
// chunk only. The gradients of B and C are sums over channels: a task accumulates vectors over its blocks, sums their lanes once
// per chunk, and writes a partial map; partial maps are then added in a fixed order.
#pragma once

#include "forward.hpp"

namespace cdzoo {

// Number of states processed together. Their values of one step are stored in one record, because with two arrays about 4096
// bytes apart, each load would wait for a store to the other array (4K aliasing).
constexpr int QUAD = 4;
constexpr std::int64_t groups_of(std::int64_t n) { return n / QUAD + n % QUAD; }

struct Adjoint {
    Chunk<CHUNK> c;  // y and ahead are not used
    Ahead<5, 4, CHUNK> ahead;
    alignas(64) float gy[CHUNK][BLOCK];
    alignas(64) float x[CHUNK][BLOCK];
    alignas(64) float slope[CHUNK][BLOCK];  // derivative of softplus
    alignas(64) float g_du[CHUNK][BLOCK];
    alignas(64) float g_dt[CHUNK][BLOCK];  // through the decay, divided by ln(2)
    alignas(64) float kept[CHUNK * 2 * QUAD * W];  // for each step: decays of a group, then its states before the step
};

// Scan GROUP states of one vector of channels: forward from h, then in reverse from carry = d loss / d (state after the chunk).
template <int GROUP, bool BOUNDED>
CDZOO_INLINE void adjoint_group(Adjoint& s, const float* h, const float* A2, float* carry, float* gA, float* gBC, int n0,
                                int lane, int late) {
    vf state[GROUP], A[GROUP], back[GROUP], sum[GROUP];
    for (int j = 0; j < GROUP; j++) {
        state[j] = load(h + j * BLOCK);
        A[j] = load(A2 + j * BLOCK);
    }
    for (int t = 0; t < s.c.steps; t++) {
        const vf dt = load(&s.c.dt[t][lane]), du = load(&s.c.du[t][lane]);
        const float* B = s.c.B[t] + n0;
        float* kept = s.kept + t * 2 * GROUP * W;
        if (n0 + lane == 0) s.ahead.fetch(t);
        if (n0 + lane == late) s.ahead.fetch_projections(t);
        for (int j = 0; j < GROUP; j++) {
            const vf a = exp2_product<BOUNDED>(dt, A[j]);
            store(kept + j * W, a);
            store(kept + (GROUP + j) * W, state[j]);
            state[j] = a * state[j] + du * B[j];
        }
    }
    for (int j = 0; j < GROUP; j++) {
        back[j] = load(carry + j * BLOCK);
        sum[j] = vf{};
    }
    for (int t = s.c.steps - 1; t >= 0; t--) {
        const vf dt = load(&s.c.dt[t][lane]), du = load(&s.c.du[t][lane]), gy = load(&s.gy[t][lane]);
        const float *B = s.c.B[t] + n0, *C = s.c.C[t] + n0;
        const float* kept = s.kept + t * 2 * GROUP * W;
        float* sums = gBC + t * 2 * W;
        vf gB[GROUP], gC[GROUP];
        vf g_du = load(&s.g_du[t][lane]), g_dt = load(&s.g_dt[t][lane]);
        for (int j = 0; j < GROUP; j++) {
            gC[j] = gy * state[j];
            const vf total = back[j] + gy * C[j];
            gB[j] = du * total;
            g_du += total * B[j];
            back[j] = total * load(kept + j * W);
            state[j] = load(kept + (GROUP + j) * W);
            const vf through = back[j] * state[j];
            sum[j] += through * dt;
            g_dt += through * A[j];
        }
        store(&s.g_du[t][lane], g_du);
        store(&s.g_dt[t][lane], g_dt);
        if constexpr (GROUP == QUAD) {
            store(sums, load(sums) + fold_quad(gB));
            store(sums + W, load(sums + W) + fold_quad(gC));
        } else {
            store(sums, load(sums) + gB[0]);
            store(sums + W, load(sums + W) + gC[0]);
        }
    }
    for (int j = 0; j < GROUP; j++) {
        store(carry + j * BLOCK, back[j]);
        store(gA + j * BLOCK, load(gA + j * BLOCK) + sum[j]);
    }
}

template <int STATE, bool BOUNDED>
void adjoint_chunk(Adjoint& s, const float* h, const float* A2, float* carry, float* gA, float* gBC, int state) {
    const int n = STATE ? STATE : state, late = n >= 2 * QUAD ? QUAD : 0;  // the group of states that prefetches B and C
    for (int lane = 0; lane < BLOCK; lane += W) {
        int j = 0, group = 0;
        for (; j + QUAD <= n; j += QUAD) {
            const int at = j * BLOCK + lane;
            adjoint_group<QUAD, BOUNDED>(s, h + at, A2 + at, carry + at, gA + at, gBC + group++ * 2 * CHUNK * W, j, lane, late);
        }
        for (; j < n; j++) {
            const int at = j * BLOCK + lane;
            adjoint_group<1, BOUNDED>(s, h + at, A2 + at, carry + at, gA + at, gBC + group++ * 2 * CHUNK * W, j, lane, late);
        }
    }
}

inline void gather_backward(const Problem& p, Adjoint& s, const float* grad_y, std::int64_t b, std::int64_t k, std::int64_t first,
                            Lane lanes) {
    alignas(64) float bias[BLOCK] = {};
    if (p.bias) load_block(bias, p.bias + k * p.channels + lanes.first, lanes.count);
    const std::int32_t* index = p.index + k * p.length + first;
    const float* xs = p.x + b * p.length * p.channels + lanes.first;
    const float* grads = grad_y + b * p.length * p.channels + lanes.first;
    const float* deltas = p.delta + (k * p.batch + b) * p.length * p.channels + lanes.first;
    const int rest = int(p.length - first);
    s.c.steps = rest < CHUNK ? rest : CHUNK;
    vf longest[BLOCK / W] = {};
    for (int t = 0; t < s.c.steps; t++) {
        const std::int64_t pos = index[t];
        s.c.pos[t] = pos;
        s.c.B[t] = p.B + p.state_offset(b, pos, k);
        s.c.C[t] = p.C + p.state_offset(b, pos, k);
        load_block(s.x[t], xs + pos * p.channels, lanes.count);
        load_block(s.gy[t], grads + pos * p.channels, lanes.count);
        for (int l = 0; l < BLOCK; l += W) {
            const vf v = load_some(deltas + pos * p.channels + l, lanes.count - l) + load(bias + l);
            vf tail, dt = v, slope = splat(1.0f);
            if (p.softplus) {
                dt = softplus(v, &tail);
                slope = sigmoid_from_tail(v, tail);
            }
            longest[l / W] = max_magnitude(longest[l / W], dt);
            store(&s.c.dt[t][l], dt);
            store(&s.slope[t][l], slope);
            store(&s.c.du[t][l], dt * load(&s.x[t][l]));
            store(&s.g_du[t][l], vf{});
            store(&s.g_dt[t][l], vf{});
        }
    }
    for (int l = 0; l < BLOCK; l += W) store(s.c.longest + l, longest[l / W]);
}

struct Gradients {
    float *x, *delta, *A, *B, *C, *D, *bias;
};

// Replace g_du by dx and g_dt by ddelta, and accumulate the gradients of bias and skip.
inline void finish_chunk(Adjoint& s, const float* skip, float* g_skip, float* g_bias) {
    for (int l = 0; l < BLOCK; l += W) {
        const vf d = load(skip + l);
        vf sum_skip = load(g_skip + l), sum_bias = load(g_bias + l);
        for (int t = 0; t < s.c.steps; t++) {
            const vf gy = load(&s.gy[t][l]), x = load(&s.x[t][l]), g_du = load(&s.g_du[t][l]);
            const vf g_raw = (load(&s.g_dt[t][l]) * 0.6931471805599453f + g_du * x) * load(&s.slope[t][l]);
            store(&s.g_du[t][l], g_du * load(&s.c.dt[t][l]) + gy * d);
            store(&s.g_dt[t][l], g_raw);
            sum_skip += gy * x;
            sum_bias += g_raw;
        }
        store(g_skip + l, sum_skip);
        store(g_bias + l, sum_bias);
    }
}

// Complete the sums over lanes and write them to the gradients of B and C, a row of N values per position.
inline void write_sums(const Problem& p, const Chunk<CHUNK>& c, int n, const float* sums, float* mapB, float* mapC) {
    typedef float quad __attribute__((vector_size(16)));
    constexpr int record = 2 * W, plane = record * CHUNK;
    const int quads = n / QUAD;
    for (int t = 0; t < c.steps; t++) {
        const std::int64_t at = c.B[t] - p.B;
        for (int g = 0; g < quads; g++) {
            const float* from = sums + g * plane + t * record;
            quad totalB{}, totalC{}, part;
            for (int l = 0; l < W; l += QUAD) {
                std::memcpy(&part, from + l, sizeof part);
                totalB += part;
                std::memcpy(&part, from + W + l, sizeof part);
                totalC += part;
            }
            std::memcpy(mapB + at + g * QUAD, &totalB, sizeof totalB);
            std::memcpy(mapC + at + g * QUAD, &totalC, sizeof totalC);
        }
    }
    for (int j = quads * QUAD; j < n; j++) {
        const float* from = sums + (quads + j - quads * QUAD) * plane;
        for (int r = 0; r < 2 * c.steps; r += W) {  // records beyond a short last chunk are in the buffer but not written
            alignas(64) float totals[W];
            store(totals, lane_sums(from + r * W));
            for (int q = 0; q < W && r + q < 2 * c.steps; q += 2) {
                const std::int64_t at = c.B[(r + q) / 2] - p.B + j;
                mapB[at] = totals[q];
                mapC[at] = totals[q + 1];
            }
        }
    }
}

// Process one direction of one image for the blocks [block0, block1). Scratch memory per block: A2, carry, gA, h (N rows each),
// skip, the sums for skip and bias, and the maximum decays.
template <int STATE>
void backward_direction(const Problem& p, const float* grad_y, const float* states, std::int64_t b, std::int64_t k,
                        std::int64_t block0, std::int64_t block1, float* scratch, float* dx, bool add, Gradients out,
                        float* partB, float* partC) {
    Adjoint s;
    const int n = int(p.state), rows = n * BLOCK;
    float *gBC = scratch, *per_block = gBC + 2 * CHUNK * W * groups_of(n);
    const std::int64_t each = 4 * rows + 4 * BLOCK, plane = p.length * p.channels;
    for (std::int64_t block = block0; block < block1; block++) {
        float* own = per_block + (block - block0) * each;
        const Lane lanes(p, block);
        std::memset(own, 0, sizeof(float) * std::size_t(each));
        load_decay(own, own + 4 * rows + 3 * BLOCK, p, k, lanes);
        if (p.D) load_block(own + 4 * rows, p.D + k * p.channels + lanes.first, lanes.count);
    }
    for (std::int64_t i = p.chunks() - 1; i >= 0; i--) {
        std::memset(gBC, 0, sizeof(float) * 2 * CHUNK * W * groups_of(n));
        for (std::int64_t block = block0; block < block1; block++) {
            const Lane lanes(p, block);
            float* own = per_block + (block - block0) * each;
            float *A2 = own, *carry = own + rows, *gA = own + 2 * rows, *h = own + 3 * rows, *skip = own + 4 * rows;
            const std::int64_t row = ((k * p.batch + b) * p.chunks() + i) * p.channels + lanes.first;
            load_transposed(h, states + row * n, lanes.count, n);
            gather_backward(p, s, grad_y, b, k, i * CHUNK, lanes);
            const bool same = block + 1 < block1;  // next: another block of this chunk, or the first block of the previous chunk
            const std::int64_t here = b * plane, there = (k * p.batch + b) * plane;
            s.ahead.aim(p, b, k, (same ? i : i - 1) * CHUNK, Lane(p, same ? block + 1 : block0),
                        {p.x + here, grad_y + here, dx + here, p.delta + there, out.delta + there},
                        {p.B, p.C, partB, partC});
            if (s.c.bounded(skip + 3 * BLOCK))
                adjoint_chunk<STATE, true>(s, h, A2, carry, gA, gBC, n);
            else
                adjoint_chunk<STATE, false>(s, h, A2, carry, gA, gBC, n);
            finish_chunk(s, skip, skip + BLOCK, skip + 2 * BLOCK);
            scatter(dx + here + lanes.first, p.channels, s.c.pos, s.g_du, s.c.steps, lanes.count, add);
            scatter(out.delta + there + lanes.first, p.channels, s.c.pos, s.g_dt, s.c.steps, lanes.count, false);
        }
        write_sums(p, s.c, n, gBC, partB, partC);
    }
    for (std::int64_t block = block0; block < block1; block++) {  // per image; the caller adds the images
        const Lane lanes(p, block);
        float* own = per_block + (block - block0) * each;
        const std::int64_t row = (b * p.directions + k) * p.channels + lanes.first;
        store_transposed(out.A + row * n, own + 2 * rows, lanes.count, n);
        store_block(out.D + row, own + 4 * rows + BLOCK, lanes.count);
        store_block(out.bias + row, own + 4 * rows + 2 * BLOCK, lanes.count);
    }
}

template <int STATE>
int backward(const Problem& p, const float* grad_y, const float* states, Gradients out) {
    const std::int64_t map = p.batch * p.length * p.channels, blocks = p.blocks();
    const std::int64_t proj = p.batch * p.length * p.directions * p.state, weight = p.directions * p.channels;
    const Team team = useful(p.team, 2 * map * p.directions * (p.state + 2)), alone{1, nullptr};
    // The grouping depends only on the shape, so the order of all sums, and thus every bit, is independent of the thread count.
    const std::int64_t even = p.batch * blocks / 8, group = even < 1 ? 1 : (even > MAX_GROUP ? MAX_GROUP : even);
    const std::int64_t groups = (blocks + group - 1) / group, units = p.batch * groups;
    const bool split = team.threads > units && p.directions > 1;
    const std::int64_t tasks = split ? units * p.directions : units;
    const std::int64_t each = 2 * CHUNK * W * groups_of(p.state) + group * 4 * (p.state + 1) * BLOCK;
    float* scratch = aligned(tasks * each);
    float* maps = split ? aligned(map * p.directions) : out.x;
    float* parts = groups > 1 ? aligned(2 * groups * proj) : nullptr;
    float* sums = aligned(p.batch * weight * (p.state + 2));
    const bool ready = scratch && maps && sums && (groups == 1 || parts);
    if (ready) {
        expect_large(out.delta, map * p.directions);
        expect_large(out.x, map);
        expect_large(maps, split ? map * p.directions : 0);
        expect_large(parts, groups > 1 ? 2 * groups * proj : 0);
        float *partB = parts ? parts : out.B, *partC = parts ? parts + groups * proj : out.C;
        Gradients own = out;
        own.A = sums;
        own.D = sums + p.batch * weight * p.state;
        own.bias = own.D + p.batch * weight;
        parallel_for(tasks, team, [&](std::int64_t task) {
            const std::int64_t unit = task % units, b = unit / groups, g = unit % groups;
            const std::int64_t first = g * group, last = first + group < blocks ? first + group : blocks;
            const std::int64_t k0 = split ? task / units : 0, k1 = split ? k0 + 1 : p.directions;
            for (std::int64_t k = k0; k < k1; k++)
                backward_direction<STATE>(p, grad_y, states, b, k, first, last, scratch + task * each,
                                          maps + (split ? k * map : 0), !split && k > 0, own, partB + g * proj, partC + g * proj);
        });
        if (split) sum_maps(out.x, maps, p.directions, map, team);
        if (parts) {
            sum_maps(out.B, partB, groups, proj, team);
            sum_maps(out.C, partC, groups, proj, team);
        }
        sum_maps(out.A, own.A, p.batch, weight * p.state, alone);
        sum_maps(out.D, own.D, p.batch, weight, alone);
        sum_maps(out.bias, own.bias, p.batch, weight, alone);
    }
    release(scratch);
    release(parts);
    release(sums);
    if (split) release(maps);
    return ready ? 0 : 1;
}

}  // namespace cdzoo

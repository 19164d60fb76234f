// Vectors of CDZOO_LANES floats by the GCC/Clang vector extensions, so that one source serves SSE, AVX2, AVX-512 and NEON.
// Only where the portable form costs measurable time does an intrinsic replace it.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#ifndef CDZOO_LANES
#define CDZOO_LANES 4
#endif

namespace cdzoo {

constexpr int W = CDZOO_LANES;
typedef float vf __attribute__((vector_size(W * 4)));
typedef std::int32_t vi __attribute__((vector_size(W * 4)));

#define CDZOO_INLINE inline __attribute__((always_inline))

CDZOO_INLINE vf splat(float value) { return vf{} + value; }

CDZOO_INLINE vf load(const float* p) {  // any alignment
    vf v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

// Kept out of line: the copy in memory that lanes need one by one must not spread to the path of whole vectors.
__attribute__((noinline, cold)) inline void copy_some(float* to, const float* from, int count) {
    for (int i = 0; i < count; i++) to[i] = from[i];
}

// As many lanes as there are, the rest zero.
CDZOO_INLINE vf load_some(const float* p, int count) {
    if (__builtin_expect(count >= W, 1)) return load(p);
    alignas(64) float lanes[W] = {};
    copy_some(lanes, p, count);
    return load(lanes);
}

CDZOO_INLINE void store(float* p, vf v) { std::memcpy(p, &v, sizeof v); }

// The second argument where either is NaN, as x86 has it. GCC makes a compare and a blend of the portable form.
CDZOO_INLINE vf vmax(vf a, vf b) {
#if CDZOO_LANES == 16 && defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif CDZOO_LANES == 8 && defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif CDZOO_LANES == 4 && defined(__SSE2__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return a > b ? a : b;
#endif
}

CDZOO_INLINE void store_some(float* p, vf v, int count) {
    if (__builtin_expect(count >= W, 1)) return store(p, v);
    alignas(64) float lanes[W];
    store(lanes, v);
    copy_some(p, lanes, count);
}

CDZOO_INLINE vf vabs(vf a) { return (vf)((vi)a & 0x7fffffff); }

// 2^(t * s). Adding 1.5 * 2^23 rounds the exponent to an integer in the low mantissa bits; what remains lies in [-0.5, 0.5],
// where a quintic with p(0) = 1 is within 9.2e-8. This needs round-to-nearest and no reassociation: never -ffast-math.
// Both products are meant to contract into one fused operation each, so the remainder carries a single rounding.
CDZOO_INLINE vf exp2_product(vf t, vf s) {
    const vf magic = splat(12582912.0f);
#if defined(__AVX512F__)
    const vf shifted = t * s + magic;
    const vf whole = shifted - magic;
    const vf part = t * s - whole;
#else
    const vf z = vmax(t * s, splat(-126.0f));  // without scalef the exponent bits would wrap around below this
    const vf shifted = z + magic;
    const vf whole = shifted - magic;
    const vf part = z - whole;
#endif
    vf p = part * 0.00132647271974699f + 0.009671512639655202f;
    p = p * part + 0.055507337432513126f;
    p = p * part + 0.24022242085375012f;
    p = p * part + 0.6931469775991649f;
    p = p * part + 1.0f;
#if defined(__AVX512F__)
    return (vf)_mm512_scalef_ps((__m512)p, (__m512)whole);  // also right where the result is zero or denormal
#else
    return (vf)((vi)p + ((vi)shifted << 23));
#endif
}

// log(1 + e) for e in [0, 1], relative error 3e-8; a polynomial, because a division costs more than nine fused steps.
CDZOO_INLINE vf log1p_unit(vf e) {
    vf p = e * 0.005232694268021169f + -0.029505238791321498f;
    p = p * e + 0.07822595189724292f;
    p = p * e + -0.13663245795835793f;
    p = p * e + 0.19106006760706018f;
    p = p * e + -0.24842982213421047f;
    p = p * e + 0.3331909680745335f;
    p = p * e + -0.4999949314046845f;
    p = p * e + 0.9999999698795574f;
    return p * e;
}

// softplus(v) = max(v, 0) + log(1 + exp(-|v|)); `tail` returns exp(-|v|), from which the derivative follows.
CDZOO_INLINE vf softplus(vf v, vf* tail) {
    const vf e = exp2_product(vabs(v), splat(-1.4426950408889634f));
    *tail = e;
    return vmax(vf{}, v) + log1p_unit(e);  // in this order of arguments a NaN goes through
}

CDZOO_INLINE vf sigmoid_from_tail(vf v, vf tail) { return (v >= vf{} ? splat(1.0f) : tail) / (1.0f + tail); }

// ---- exchanges between lanes: sums of rows, and transposition

namespace detail {
// Lane l of the result is lane A(l) of a where l has no bit `step`, else lane B(l) of b; `cross` picks the partner l ^ step.
constexpr int pick(int l, int step, bool cross_a, bool cross_b) {
    return (l & step) ? W + (cross_b ? l ^ step : l) : (cross_a ? l ^ step : l);
}

template <int step, bool cross_a, bool cross_b, int... l>
CDZOO_INLINE vf mix(vf a, vf b, std::integer_sequence<int, l...>) {
#if defined(__clang__) || __GNUC__ >= 12
    return __builtin_shufflevector(a, b, pick(l, step, cross_a, cross_b)...);
#else
    return __builtin_shuffle(a, b, vi{pick(l, step, cross_a, cross_b)...});
#endif
}

using Lanes = std::make_integer_sequence<int, W>;

template <int step>
CDZOO_INLINE vf sum_rows(const float* rows, int row) {
    if constexpr (step == W) {
        return load(rows + row * W);
    } else {
        const vf a = sum_rows<step * 2>(rows, row), b = sum_rows<step * 2>(rows, row + step);
        return mix<step, false, false>(a, b, Lanes{}) + mix<step, true, true>(a, b, Lanes{});
    }
}

template <int step>
CDZOO_INLINE void transpose_stage(vf* v) {
    if constexpr (step < W) {
        for (int i = 0; i < W; i++) {
            if (i & step) continue;
            const vf a = v[i], b = v[i + step];
            v[i] = mix<step, false, true>(a, b, Lanes{});
            v[i + step] = mix<step, true, false>(a, b, Lanes{});
        }
        transpose_stage<step * 2>(v);
    }
}
}  // namespace detail

// Lane r of the result is the sum over the lanes of row r of W rows.
CDZOO_INLINE vf lane_sums(const float* rows) { return detail::sum_rows<1>(rows, 0); }

// Four vectors into one: lane l holds a part of the sum of v[l % 4]; adding up the W / 4 quads of lanes completes the sums.
CDZOO_INLINE vf fold_quad(const vf* v) {
    const auto add = [](vf a, vf b, auto step) {
        const detail::Lanes lanes;
        return detail::mix<step.value, false, false>(a, b, lanes) + detail::mix<step.value, true, true>(a, b, lanes);
    };
    const std::integral_constant<int, 1> one;
    const std::integral_constant<int, 2> two;
    return add(add(v[0], v[1], one), add(v[2], v[3], one), two);
}

// to[j][i] = from[i][j] for W x W floats, rows `to_stride` and `from_stride` apart.
CDZOO_INLINE void transpose(float* to, std::int64_t to_stride, const float* from, std::int64_t from_stride) {
    vf v[W];
    for (int i = 0; i < W; i++) v[i] = load(from + i * from_stride);
    detail::transpose_stage<1>(v);
    for (int i = 0; i < W; i++) store(to + i * to_stride, v[i]);
}

}  // namespace cdzoo

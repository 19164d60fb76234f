// Vectors of CDZOO_LANES floats, based on the vector extensions of GCC and Clang: one source for SSE, AVX2, AVX-512 and NEON.
// Intrinsics are used only where the portable form is measurably slower.
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

// Not inlined, so that copying single lanes through memory does not slow down the path of whole vectors.
__attribute__((noinline, cold)) inline void copy_some(float* to, const float* from, int count) {
    for (int i = 0; i < count; i++) to[i] = from[i];
}

// Load the first `count` lanes; the others are zero.
CDZOO_INLINE vf load_some(const float* p, int count) {
    if (__builtin_expect(count >= W, 1)) return load(p);
    alignas(64) float lanes[W] = {};
    copy_some(lanes, p, count);
    return load(lanes);
}

CDZOO_INLINE void store(float* p, vf v) { std::memcpy(p, &v, sizeof v); }

// Maximum and minimum; the second argument if either is NaN, as on x86. GCC compiles the portable forms to a compare and a blend.
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

CDZOO_INLINE vf vmin(vf a, vf b) {
#if CDZOO_LANES == 16 && defined(__AVX512F__)
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif CDZOO_LANES == 8 && defined(__AVX2__)
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif CDZOO_LANES == 4 && defined(__SSE2__)
    return (vf)_mm_min_ps((__m128)a, (__m128)b);
#else
    return a < b ? a : b;
#endif
}

CDZOO_INLINE void store_some(float* p, vf v, int count) {
    if (__builtin_expect(count >= W, 1)) return store(p, v);
    alignas(64) float lanes[W];
    store(lanes, v);
    copy_some(p, lanes, count);
}

CDZOO_INLINE vf vabs(vf a) { return (vf)((vi)a & 0x7fffffff); }

// Maximum magnitude so far, compared as integers: NaN is above infinity and stays.
CDZOO_INLINE vf max_magnitude(vf so_far, vf v) {
    const vi a = (vi)so_far, b = (vi)vabs(v);
#if CDZOO_LANES == 16 && defined(__AVX512F__)
    return (vf)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif CDZOO_LANES == 8 && defined(__AVX2__)
    return (vf)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
    return (vf)(a > b ? a : b);
#endif
}

// ---- powers of two
// 2^z = 2^n 2^(i / 2^FRACTION) 2^r: n is added to the exponent bits, i selects an entry of a table with one permutation, and a
// polynomial with p(0) = 1 approximates 2^r. A finer table needs a polynomial of lower degree, and its lookup does not compete
// with the fused operations, which are the bottleneck. Entries are bits(2^(i / 2^FRACTION)) - (i << (23 - FRACTION)), so that a
// single addition of n and i, shifted into place, completes them.

#if CDZOO_LANES == 16 && defined(__AVX512F__)
constexpr int FRACTION = 5;
CDZOO_INLINE vi roots_of_two(vi i) {  // table entries for the low FRACTION bits of i
    const __m512i low = _mm512_setr_epi32(0x3f800000, 0x3f7ecd87, 0x3f7daac3, 0x3f7c980f, 0x3f7b95c2, 0x3f7aa43a, 0x3f79c3d3,
                                          0x3f78f4f0, 0x3f7837f0, 0x3f778d3a, 0x3f76f532, 0x3f767043, 0x3f75fed7, 0x3f75a15b,
                                          0x3f75583f, 0x3f7523f6);
    const __m512i high = _mm512_setr_epi32(0x3f7504f3, 0x3f74fbaf, 0x3f7508a4, 0x3f752c4d, 0x3f75672a, 0x3f75b9be, 0x3f76248c,
                                           0x3f76a81e, 0x3f7744fd, 0x3f77fbb8, 0x3f78ccdf, 0x3f79b907, 0x3f7ac0c7, 0x3f7be4ba,
                                           0x3f7d257d, 0x3f7e83b3);
    return (vi)_mm512_permutex2var_epi32(low, (__m512i)i, high);
}
CDZOO_INLINE vf power_of_rest(vf r) {  // |r| <= 1/64, relative error 5.3e-8
    const vf p = r * 0.24022676050662994f + 0.6931573152542114f;
    return p * r + 1.0f;
}
#elif CDZOO_LANES == 8 && defined(__AVX2__)
constexpr int FRACTION = 3;
CDZOO_INLINE vi roots_of_two(vi i) {
    const __m256i table = _mm256_setr_epi32(0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a, 0x3f7744fd,
                                            0x3f7ac0c7);
    return (vi)_mm256_permutevar8x32_epi32(table, (__m256i)i);
}
CDZOO_INLINE vf power_of_rest(vf r) {  // |r| <= 1/16, relative error 2.5e-8
    vf p = r * 0.0554962232708931f + 0.2402576357126236f;
    p = p * r + 0.6931472420692444f;
    return p * r + 1.0f;
}
#else
constexpr int FRACTION = 0;
CDZOO_INLINE vf power_of_rest(vf r) {  // |r| <= 1/2, relative error 9.2e-8
    vf p = r * 0.00132647271974699f + 0.009671512639655202f;
    p = p * r + 0.055507337432513126f;
    p = p * r + 0.24022242085375012f;
    p = p * r + 0.6931469775991649f;
    return p * r + 1.0f;
}
#endif

// The exponent bits of smaller and of larger values would wrap around. 2^128 is infinity.
constexpr float LEAST_EXPONENT = -126.0f, LARGEST_EXPONENT = 128.0f;

// Adding the magic number rounds to a multiple of 2^-FRACTION, which is then in the low mantissa bits; this requires
// round-to-nearest and no reassociation, so -ffast-math must not be used.
CDZOO_INLINE vf magic() { return splat(12582912.0f / (1 << FRACTION)); }  // 1.5 * 2^(23 - FRACTION)

// 2^z for z from LEAST_EXPONENT to LARGEST_EXPONENT, or NaN for NaN.
CDZOO_INLINE vf exp2_within(vf z) {
    const vf shifted = z + magic(), p = power_of_rest(z - (shifted - magic()));
    const vi exponent = (vi)shifted << (23 - FRACTION);
#if CDZOO_LANES > 4
    return p * (vf)(roots_of_two((vi)shifted) + exponent);
#else
    return p * (vf)(0x3f800000 + exponent);  // a sum with the bits of NaN may be a number
#endif
}

// 2^(t * s). The exponent is clamped, and NaN is propagated, unless the caller guarantees |t * s| <= 126 (BOUNDED). Products may
// then be fused, so that the rest is rounded only once.
template <bool BOUNDED>
CDZOO_INLINE vf exp2_product(vf t, vf s) {
    // With this order of arguments, the result for NaN is NaN.
    if constexpr (!BOUNDED) return exp2_within(vmax(splat(LEAST_EXPONENT), vmin(splat(LARGEST_EXPONENT), t * s)));
    const vf shifted = t * s + magic(), p = power_of_rest(t * s - (shifted - magic()));
    const vi exponent = (vi)shifted << (23 - FRACTION);
#if CDZOO_LANES > 4
    return p * (vf)(roots_of_two((vi)shifted) + exponent);
#else
    return (vf)((vi)p + exponent);
#endif
}

// log(1 + e) for e in [0, 1], relative error 3e-8; a polynomial, because a division takes longer than nine fused operations.
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

// softplus(v) = max(v, 0) + log(1 + exp(-|v|)); exp(-|v|) is stored in `tail` for the derivative.
CDZOO_INLINE vf softplus(vf v, vf* tail) {
    const vf e = exp2_within(vmax(splat(LEAST_EXPONENT), vabs(v) * -1.4426950408889634f));
    *tail = e;
    return vmax(vf{}, v) + log1p_unit(e);  // with this order of arguments, NaN is propagated
}

CDZOO_INLINE vf sigmoid_from_tail(vf v, vf tail) { return (v >= vf{} ? splat(1.0f) : tail) / (1.0f + tail); }

// ---- exchanges between lanes: sums of rows, and transposition

namespace detail {
// Index for a shuffle of a and b: lanes l without the bit `step` come from a, the others from b; `cross` selects lane l ^ step.
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

// Reduce four vectors to one: lane l has a partial sum of v[l % 4]; the sum over the W / 4 quads of lanes is the total.
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

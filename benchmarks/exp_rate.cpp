// The scan's own exponential alone, within the cache: what benchmarks/scan.py takes for the fastest that this CPU can do.
#include "simd.hpp"

extern "C" __attribute__((visibility("default"))) void exp_rate(const float* from, float* to, long count, long repeats) {
    for (long r = 0; r < repeats; r++) {
        for (long i = 0; i + cdzoo::W <= count; i += cdzoo::W)
            cdzoo::store(to + i, cdzoo::exp2_product<true>(cdzoo::load(from + i), cdzoo::splat(-1.4426950408889634f)));
        __asm__ volatile("" ::: "memory");  // every round is computed
    }
}

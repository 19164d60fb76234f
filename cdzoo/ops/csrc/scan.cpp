// C interface of the native scan, compiled once per instruction set; Python selects the library.
#include "backward.hpp"

#if defined(_WIN32)
#define CDZOO_EXPORT extern "C" __declspec(dllexport)
#else
#define CDZOO_EXPORT extern "C" __attribute__((visibility("default")))
#endif

// Incremented with every change of a signature or of Problem; Python rejects libraries with another number.
#define CDZOO_SCAN_ABI 3

CDZOO_EXPORT int cdzoo_scan_abi() { return CDZOO_SCAN_ABI; }

CDZOO_EXPORT int cdzoo_scan_lanes() { return cdzoo::W; }

// Whether there is something to scan and every path stays in the map. The caller checks the sizes of the buffers.
static bool valid(const cdzoo::Problem& p) {
    if (p.batch < 1 || p.length < 1 || p.channels < 1 || p.directions < 1 || p.state < 1) return false;
    if (!p.x || !p.delta || !p.A || !p.B || !p.C || !p.index) return false;
    std::uint32_t furthest = 0;  // a negative position is a large one
    for (std::int64_t i = 0; i < p.directions * p.length; i++) {
        const std::uint32_t position = std::uint32_t(p.index[i]);
        furthest = position > furthest ? position : furthest;
    }
    return furthest < p.length;
}

// Returns 0, 1 if out of memory, or 2 if the problem is invalid. `states` may be null.
CDZOO_EXPORT int cdzoo_scan_forward(const cdzoo::Problem* p, float* y, float* states) {
    if (!valid(*p) || !y) return 2;
    switch (p->state) {
        case 1: return cdzoo::forward<1>(*p, y, states);
        case 4: return cdzoo::forward<4>(*p, y, states);
        case 16: return cdzoo::forward<16>(*p, y, states);
        default: return cdzoo::forward<0>(*p, y, states);
    }
}

// All gradients are required, also those of an absent D or bias, which the caller ignores.
CDZOO_EXPORT int cdzoo_scan_backward(const cdzoo::Problem* p, const float* grad_y, const float* states, float* dx, float* ddelta,
                                     float* dA, float* dB, float* dC, float* dD, float* dbias) {
    const cdzoo::Gradients out{dx, ddelta, dA, dB, dC, dD, dbias};
    if (!valid(*p) || !grad_y || !states || !dx || !ddelta || !dA || !dB || !dC || !dD || !dbias) return 2;
    switch (p->state) {
        case 1: return cdzoo::backward<1>(*p, grad_y, states, out);
        case 4: return cdzoo::backward<4>(*p, grad_y, states, out);
        case 16: return cdzoo::backward<16>(*p, grad_y, states, out);
        default: return cdzoo::backward<0>(*p, grad_y, states, out);
    }
}

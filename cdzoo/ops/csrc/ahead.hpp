// Prefetching along a path. The rows of a map that a path visits are strided, by whole image rows in the vertical directions,
// and no hardware prefetcher follows that; the index table tells what comes next, so the arithmetic of one chunk fetches for
// the following one, a step at a time, never in bursts that would stall it.
#pragma once

#include "problem.hpp"

namespace cdzoo {

template <int MAPS, int PROJECTIONS, int STEPS>
class Ahead {
public:
    // What follows is the chunk that starts at step `first` of direction k (none when out of range) and the block `lanes`.
    void aim(const Problem& p, std::int64_t b, std::int64_t k, std::int64_t first, Lane lanes,
             const float* const (&maps)[MAPS], const float* const (&projections)[PROJECTIONS]) {
        const std::int64_t rest = first < 0 ? 0 : p.length - first;
        steps_ = rest < 0 ? 0 : int(rest < STEPS ? rest : STEPS);
        for (int i = 0; i < MAPS; i++) map_[i] = maps[i] + lanes.first;
        for (int i = 0; i < PROJECTIONS; i++) projection_[i] = projections[i];
        for (int t = 0; t < steps_; t++) {
            const std::int64_t pos = p.index[k * p.length + first + t];
            row_[t] = pos * p.channels;
            proj_[t] = p.state_offset(b, pos, k);
        }
    }

    CDZOO_INLINE void fetch(int t) const {
        if (t >= steps_) return;
        for (int i = 0; i < MAPS; i++) __builtin_prefetch(map_[i] + row_[t]);
    }

    CDZOO_INLINE void fetch_projections(int t) const {
        if (t >= steps_) return;
        for (int i = 0; i < PROJECTIONS; i++) __builtin_prefetch(projection_[i] + proj_[t]);
    }

private:
    std::int64_t row_[STEPS], proj_[STEPS];
    const float* map_[MAPS];
    const float* projection_[PROJECTIONS];
    int steps_ = 0;
};

}  // namespace cdzoo

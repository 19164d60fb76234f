// Prefetching along a path. A path visits the rows of a map with a stride, in vertical directions that of a whole image row,
// which hardware prefetchers do not follow. The index table has the next positions, so each step of a chunk prefetches the data
// of one step of the next chunk; prefetching many at once would stall the arithmetic.
#pragma once

#include "problem.hpp"

namespace cdzoo {

template <int MAPS, int PROJECTIONS, int STEPS>
class Ahead {
public:
    // Set the next chunk: it starts at step `first` of direction k (none if out of range) and has the channels `lanes`.
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

// Starts the loops of csrc/loops on the GPU: each member of a team is sixteen threads that work on
// rows, or a block that works on columns.
#pragma once

#include "column_groups.h"
#include "lanes.h"

namespace onepass::cuda {
namespace {

constexpr int kBlockThreads = 256;
constexpr int kMembersABlock = kBlockThreads / kLanes;
constexpr int64_t kMostMembers = int64_t{1} << 16;  // several times what a GPU runs at once

template <class Loop, class A>
__global__ void __launch_bounds__(kBlockThreads) run_rows(const A a) {
  const int own = static_cast<int>(threadIdx.x) / kLanes;
  Team team{static_cast<int>(blockIdx.x) * kMembersABlock + own,
            static_cast<int>(gridDim.x) * kMembersABlock};
  Loop::run(a, team);
}

template <class Loop, class A>
__global__ void __launch_bounds__(kBlockThreads) run_columns(const A a) {
  using T = typename Loop::Real;
  ONEPASS_SHARED(T, areas, [kColumnAreas][kBlockColumns]);
  ColumnTeam team{static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x), areas};
  Loop::run(a, team);
}

inline unsigned blocks_for(int64_t items, int64_t a_block) {
  const int64_t blocks = (items + a_block - 1) / a_block;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks);
}

// With a member for each of so many items, up to a limit. Of the members of a team of the CPU's
// only the first starts anything.
template <class Loop, class A>
void start_rows(const A& a, int64_t items, const onepass::Team& team) {
  if (team.rank != 0 || items == 0) return;
  const int64_t members = items < kMostMembers ? items : kMostMembers;
  launch(run_rows<Loop, A>, {blocks_for(members, kMembersABlock)}, {kBlockThreads}, team, a);
}

// All members in one block, so that they can wait for each other.
template <class Loop, class A>
void start_block(const A& a, const onepass::Team& team) {
  if (team.rank != 0) return;
  launch(run_rows<Loop, A>, {1}, {kBlockThreads}, team, a);
}

template <class Loop, class A>
void start_columns(const A& a, int64_t cols, const onepass::Team& team) {
  if (team.rank != 0 || cols == 0) return;
  launch(run_columns<Loop, A>, {blocks_for(cols, kBlockColumns)}, {kBlockColumns, kBlockGroups},
         team, a);
}

// A loop as a type, for the kernels above.
#define ONEPASS_LOOP_TYPE(name, team_type)                                    \
  struct name##_loop {                                                        \
    template <class A>                                                        \
    static __device__ __forceinline__ void run(const A& a, team_type& team) { \
      name(a, team);                                                          \
    }                                                                         \
  }

}  // namespace
}  // namespace onepass::cuda

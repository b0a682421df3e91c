// Where the members of a team wait for each other.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "relax.h"

namespace onepass {

// Until `count` has come to `least` or beyond; counts wrap around. To look at once, about 50 us of
// looking now and then, then let others have the core: who is waited for may have lost its own, and
// would be kept from it for a whole time slice.
inline void wait_for(const std::atomic<uint32_t>& count, uint32_t least) {
  constexpr int looks_at_once = 64, most_looks = 4000;
  for (int looks = 0; static_cast<int32_t>(count.load(std::memory_order_acquire) - least) < 0;) {
    if (looks >= most_looks) {
      sched_yield();
    } else if (++looks > looks_at_once) {
      relax();
    }
  }
}

// A dissemination barrier (Hensgen, Finkel and Manber, Two Algorithms for Barrier Synchronization,
// 1988): in round k each member tells the one 2^k behind it and is told by the one 2^k before it.
// Two members so wait for one line of memory to travel; a common counter would travel to and fro.
struct Barrier {
  explicit Barrier(int most) : members(most) {}

  // Every member calls it with its rank, all equally often.
  void wait(int rank) {
    Member& mine = members[rank];
    const uint32_t now = ++mine.passed;
    for (int round = 0, far = 1; far < size; ++round, far *= 2) {
      members[(rank + far) % size].told[round].store(now, std::memory_order_release);
      wait_for(mine.told[round], now);  // who is ahead has told of the next one already
    }
  }

  int size = 1;  // of the team, at most `most`; set before the first wait

 private:
  static constexpr int kRounds = 10;  // for 1024 members
  struct alignas(64) Member {
    std::atomic<uint32_t> told[kRounds] = {};  // written by others, each by one of them
    alignas(64) uint32_t passed = 0;           // barriers; wraps around
  };

  std::vector<Member> members;
};

}  // namespace onepass

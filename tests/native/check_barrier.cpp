// Members that write plain memory between barriers and read each other's: what they find shows that
// none went on early, and the thread sanitizer that each wait makes writes visible.
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "../../csrc/cpu/barrier.h"

namespace {

// `round_of[r]` is the round that member r has reached; each round is read between two barriers.
void take_part(onepass::Barrier& barrier, std::vector<int>& round_of, int rank) {
  for (int round = 1; round <= 300; ++round) {
    if ((round + rank) % 7 == 0) std::this_thread::yield();  // others come late, in turn
    round_of[rank] = round;
    barrier.wait(rank);
    for (int other = 0; other < barrier.size; ++other) {
      if (round_of[other] == round) continue;
      std::printf("of %d members, %d is in round %d and %d in %d\n", barrier.size, rank, round,
                  other, round_of[other]);
      std::exit(1);
    }
    barrier.wait(rank);
  }
}

}  // namespace

int main() {
  for (int size = 1; size <= 9; ++size) {
    onepass::Barrier barrier(size);
    barrier.size = size;
    std::vector<int> round_of(size);
    std::vector<std::thread> members;
    for (int rank = 0; rank < size; ++rank) {
      members.emplace_back([&, rank] { take_part(barrier, round_of, rank); });
    }
    for (std::thread& member : members) member.join();
  }
  std::puts("barriers hold");
}

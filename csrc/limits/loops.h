// The loops behind the machine's limits, of one instruction set: what nothing can be faster than.
#pragma once

#include <cstdint>
#include <vector>

namespace onepass::limits {

typedef float Line __attribute__((vector_size(64)));

// One pass over lines [begin, end) of arrays: first those only read, then those updated in place,
// then those only written.
using Pass = void (*)(const std::vector<Line*>& arrays, int64_t begin, int64_t end);

struct Loops {
  // `rounds` multiply-adds of one vector in each of kChains independent chains.
  void (*multiply_add32)(int64_t rounds);
  void (*multiply_add64)(int64_t rounds);
  int vector_bytes;
  // The pass with so many arrays of each kind; null where there is none.
  Pass (*pass)(int reads, int updates, int writes);
};

constexpr int kChains = 12;  // in flight; two units of latency 4 need 8

}  // namespace onepass::limits

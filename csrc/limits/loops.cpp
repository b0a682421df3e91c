// Compiled once for each instruction set with ONEPASS_ISA set to its name; the one symbol that
// leaves the object is loops_<isa>(). Contraction is on: a * b + c is one instruction where there
// is one.
#include "loops.h"

#include <algorithm>

#define ONEPASS_JOIN_OF(a, b) a##b
#define ONEPASS_JOIN(a, b) ONEPASS_JOIN_OF(a, b)

namespace onepass::limits {
namespace {

volatile double sink;

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif

#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kFused = true;
#else
constexpr bool kFused = false;
#endif

// Keeps a value in a register, unknown to the compiler.
#if defined(__x86_64__)
#define IN_REGISTER(v) asm volatile("" : "+x"(v))
#else
#define IN_REGISTER(v) asm volatile("" : "+w"(v))
#endif

// a = a * b + c in every chain, as one instruction or (kFused false) as two.
template <class T>
void multiply_add(int64_t rounds) {
  typedef T V __attribute__((vector_size(kBytes)));
  V b = T(0.5) - V{}, c = T(1) - V{}, a[kChains];
  IN_REGISTER(b);
  IN_REGISTER(c);
#pragma GCC unroll 12
  for (int k = 0; k < kChains; ++k) a[k] = c * T(k);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) {
      if constexpr (kFused) {
        a[k] = a[k] * b + c;
      } else {
        V product = a[k] * b;
        IN_REGISTER(product);
        a[k] = product + c;
      }
    }
  }
  V sum{};
#pragma GCC unroll 12
  for (int k = 0; k < kChains; ++k) sum += a[k];
  sink = sum[0];
}

template <int kReads, int kUpdates, int kWrites>
void pass(const std::vector<Line*>& arrays, int64_t begin, int64_t end) {
  Line* a[kReads + kUpdates + kWrites];
  std::copy(arrays.begin(), arrays.end(), a);
  Line total[4] = {};
  for (int64_t i = begin; i < end; i += 4) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      Line value = kReads > 0 ? a[0][i + k] : Line{};
      for (int r = 1; r < kReads; ++r) value += a[r][i + k];
      for (int u = kReads; u < kReads + kUpdates; ++u) a[u][i + k] = 0.5f * a[u][i + k] + value;
      for (int w = kReads + kUpdates; w < kReads + kUpdates + kWrites; ++w) a[w][i + k] = value;
      if constexpr (kUpdates + kWrites == 0) total[k] += value;
    }
  }
  if constexpr (kUpdates + kWrites == 0) sink = (total[0] + total[1] + total[2] + total[3])[0];
}

Pass find_pass(int reads, int updates, int writes) {
  switch (reads * 100 + updates * 10 + writes) {
    case 100:
      return pass<1, 0, 0>;
    case 200:
      return pass<2, 0, 0>;
    case 101:
      return pass<1, 0, 1>;
    case 201:
      return pass<2, 0, 1>;
    case 301:
      return pass<3, 0, 1>;
    case 10:
      return pass<0, 1, 0>;
    case 110:
      return pass<1, 1, 0>;
    case 120:
      return pass<1, 2, 0>;
    case 130:
      return pass<1, 3, 0>;
    case 140:
      return pass<1, 4, 0>;
    case 150:
      return pass<1, 5, 0>;
    default:
      return nullptr;
  }
}

}  // namespace

const Loops& ONEPASS_JOIN(loops_, ONEPASS_ISA)() {
  static const Loops loops = {multiply_add<float>, multiply_add<double>, kBytes, find_pass};
  return loops;
}

}  // namespace onepass::limits

// Whether arithmetic compiled as the library's has the host's bits, where the host flushes too.
#pragma once

#include "flush.h"
#include "probe.h"

namespace onepass::probes {

__global__ void compute(Operation operation, std::size_t n, const std::uint32_t* a,
                        const std::uint32_t* b, const std::uint32_t* c, std::uint32_t* results) {
  const std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const float result =
      computed(operation, __uint_as_float(a[i]), __uint_as_float(b[i]), __uint_as_float(c[i]));
  results[i] = __float_as_uint(result);
}

struct Operands {
  std::vector<std::uint32_t> a, b, c;

  void add(std::uint32_t x, std::uint32_t y, std::uint32_t z) {
    a.push_back(x);
    b.push_back(y);
    c.push_back(z);
  }
};

// Zeros, denormals, the smallest and largest normal numbers, ones, infinity, NaN; each also
// negative.
inline std::vector<std::uint32_t> special_values() {
  std::vector<std::uint32_t> values;
  for (const std::uint32_t bits :
       {0x00000000u, 0x00000001u, 0x00000002u, 0x00123456u, 0x00400000u, 0x007ffffeu,
        0x007fffffu, 0x00800000u, 0x00800001u, 0x00c00000u, 0x00ffffffu, 0x01000000u,
        0x01000001u, 0x0c800000u, 0x1fffffffu, 0x20000000u, 0x26901d7du, 0x33800000u,
        0x3dcccccdu, 0x3effffffu, 0x3f000000u, 0x3f7fffffu, 0x3f800000u, 0x3f800001u,
        0x40000000u, 0x40400000u, 0x4b800000u, 0x5f000000u, 0x7e967699u, 0x7effffffu,
        0x7f000000u, 0x7f7fffffu, 0x7f800000u, 0x7f800001u, 0x7fc00000u, 0x7fffffffu}) {
    values.push_back(bits);
    values.push_back(bits | kSign);
  }
  return values;
}

// Random bits; every second with an exponent so small that results fall below the normal numbers.
inline std::uint32_t random_bits(std::uint64_t& state, bool small) {
  state += 0x9e3779b97f4a7c15u;
  std::uint64_t mixed = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  const auto bits = static_cast<std::uint32_t>(mixed >> 32);
  return small ? bits & (kSign | 0x07ffffff) : bits;
}

inline Operands operands(int arity) {
  constexpr int kRandom = 1 << 20;
  const std::vector<std::uint32_t> one = special_values(), none = {0};
  Operands found;
  for (const std::uint32_t a : one) {
    for (const std::uint32_t b : arity > 1 ? one : none) {
      for (const std::uint32_t c : arity > 2 ? one : none) found.add(a, b, c);
    }
  }
  std::uint64_t state = 1;
  for (int i = 0; i < kRandom; ++i) {
    const bool small = i % 2 == 0;
    const std::uint32_t a = random_bits(state, small), b = random_bits(state, small);
    found.add(a, b, random_bits(state, small));
  }
  return found;
}

inline Json compared(Operation operation, int arity) {
  constexpr std::size_t kThreads = 256, kExamples = 4;
  const Operands given = operands(arity);
  const std::size_t n = given.a.size();
  const Memory<std::uint32_t> a(given.a), b(given.b), c(given.c), results(n);
  compute<<<static_cast<unsigned>((n + kThreads - 1) / kThreads), kThreads>>>(
      operation, n, a.get(), b.get(), c.get(), results.get());
  require(cudaGetLastError(), "arithmetic");
  const std::vector<std::uint32_t> got = results.host();
  std::size_t unequal = 0, at_the_smallest = 0;
  std::vector<std::string> examples;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t wanted = expected(operation, given.a[i], given.b[i], given.c[i]);
    const std::uint32_t here = canonical(got[i]);
    if (here == wanted) continue;
    ++unequal;
    at_the_smallest += (wanted & ~kSign) == kSmallestNormal;
    if (examples.size() == kExamples) continue;
    char line[96];
    std::snprintf(line, sizeof line, "%08x %08x %08x: GPU %08x, host %08x", given.a[i], given.b[i],
                  given.c[i], here, wanted);
    examples.emplace_back(line);
  }
  return Json()
      .put("compared", n)
      .put("unequal", unequal)
      // Where rounding reaches the smallest normal number, processors differ in when they flush.
      .put("of these the host has the smallest normal number", at_the_smallest)
      .put("examples", examples);
}

inline Json arithmetic() {
  return Json()
      .put("add", compared(Operation::kAdd, 2))
      .put("multiply", compared(Operation::kMultiply, 2))
      .put("fma", compared(Operation::kFma, 3))
      .put("divide", compared(Operation::kDivide, 2))
      .put("square root", compared(Operation::kRoot, 1));
}

}  // namespace onepass::probes

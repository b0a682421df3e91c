// The floating-point mode of a thread: whether numbers below the smallest normal one count as 0.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace onepass {

// Flushes denormals, or keeps them, on this thread while it lives; then restores the mode it found.
// Both ways explicitly: a helper inherits its creator's mode, and results must not depend on who
// does the work.
class DenormalGuard {
 public:
  explicit DenormalGuard(bool on) : saved_(mode()) {
    set_mode(on ? saved_ | kFlush : saved_ & ~kFlush);
  }
  ~DenormalGuard() { set_mode(saved_); }
  DenormalGuard(const DenormalGuard&) = delete;
  DenormalGuard& operator=(const DenormalGuard&) = delete;

 private:
#if defined(__x86_64__)
  using Mode = unsigned;
  static constexpr Mode kFlush = 0x8040;  // flush results, read denormals as zero
  static Mode mode() { return _mm_getcsr(); }
  static void set_mode(Mode m) { _mm_setcsr(m); }
#elif defined(__aarch64__)
  using Mode = uint64_t;
  static constexpr Mode kFlush = uint64_t{1} << 24;
  static Mode mode() {
    Mode m;
    asm volatile("mrs %0, fpcr" : "=r"(m));
    return m;
  }
  static void set_mode(Mode m) { asm volatile("msr fpcr, %0" ::"r"(m)); }
#endif
  Mode saved_;
};

}  // namespace onepass

// Memory for numbers, on a cache line's boundary. Large blocks lie in pages of 2 MB where the
// system has them: a product of large matrices walks through more small pages than the processor
// keeps addresses of.
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace onepass {

struct FreeMemory {
  void operator()(void* p) const { std::free(p); }
};
using Memory = std::unique_ptr<void, FreeMemory>;

inline constexpr std::size_t kLineBytes = 64;
inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

inline std::size_t rounded_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// In whole pages of 2 MB, whatever the size.
inline Memory allocate_huge(std::size_t bytes) {
  const std::size_t whole = rounded_up(bytes, kHugePage);
  Memory memory(std::aligned_alloc(kHugePage, whole));
  if (memory == nullptr) throw std::bad_alloc();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  madvise(memory.get(), whole, MADV_HUGEPAGE);  // a wish: without it there are small pages
#endif
  return memory;
}

// At least so many bytes, and never none.
inline Memory allocate(std::size_t bytes) {
  if (bytes >= 2 * kHugePage) return allocate_huge(bytes);
  Memory memory(std::aligned_alloc(kLineBytes, rounded_up(bytes + 1, kLineBytes)));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace onepass

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
#include <string>
#include <type_traits>
#include <vector>

#include "device.h"

namespace onepass {

struct FreeMemory {
  const Device* device = nullptr;  // that gave it

  void operator()(void* p) const { device == nullptr ? std::free(p) : device->release(p); }
};
using Memory = std::unique_ptr<void, FreeMemory>;

class OutOfDeviceMemory final : public std::bad_alloc {
 public:
  explicit OutOfDeviceMemory(std::size_t bytes)
      : what_("the GPU has no memory left for " + std::to_string(bytes) + " bytes") {}
  const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::string what_;
};

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

// At least so many bytes, and never none; where the device's kernels reach them, if one is given.
inline Memory allocate(std::size_t bytes, const Device* device = nullptr) {
  if (device != nullptr) {
    Memory memory(device->allocate(rounded_up(bytes + 1, kLineBytes)), {device});
    if (memory == nullptr) throw OutOfDeviceMemory(bytes);
    return memory;
  }
  if (bytes >= 2 * kHugePage) return allocate_huge(bytes);
  Memory memory(std::aligned_alloc(kLineBytes, rounded_up(bytes + 1, kLineBytes)));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// For a vector that kernels read and write.
template <class T>
struct Reachable {
  using value_type = T;
  using propagate_on_container_move_assignment = std::true_type;
  const Device* device = nullptr;

  explicit Reachable(const Device* of) : device(of) {}
  template <class U>
  explicit Reachable(const Reachable<U>& other) : device(other.device) {}
  T* allocate(std::size_t n) {
    return static_cast<T*>(onepass::allocate(n * sizeof(T), device).release());
  }
  void deallocate(T* p, std::size_t) { FreeMemory{device}(p); }
  bool operator==(const Reachable&) const = default;
};

template <class T>
using ReachableVector = std::vector<T, Reachable<T>>;

}  // namespace onepass

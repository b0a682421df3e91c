// Several elements in one access to memory.
#pragma once

#include "dialect.h"

namespace onepass::cuda {
namespace {

// So many elements, read and written at once.
template <class T, int kWidth>
struct alignas(kWidth * sizeof(T)) Wide {
  T at[kWidth];

  static __device__ __forceinline__ Wide load(const T* from) {
    require_place(from);
    return *reinterpret_cast<const Wide*>(from);
  }
  __device__ __forceinline__ void store(T* to) const {
    require_place(to);
    *reinterpret_cast<Wide*>(to) = *this;
  }

 private:
  // A GPU faults at other addresses; a CPU that plays one might not.
  static __device__ __forceinline__ void require_place([[maybe_unused]] const T* at) {
#if !defined(__CUDACC__)
    if (reinterpret_cast<uintptr_t>(at) % sizeof(Wide) != 0) __builtin_trap();
#endif
  }
};
template <class T>
constexpr int kWideCount = 16 / static_cast<int>(sizeof(T));

}  // namespace
}  // namespace onepass::cuda

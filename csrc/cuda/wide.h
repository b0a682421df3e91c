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
    return *reinterpret_cast<const Wide*>(from);
  }
  __device__ __forceinline__ void store(T* to) const { *reinterpret_cast<Wide*>(to) = *this; }
};
template <class T>
constexpr int kWideCount = 16 / static_cast<int>(sizeof(T));

}  // namespace
}  // namespace onepass::cuda

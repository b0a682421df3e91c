// How fast memory is copied and read.
#pragma once

#include "probe.h"

namespace onepass::probes {

// The sum of four times so many floats; each block adds what it has.
__global__ void sum_up(const float4* x, std::size_t n, float* sum) {
  float mine = 0.0f;
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
#pragma unroll 4
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) {
    const float4 some = x[i];
    mine += (some.x + some.y) + (some.z + some.w);
  }
  for (int other = 16; other > 0; other /= 2) mine += __shfl_down_sync(~0u, mine, other);
  if (threadIdx.x % 32 == 0) atomicAdd(sum, mine);
}

inline Json rates() {
  constexpr std::size_t kBytes = std::size_t{1} << 30;
  constexpr int kRuns = 20;
  const Stream stream;
  const Memory<char> from(kBytes), to(kBytes);
  const Memory<float> sum(1);
  const Microseconds copied = least(stream, kRuns, [&] {
    require(cudaMemcpyAsync(to.get(), from.get(), kBytes, cudaMemcpyDeviceToDevice, stream),
            "a copy");
  });
  const int blocks = 8 * attribute(cudaDevAttrMultiProcessorCount);
  const auto* numbers = reinterpret_cast<const float4*>(from.get());
  const Microseconds summed = least(stream, kRuns, [&] {
    sum_up<<<blocks, 256, 0, stream>>>(numbers, kBytes / sizeof(float4), sum.get());
    require(cudaGetLastError(), "a sum");
  });
  const auto gigabytes = [](double bytes, double microseconds) {
    return 1e-3 * bytes / microseconds;
  };
  return Json()
      .put("copy GB/s, read and written", gigabytes(2.0 * kBytes, copied.gpu))
      .put("sum GB/s, read", gigabytes(kBytes, summed.gpu));
}

}  // namespace onepass::probes

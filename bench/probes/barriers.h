// What it costs that all blocks of a grid, or of a cluster, wait for each other.
#pragma once

#include <cooperative_groups.h>

#include "probe.h"

namespace onepass::probes {

constexpr int kBarrierThreads = 256;
constexpr int kFewBarriers = 100, kManyBarriers = 2100;

__global__ void grid_barriers(int times) {
  for (int i = 0; i < times; ++i) cooperative_groups::this_grid().sync();
}

__global__ void cluster_barriers(int times) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  for (int i = 0; i < times; ++i) cooperative_groups::this_cluster().sync();
#else
  __trap();  // built for another GPU: a barrier that is none would be timed
#endif
}

// Nanoseconds a barrier: what many take over what few take. start(times) queues a kernel.
template <class Start>
double barrier_nanoseconds(const Stream& stream, Start start) {
  const double few = least(stream, 10, [&] { start(kFewBarriers); }).gpu;
  const double many = least(stream, 10, [&] { start(kManyBarriers); }).gpu;
  return 1e3 * (many - few) / (kManyBarriers - kFewBarriers);
}

inline double of_a_grid(const Stream& stream, int blocks) {
  return barrier_nanoseconds(stream, [&](int times) {
    void* arguments[] = {&times};
    require(cudaLaunchCooperativeKernel(grid_barriers, blocks, kBarrierThreads, arguments,
                                        std::size_t{0}, stream),
            "a cooperative launch");
  });
}

// A launch of `clusters` clusters of so many blocks; its attribute must stay where it is.
struct ClusterLaunch {
  ClusterLaunch(unsigned blocks, unsigned clusters, std::size_t shared, cudaStream_t stream) {
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim = {blocks, 1, 1};
    config.gridDim = blocks * clusters;
    config.blockDim = kBarrierThreads;
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    config.attrs = &attribute;
    config.numAttrs = 1;
  }
  ClusterLaunch(const ClusterLaunch&) = delete;
  ClusterLaunch& operator=(const ClusterLaunch&) = delete;

  int at_once() const {
    int clusters = 0;
    require(cudaOccupancyMaxActiveClusters(&clusters, cluster_barriers, &config),
            "how many clusters run at once");
    return clusters;
  }

  cudaLaunchAttribute attribute{};
  cudaLaunchConfig_t config{};
};

inline Json of_a_cluster(const Stream& stream, unsigned blocks) {
  const int most = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  require(cudaFuncSetAttribute(cluster_barriers, cudaFuncAttributeNonPortableClusterSizeAllowed, 1),
          "clusters of more than 8 blocks");
  require(cudaFuncSetAttribute(cluster_barriers, cudaFuncAttributeMaxDynamicSharedMemorySize, most),
          "all shared memory");
  const ClusterLaunch plain(blocks, 1, 0, stream);
  const ClusterLaunch whole(blocks, 1, static_cast<std::size_t>(most), stream);
  const int clusters = plain.at_once();
  Json found = Json()
                   .put("clusters at once", clusters)
                   .put("clusters at once with all shared memory", whole.at_once());
  if (clusters == 0) return found.put("missing", "the GPU runs no cluster of so many blocks");
  return found.put("ns", barrier_nanoseconds(stream, [&](int times) {
                     require(cudaLaunchKernelEx(&plain.config, cluster_barriers, times),
                             "a cluster's launch");
                   }));
}

inline Json barriers() {
  const Stream stream;
  const int blocks = attribute(cudaDevAttrMultiProcessorCount);
  Json found = Json().put("blocks of the grid", blocks);
  answer(found, "ns, grid", [&] { return of_a_grid(stream, blocks); });
  if (attribute(cudaDevAttrComputeCapabilityMajor) < 9) {
    return found.put("clusters", "missing: they begin with sm_90");
  }
  for (const unsigned size : {8u, 16u}) {
    answer(found, "cluster of " + std::to_string(size), [&] { return of_a_cluster(stream, size); });
  }
  return found;
}

}  // namespace onepass::probes

// What a kernel that does nothing costs: in a stream, as a node of a graph, to record and to
// update.
#pragma once

#include "probe.h"

namespace onepass::probes {

__global__ void nothing() {}

inline void start_nothing(cudaStream_t stream, int times) {
  for (int i = 0; i < times; ++i) nothing<<<1, 32, 0, stream>>>();
  require(cudaGetLastError(), "a kernel that does nothing");
}

inline Json each(const Microseconds& all, int nodes) {
  return Json().put("host us", all.host / nodes).put("GPU us", all.gpu / nodes);
}

inline Json graph_of(const Stream& stream, int nodes) {
  constexpr int kRuns = 20;
  Graph graph(stream, [&] { start_nothing(stream, nodes); });
  Json found = each(least(stream, kRuns, [&] { graph.launch(stream); }), nodes);
  double captured = std::numeric_limits<double>::infinity(), updated = captured, made = captured;
  for (int run = 0; run < kRuns; ++run) {
    double here = 0.0;
    Graph again(stream, [&] { here = host_microseconds([&] { start_nothing(stream, nodes); }); });
    captured = std::min(captured, here);
    made = std::min(made, host_microseconds([&] { again.made(); }));
    updated = std::min(updated, host_microseconds([&] {
                         cudaGraphExecUpdateResultInfo how{};
                         require(cudaGraphExecUpdate(graph.made(), again.get(), &how),
                                 "an update of a graph");
                       }));
  }
  return found.put("host us to capture", captured / nodes)
      .put("host us to instantiate", made / nodes)
      .put("host us to update", updated / nodes);
}

inline Json launches() {
  constexpr int kTimes = 1000;
  const Stream stream;
  const Microseconds alone = least(stream, 20, [&] { start_nothing(stream, kTimes); });
  Json found = Json().put("a launch in a stream", each(alone, kTimes));
  for (const int nodes : {1, 100, 1000}) {
    found.put("a node of a graph of " + std::to_string(nodes), graph_of(stream, nodes));
  }
  return found;
}

}  // namespace onepass::probes

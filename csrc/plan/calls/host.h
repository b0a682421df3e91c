// Calls of functions that the user wrote, which run outside of the kernels.
#pragma once

#include <functional>
#include <utility>

#include "../../device.h"
#include "../program.h"

namespace onepass {

// Done by one member while the others wait at the end of the phase. False, which the function says
// once it has kept its error, ends the replay before the next phase.
struct HostCall final : Call {
  std::function<bool(const Frame&)> function;

  explicit HostCall(std::function<bool(const Frame&)> f) : function(std::move(f)) {}
  void run(const Frame& f, Team& team) const override {
    if (team.rank != 0 || f.failed) return;
    await(team);
    f.failed = !function(f);
  }
  double work(int64_t) const override { return 0.0; }
  bool repeats() const override { return false; }
};

}  // namespace onepass

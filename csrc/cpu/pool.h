// The library's own threads. A job runs on a Team made of the caller and of helpers that spin for a
// short while after their last job and then sleep. No result depends on the size of the team.
#pragma once

#include <functional>

#include "../kernels.h"

namespace onepass {

// Threads used at most, the caller included.
int threads();
// Throws std::invalid_argument unless 1 <= n <= 1024.
void set_threads(int n);

// Work is counted in multiply-adds of a product. An element of a sweep counts as this many.
inline constexpr double kElementWork = 8.0;

// Work from which awake, and sleeping, helpers take part. Results never depend on it; tests set 0
// to have real teams at every size.
void set_team_thresholds(double awake, double asleep);

bool flush_denormals();
void set_flush_denormals(bool on);

// Runs job(team), which must not throw, on the caller and, where `work` is worth it, on
// helpers. A caller that finds the helpers taken by another thread runs alone.
void run_team(double work, const std::function<void(Team&)>& job);

}  // namespace onepass

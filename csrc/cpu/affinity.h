// Where a thread may run.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <thread>
#include <utility>

namespace onepass {

// Cores that the calling thread may use.
inline int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// While this lives, a thread is kept from a core. The system may wake a helper on its caller's
// core, where the two take turns and are slower than one, and leaves it there for many
// milliseconds; woken elsewhere, it is free to go anywhere later.
class Elsewhere {
 public:
  Elsewhere(pthread_t thread, int core) : thread_(thread) {
    if (pthread_getaffinity_np(thread, sizeof before_, &before_) != 0) return;
    cpu_set_t others = before_;
    CPU_CLR(core, &others);
    possible_ =
        CPU_COUNT(&others) > 0 && pthread_setaffinity_np(thread, sizeof others, &others) == 0;
  }
  ~Elsewhere() {
    if (possible_) pthread_setaffinity_np(thread_, sizeof before_, &before_);
  }
  Elsewhere(Elsewhere&& from) noexcept
      : thread_(from.thread_),
        before_(from.before_),
        possible_(std::exchange(from.possible_, false)) {}
  Elsewhere& operator=(Elsewhere&&) = delete;

  bool possible() const { return possible_; }

 private:
  pthread_t thread_;
  cpu_set_t before_{};
  bool possible_ = false;
};

}  // namespace onepass

// A replay as a GPU can carry it out: what it reads and adds to lies where kernels reach it.
#pragma once

#include "program.h"

namespace onepass {

class Staging;

class ReachedReplay {
 public:
  // Samples that the device does not reach are sent there while it is at work.
  ReachedReplay(const Replay& given, Workspace& workspace, const Device& device);

  const Replay& operator*() const { return reached_; }
  // The steps as kernels find them. The first one is next.
  const NextStep& steps() const { return steps_; }
  // At most so many may be started at once.
  int64_t most_steps() const;
  // Before the steps up to this one are started, and behind it.
  void bring(int64_t end) const;
  void go_on(int64_t next, double seconds_left) const;
  // Once the steps are done.
  void read_back() const;

 private:
  void put_steps(Workspace& workspace);
  void put_sources(Workspace& workspace, const Device& device);

  const Replay& given_;
  Replay reached_;
  NextStep steps_;
  Staging* staging_ = nullptr;  // of samples that it does not reach
};

}  // namespace onepass

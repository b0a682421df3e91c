// A replay as a GPU can carry it out: what it reads and adds to lies where kernels reach it.
#pragma once

#include "program.h"

namespace onepass {

class ReachedReplay {
 public:
  // Sources that the device does not reach are copied: the rows of these steps, in their order.
  ReachedReplay(const Replay& given, Workspace& workspace, const Device& device);

  const Replay& operator*() const { return reached_; }
  // The steps as kernels find them. The first one is next.
  const NextStep& steps() const { return steps_; }
  // Once the steps are done.
  void read_back() const;

 private:
  void put_steps(Workspace& workspace);
  void put_sources(Workspace& workspace, const Device& device);
  void copy_rows(Workspace& workspace, std::size_t source, Range positions);

  const Replay& given_;
  Replay reached_;
  NextStep steps_;
};

}  // namespace onepass

// A moment in a stream of a GPU.
#pragma once

#include <stdexcept>

#include "device.h"

namespace onepass {

class Event {
 public:
  explicit Event(const Device& device) : device_(device), event_(device.open_event()) {
    if (event_ == nullptr) throw std::runtime_error("the GPU opens no event");
  }
  ~Event() { device_.close_event(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // It is once all that was started on the stream is done. False: it is as it was, and the GPU
  // knows why.
  bool mark(void* stream) const { return device_.mark(event_, stream); }
  // The same within a capture: at each launch of the graph.
  void mark_launches(void* stream) const { device_.mark_launches(event_, stream); }
  // What is started on the stream from now on waits for it.
  void hold(void* stream) const { device_.follow(stream, event_); }
  // The host waits for it. Null, or what went wrong.
  const char* reach() const { return device_.reach(event_); }

 private:
  const Device& device_;
  void* event_;
};

}  // namespace onepass

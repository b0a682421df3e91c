// A GPU as plans see it: a table of kernels, and memory that kernels and the host both reach. The
// module onepass._cuda fills this in; nothing else here knows CUDA.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels.h"

namespace onepass {

struct Device {
  std::size_t size;  // of this struct: both modules must mean the same one
  double patience;   // seconds of work that the host may be ahead
  Kernels kernels;   // they are started on a team's stream, and not waited for

  // Memory that the host may touch whenever no kernel is at work on it; nullptr: there is none
  // left.
  void* (*allocate)(std::size_t bytes);
  void (*release)(void* memory);
  bool (*reaches)(const void* memory);  // whether kernels can read there
  // Memory for kernels alone, given back by `release`; nullptr: there is none left.
  void* (*allocate_there)(std::size_t bytes);
  // The host's memory from which copies go on beside all else; nullptr: there is none.
  void* (*pin)(std::size_t bytes);
  void (*unpin)(void* memory);

  // Makes the GPU the calling thread's own, and lets it allocate although somebody captures a
  // stream; returns what was before, for `leave`.
  int (*enter)();
  void (*leave)(int before);
  void* (*open_stream)();  // nullptr: it failed
  void (*close_stream)(void* stream);
  // Until all that was started is done. Null, or what went wrong.
  const char* (*wait)(void* stream);

  // Events: moments in a stream. nullptr: it failed.
  void* (*open_event)();
  void (*close_event)(void* event);
  // The event is once all that was started on the stream is done. False: it is as it was.
  bool (*mark)(void* event, void* stream);
  // The same within a capture: each launch of the graph marks the event anew.
  void (*mark_launches)(void* event, void* stream);
  // What is started on the stream from now on waits for the event.
  void (*follow)(void* stream, void* event);
  // Until the event is, as it was marked last; one never marked is. Null, or what went wrong.
  const char* (*reach)(void* event);
  // Whether what is started on the stream becomes a graph of the caller's. Null, or why nobody can
  // say.
  const char* (*captures)(void* stream, bool* does);
  // Null, or why the calling thread could not start something; does not wait.
  const char* (*started)();
  // Behind what was started before, as kernels are: rows to anywhere, and zeros.
  void (*copy_rows)(void* to, int64_t to_stride, const void* from, int64_t from_stride,
                    int64_t bytes_a_row, int64_t rows, void* stream);
  void (*clear)(void* memory, std::size_t bytes, void* stream);
  // The host's bytes: as they are now or, where they are pinned, as they are then.
  void (*write)(void* to, const void* from, std::size_t bytes, void* stream);

  // What is started on the stream from here on becomes a graph, until `keep` or `abandon`. False:
  // it starts at once, as ever.
  bool (*record)(void* stream);
  // `graph`: null, or one made earlier of much the same, which makes this one cheaper. Null, or
  // what went wrong.
  const char* (*keep)(void* stream, void** graph);
  void (*abandon)(void* stream);
  // Starts it all again. Null, or what went wrong.
  const char* (*launch)(void* graph, void* stream);
  void (*forget)(void* graph);
};

// For as long as it lives, the calling thread starts kernels on this GPU; null: nothing.
class OnDevice {
 public:
  explicit OnDevice(const Device* device)
      : device_(device), before_(device == nullptr ? 0 : device->enter()) {}
  ~OnDevice() {
    if (device_ != nullptr) device_->leave(before_);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  const Device* device_;
  int before_;
};

// The GPU that a module has brought, or nullptr.
const Device* gpu();
void bring_gpu(const Device* device);  // throws where it means another struct
// nullptr of "cpu"; throws where there is no GPU or the name is another.
const Device* device_named(const std::string& name);

// Where the team's kernels run on a GPU: returns once all that they have written can be read here.
// Elsewhere the barriers have seen to that. Throws what went wrong.
void await(const Team& team);
// Throws what went wrong on a GPU, if anything did.
void check(const char* wrong);

}  // namespace onepass

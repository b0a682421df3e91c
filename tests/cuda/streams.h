// A GPU's memory, queues and graphs on the CPU, for tests: what the emulated runtime is made of.
#pragma once

#include <sys/mman.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "cuda_runtime_api.h"

namespace onepass::fibers {

using Work = std::function<void()>;

// Memory of a GPU that the host must not touch: only what runs on a stream finds it open.
class DeviceMemory {
 public:
  static DeviceMemory& all() {
    static auto& memory = *new DeviceMemory;  // outlives arrays of the interpreter
    return memory;
  }
  void* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::size_t whole = (bytes / kPage + 1) * kPage;
    void* const at = mmap(nullptr, whole, access(), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return nullptr;
    blocks_[at] = whole;
    return at;
  }
  // False: it is no such memory.
  bool release(void* at) {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(at);
    if (found == blocks_.end()) return false;
    munmap(at, found->second);
    blocks_.erase(found);
    return true;
  }
  std::size_t blocks() {
    const std::lock_guard lock(mutex_);
    return blocks_.size();
  }
  void run(const Work& work) {
    count(1);
    work();
    count(-1);
  }

 private:
  static constexpr std::size_t kPage = 4096;

  int access() const { return running_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE; }

  // Threads run works at once: the memory is open for as long as any of them does.
  void count(int more) {
    const std::lock_guard lock(mutex_);
    const int before = access();
    running_ += more;
    if (access() == before) return;
    for (const auto& [at, bytes] : blocks_) mprotect(at, bytes, access());
  }

  int running_ = 0;
  std::mutex mutex_;
  std::map<void*, std::size_t> blocks_;
};

// A moment in a stream: what was started before it is done.
struct Mark {
  Stream* stream = nullptr;
  bool reached = false;
};
struct Event {
  std::shared_ptr<Mark> last;
};

// What was started while a stream was captured, in its order; a copy keeps what it has when the
// executable graph gets other numbers.
struct Graph {
  struct Node {
    Work work;
    Event* event = nullptr;  // instead of work: it is recorded
  };
  std::vector<Node> nodes;
};
struct GraphExec {
  std::shared_ptr<const Graph> graph;
};

// A GPU's queue: the host may be so many starts ahead.
class Stream {
 public:
  std::unique_ptr<Graph> captured;  // in the making
  bool spoilt = false;              // by what a capture does not allow

  Stream() {
    const std::lock_guard lock(streams().mutex);
    streams().all.insert(this);
  }
  ~Stream() {
    const std::lock_guard lock(streams().mutex);
    streams().all.erase(this);
  }
  // Whether it is still there.
  static bool exists(Stream* stream) {
    const std::lock_guard lock(streams().mutex);
    return streams().all.contains(stream);
  }

  void start(Work work) {
    if (captured != nullptr) return captured->nodes.push_back({std::move(work)});
    waiting_.push_back(std::move(work));
    if (waiting_.size() > kMostAhead) run_next();
  }
  std::size_t waiting() const { return waiting_.size(); }
  void finish() {
    while (!waiting_.empty()) run_next();
  }
  // As far as this moment, and no farther.
  static void finish(const Mark& mark) {
    while (!mark.reached && exists(mark.stream)) mark.stream->run_next();
  }

 private:
  static constexpr std::size_t kMostAhead = 1024;
  struct Streams {
    std::mutex mutex;
    std::set<Stream*> all;
  };
  static Streams& streams() {
    static auto& all = *new Streams;  // outlives what the interpreter ends last
    return all;
  }

  void run_next() {
    const auto work = std::move(waiting_.front());
    waiting_.pop_front();
    DeviceMemory::all().run(work);
  }

  std::deque<Work> waiting_;
};

}  // namespace onepass::fibers

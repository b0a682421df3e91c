// Stacks to switch between. On x86-64 by a few instructions of its own, as the C library's switch
// makes two system calls; elsewhere by that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
// A function in which ThreadSanitizer's fiber may change: it sees none of its accesses and calls.
#define ONEPASS_UNSEEN __attribute__((no_sanitize("thread")))
#else
#define ONEPASS_UNSEEN
#endif

namespace onepass::fibers {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kRaces = true;  // ThreadSanitizer looks for them
#else
inline constexpr bool kRaces = false;
#endif

// Stacks that began at the same place of a page would all be kept in a few sets of the caches.
inline constexpr std::size_t kPlaces = 32, kPlaceBytes = 1088;
inline constexpr std::size_t kStackBytes = (std::size_t{1} << 17) + kPlaces * kPlaceBytes;

#if defined(__x86_64__)
// Keeps what a call must keep, on the stack that is left.
ONEPASS_UNSEEN __attribute__((naked, noinline)) inline void switch_stacks(void** /*save*/,
                                                                          void* /*to*/) {
  asm(R"(
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
  )");
}
#endif

class Fiber {
 public:
  using Main = void (*)(void*);

  Fiber();  // the stack that runs already
  Fiber(Main main, void* argument);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // From `this`, which runs, to the other; returns when something switches back.
  void switch_to(Fiber& other);

  // Called so in ThreadSanitizer's reports.
  void name([[maybe_unused]] const char* text) {
#if defined(__SANITIZE_THREAD__)
    __tsan_set_fiber_name(tsan_, text);
#endif
  }

  // ThreadSanitizer takes what runs from here on for the deed of this fiber, on whatever stack it
  // runs. Nothing is ordered by that.
  __attribute__((always_inline)) void answer() const {
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(tsan_, __tsan_switch_to_fiber_no_sync);
#endif
  }

 private:
  static void entry();
  void arrived();

  // Who is being switched to, who from.
  static inline constinit thread_local Fiber *arriving_ = nullptr, *leaving_ = nullptr;

  Main main_ = nullptr;
  void* argument_ = nullptr;
  char* stack_ = nullptr;
#if defined(__x86_64__)
  void* top_ = nullptr;
#else
  ucontext_t context_{};
#endif
#if defined(__SANITIZE_ADDRESS__)
  void* fake_ = nullptr;
  const void* bottom_ = nullptr;
  std::size_t size_ = 0;
#endif
#if defined(__SANITIZE_THREAD__)
  void* tsan_ = nullptr;
#endif
};

#if defined(__SANITIZE_THREAD__)
inline Fiber::Fiber() : tsan_(__tsan_get_current_fiber()) {}
#else
inline Fiber::Fiber() = default;
#endif

// A fiber that ThreadSanitizer sees allocates its stack itself: of memory that another has used, or
// made, it would report races.
ONEPASS_UNSEEN inline Fiber::Fiber(Main main, void* argument) : main_(main), argument_(argument) {
#if defined(__SANITIZE_THREAD__)
  void* const maker = __tsan_get_current_fiber();
  tsan_ = __tsan_create_fiber(0);
  answer();
  stack_ = new char[kStackBytes];
  __tsan_switch_to_fiber(maker, __tsan_switch_to_fiber_no_sync);
#else
  stack_ = new char[kStackBytes];
#endif
#if defined(__x86_64__)
  static constinit thread_local std::size_t made = 0;
  const std::size_t unused = made++ % kPlaces * kPlaceBytes;
  const auto top = reinterpret_cast<std::uintptr_t>(stack_ + kStackBytes - unused);
  auto* words = reinterpret_cast<void**>(top & ~std::uintptr_t{15});
  *--words = nullptr;  // where a return address would be: entry() never returns
  *--words = reinterpret_cast<void*>(&Fiber::entry);
  for (int i = 0; i < 6; ++i) *--words = nullptr;
  top_ = words;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = kStackBytes;
  context_.uc_link = nullptr;
  makecontext(&context_, &Fiber::entry, 0);
#endif
#if defined(__SANITIZE_ADDRESS__)
  bottom_ = stack_;
  size_ = kStackBytes;
#endif
}

ONEPASS_UNSEEN inline Fiber::~Fiber() {
#if defined(__SANITIZE_THREAD__)
  if (main_ == nullptr) return;
  void* const maker = __tsan_get_current_fiber();
  answer();
  delete[] stack_;
  __tsan_switch_to_fiber(maker, __tsan_switch_to_fiber_no_sync);
  __tsan_destroy_fiber(tsan_);
#else
  delete[] stack_;
#endif
}

ONEPASS_UNSEEN inline void Fiber::switch_to(Fiber& other) {
  leaving_ = this;
  arriving_ = &other;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_, other.bottom_, other.size_);
#endif
#if defined(__x86_64__)
  switch_stacks(&top_, other.top_);
#else
  swapcontext(&context_, &other.context_);
#endif
  arrived();
}

ONEPASS_UNSEEN inline void Fiber::arrived() {
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(fake_, &bottom, &size);
  if (leaving_->main_ == nullptr) leaving_->bottom_ = bottom, leaving_->size_ = size;
#endif
}

ONEPASS_UNSEEN inline void Fiber::entry() {
  Fiber* self = arriving_;
  self->arrived();
  self->main_(self->argument_);
  std::abort();  // a fiber has no end
}

// Something happens before: what was done ahead of `release` is seen behind an `acquire` of the
// same mark. For ThreadSanitizer; else nothing.
__attribute__((always_inline)) inline void release([[maybe_unused]] void* mark) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(mark);
#endif
}
__attribute__((always_inline)) inline void acquire([[maybe_unused]] void* mark) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(mark);
#endif
}

}  // namespace onepass::fibers

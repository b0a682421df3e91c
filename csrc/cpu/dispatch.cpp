#include "dispatch.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "isas.h"

namespace onepass {

// Listed best first, so we just go down the list. Behind them, for tests, the GPU's kernels: as
// fibers on the CPU, or on a GPU that reaches the host's memory.
#if defined(ONEPASS_FIBERS)
#define ONEPASS_ALL_ISAS(X) ONEPASS_ISAS(X) X(fibers)
#elif defined(ONEPASS_DEVICE_TESTS)
#define ONEPASS_ALL_ISAS(X) ONEPASS_ISAS(X) X(cuda)
#else
#define ONEPASS_ALL_ISAS(X) ONEPASS_ISAS(X)
#endif

#define ONEPASS_DECLARE(isa) const Kernels& kernels_##isa();
ONEPASS_ALL_ISAS(ONEPASS_DECLARE)
#undef ONEPASS_DECLARE

#if defined(ONEPASS_DEVICE_TESTS)
bool cuda_runs_here();  // tests/cuda/device.cu
#endif

namespace {

// __builtin_cpu_supports also asks the operating system (XGETBV) whether it saves the registers.
bool runs_here(const std::string& isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  // All that -march=x86-64-v3 and -v4 let the compiler use, named one by one for older clangs.
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                  __builtin_cpu_supports("popcnt");
  if (isa == "avx2") return v3;
  if (isa == "avx512") {
    return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
  }
#endif
#if defined(ONEPASS_DEVICE_TESTS)
  if (isa == "cuda") return cuda_runs_here();
#endif
  return isa == "baseline" || isa == "neon" || isa == "fibers";
}

struct Entry {
  std::string name;
  const Kernels* (*get)();
};

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = {
#define ONEPASS_ENTRY(isa) {#isa, [] { return &kernels_##isa(); }},
      ONEPASS_ALL_ISAS(ONEPASS_ENTRY)
#undef ONEPASS_ENTRY
  };
  return all;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

const Kernels* find(const std::string& name, const char* source) {
  for (const auto& entry : entries()) {
    if (entry.name != name) continue;
    if (runs_here(name)) return entry.get();
    throw std::invalid_argument(std::string(source) + ": this machine cannot run '" + name +
                                "'; it can run " + joined(available_isas()));
  }
  throw std::invalid_argument(std::string(source) + ": unknown instruction set '" + name +
                              "'; this build has " + joined(compiled_isas()));
}

const Kernels* initial() {
  const char* wanted = std::getenv("ONEPASS_ISA");
  if (wanted != nullptr && *wanted != '\0') return find(wanted, "ONEPASS_ISA");
  return find(available_isas().front(), "instruction set");
}

std::atomic<const Kernels*> current{nullptr};

}  // namespace

std::vector<std::string> compiled_isas() {
  std::vector<std::string> names;
  for (const auto& entry : entries()) names.push_back(entry.name);
  return names;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const auto& entry : entries()) {
    if (runs_here(entry.name)) names.push_back(entry.name);
  }
  return names;
}

const Kernels& kernels() {
  const Kernels* found = current.load(std::memory_order_acquire);
  if (found == nullptr) {
    found = initial();
    current.store(found, std::memory_order_release);
  }
  return *found;
}

void set_isa(const std::string& name) {
  current.store(find(name, "set_isa"), std::memory_order_release);
}

}  // namespace onepass

// Requests to callgrind, which counts between the two; without valgrind they do nothing. Compiled
// at first use by bench/native.py; plain C ABI. Wants the headers of the valgrind package.
#include <valgrind/callgrind.h>

extern "C" {

void count_from_here() {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
}

void count_until_here(const char* name) {
  CALLGRIND_DUMP_STATS_AT(name);
  CALLGRIND_STOP_INSTRUMENTATION;
}

}  // extern "C"

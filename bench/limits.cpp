// The machine's limits, measured. Compiled at first use by bench/limits.py; plain C ABI.
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// A spinning barrier that gives the core up when it waits long.
class Barrier {
 public:
  explicit Barrier(int n) : n_(n) {}
  void wait() {
    const int phase = phase_.load();
    if (arrived_.fetch_add(1) + 1 == n_) {
      arrived_.store(0);
      phase_.fetch_add(1);
      return;
    }
    for (int64_t spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
      spins < 100000 ? relax() : static_cast<void>(sched_yield());
    }
  }

 private:
  const int n_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> phase_{0};
};

template <class Job>
void on_threads(int n, Job job) {
  std::vector<std::thread> others;
  for (int rank = 1; rank < n; ++rank) others.emplace_back(job, rank);
  job(0);
  for (std::thread& thread : others) thread.join();
}

// Shortest time in which all threads did body(rank) once, over repetitions for some seconds.
template <class Begin, class Body>
double best_time(int threads, double seconds, Begin begin, Body body) {
  Barrier barrier(threads);
  std::atomic<bool> done{false};
  double best = 1e30;
  on_threads(threads, [&](int rank) {
    begin(rank);
    barrier.wait();
    const Clock::time_point first = Clock::now();
    while (!done.load()) {
      barrier.wait();
      const Clock::time_point start = Clock::now();
      body(rank);
      barrier.wait();
      if (rank == 0) {
        best = std::min(best, since(start));
        done.store(since(first) > seconds);
      }
      barrier.wait();
    }
  });
  return best;
}

constexpr int kChains = 12;  // independent additions in flight; two units of latency 4 need 8
constexpr int64_t kRounds = 50000;
volatile double sink;

#if defined(__x86_64__)
#define IN_REGISTER(v) asm volatile("" : "+x"(v))
#else
#define IN_REGISTER(v) asm volatile("" : "+w"(v))
#endif

// a = a * b + c in every chain, as one instruction or (kFused false) as two.
template <class T, int kBytes, bool kFused>
double multiply_add_rate(int threads, double seconds) {
  typedef T V __attribute__((vector_size(kBytes)));
  const auto body = [](int) {
    V b = T(0.5) - V{}, c = T(1) - V{}, a[kChains];
    IN_REGISTER(b);
    IN_REGISTER(c);
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) a[k] = c * T(k);
    for (int64_t i = 0; i < kRounds; ++i) {
#pragma GCC unroll 12
      for (int k = 0; k < kChains; ++k) {
        if constexpr (kFused) {
          a[k] = a[k] * b + c;
        } else {
          V product = a[k] * b;
          IN_REGISTER(product);
          a[k] = product + c;
        }
      }
    }
    V sum{};
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) sum += a[k];
    sink = sum[0];
  };
  const double time = best_time(threads, seconds, [](int) {}, body);
  return 2.0 * kChains * kRounds * (kBytes / sizeof(T)) * threads / time;
}

template <class T>
double multiply_add_rate(const char* isa, int threads, double seconds) {
#if defined(__AVX512F__)
  if (!std::strcmp(isa, "avx512")) return multiply_add_rate<T, 64, true>(threads, seconds);
#endif
#if defined(__AVX2__) && defined(__FMA__)
  if (!std::strcmp(isa, "avx2")) return multiply_add_rate<T, 32, true>(threads, seconds);
#endif
#if defined(__aarch64__)
  if (!std::strcmp(isa, "neon")) return multiply_add_rate<T, 16, true>(threads, seconds);
#endif
  if (!std::strcmp(isa, "baseline")) return multiply_add_rate<T, 16, false>(threads, seconds);
  return 0.0;
}

typedef float Line __attribute__((vector_size(64)));

// One pass over n lines: kReads arrays are read, kUpdates read and written in place, kWrites
// written.
template <int kReads, int kUpdates, int kWrites>
void pass(const std::vector<Line*>& arrays, int64_t begin, int64_t end) {
  Line* a[kReads + kUpdates + kWrites];
  std::copy(arrays.begin(), arrays.end(), a);
  Line total[4] = {};
  for (int64_t i = begin; i < end; i += 4) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      Line value = a[0][i + k];
      for (int r = 1; r < kReads; ++r) value += a[r][i + k];
      for (int u = kReads; u < kReads + kUpdates; ++u) a[u][i + k] = 0.5f * a[u][i + k] + value;
      for (int w = kReads + kUpdates; w < kReads + kUpdates + kWrites; ++w) a[w][i + k] = value;
      if constexpr (kUpdates + kWrites == 0) total[k] += value;
    }
  }
  if constexpr (kUpdates + kWrites == 0) sink = (total[0] + total[1] + total[2] + total[3])[0];
}

using Pass = void (*)(const std::vector<Line*>&, int64_t, int64_t);

Pass find_pass(int reads, int updates, int writes) {
  switch (reads * 100 + updates * 10 + writes) {
    case 100:
      return pass<1, 0, 0>;
    case 200:
      return pass<2, 0, 0>;
    case 101:
      return pass<1, 0, 1>;
    case 201:
      return pass<2, 0, 1>;
    case 301:
      return pass<3, 0, 1>;
    case 110:
      return pass<1, 1, 0>;
    case 120:
      return pass<1, 2, 0>;
    case 130:
      return pass<1, 3, 0>;
    case 140:
      return pass<1, 4, 0>;
    case 150:
      return pass<1, 5, 0>;
    default:
      return nullptr;
  }
}

}  // namespace

extern "C" {

// Floating-point operations a second, or 0 where this build has no such instructions.
double limits_multiply_add(const char* isa, int bits, int threads, double seconds) {
  return bits == 32 ? multiply_add_rate<float>(isa, threads, seconds)
                    : multiply_add_rate<double>(isa, threads, seconds);
}

// Seconds of one pass over arrays of `lines` times 64 bytes each; negative if it cannot be done.
double limits_stream(int reads, int updates, int writes, int64_t lines, int threads,
                     double seconds) {
  const Pass run = find_pass(reads, updates, writes);
  const int count = reads + updates + writes;
  const int64_t share = std::max<int64_t>(4, lines / threads / 4 * 4), own = share * threads;
  // Arrays begin at different offsets in a page, so that they do not fight for one cache set.
  const int64_t stride = (own * 64 + 4095) / 4096 * 4096 + 576;
  const size_t bytes = static_cast<size_t>(stride) * count;
  constexpr size_t kHugePage = size_t{2} << 20;
  char* memory = static_cast<char*>(
      std::aligned_alloc(kHugePage, (bytes + kHugePage - 1) / kHugePage * kHugePage));
  if (run == nullptr || memory == nullptr) {
    std::free(memory);
    return -1.0;
  }
#if defined(MADV_HUGEPAGE)
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  std::vector<Line*> arrays;
  for (int k = 0; k < count; ++k) arrays.push_back(reinterpret_cast<Line*>(memory + k * stride));
  const int64_t passes = std::max<int64_t>(1, (int64_t{16} << 20) / (own * 64 * count));
  const double time = best_time(
      threads, seconds,
      [&](int rank) {
        for (Line* array : arrays) {
          for (int64_t i = rank * share; i < (rank + 1) * share; ++i) array[i] = 1.0f - Line{};
        }
      },
      [&](int rank) {
        for (int64_t p = 0; p < passes; ++p) run(arrays, rank * share, (rank + 1) * share);
      });
  std::free(memory);
  return time / static_cast<double>(passes) * static_cast<double>(lines) / static_cast<double>(own);
}

// Seconds for a line to go from one core to another and be seen there: half a round trip.
double limits_latency(double seconds) {
  constexpr int kTrips = 2000;
  alignas(64) std::atomic<int> ball{0};
  const double time = best_time(
      2, seconds, [](int) {},
      [&](int rank) {
        for (int trip = 0; trip < kTrips; ++trip) {
          while (ball.load(std::memory_order_acquire) != rank) relax();
          ball.store(1 - rank, std::memory_order_release);
        }
      });
  return time / (2.0 * kTrips);
}

// Seconds that the slowest of some threads takes for a fixed amount of arithmetic.
double limits_spin(int threads, int64_t rounds) {
  Barrier barrier(threads);
  std::vector<double> times(threads);
  on_threads(threads, [&](int rank) {
    barrier.wait();
    const Clock::time_point start = Clock::now();
    uint64_t x = 1;
    for (int64_t i = 0; i < rounds; ++i) {
      x = x * 6364136223846793005u + 1442695040888963407u;
      asm volatile("" : "+r"(x));
    }
    times[rank] = since(start);
  });
  return *std::max_element(times.begin(), times.end());
}

}  // extern "C"

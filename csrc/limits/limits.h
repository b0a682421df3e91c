// The machine's limits, measured. Each is the best of many repetitions, because it is a bound.
#pragma once

#include <cstdint>
#include <string>

namespace onepass::limits {

// Floating-point operations a second of multiply-adds in registers, of all threads together.
// Throws std::invalid_argument for an instruction set that cannot run here.
double multiply_add_rate(const std::string& isa, bool float64, int threads, double seconds);

// Seconds of one pass over arrays of `lines` times 64 bytes each, by the best instruction set;
// negative where there is no such pass. Throws std::bad_alloc.
double stream_seconds(int reads, int updates, int writes, int64_t lines, int threads,
                      double seconds);

// Seconds for a line to go from one core to another and be seen there: half a round trip.
double core_to_core_seconds(double seconds);

// Seconds that the slowest of some threads takes for a fixed amount of arithmetic.
double spin_seconds(int threads, int64_t rounds);

}  // namespace onepass::limits

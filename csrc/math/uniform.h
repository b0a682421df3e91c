// A random word as a number between two others.
#pragma once

#include "hd.h"

namespace onepass::math {
namespace {

// The middle of the word's 2^-32 of the way.
ONEPASS_HD double uniform(std::uint32_t word, double low, double high) {
  return low + (high - low) * ((static_cast<double>(word) + 0.5) * 0x1p-32);
}

}  // namespace
}  // namespace onepass::math

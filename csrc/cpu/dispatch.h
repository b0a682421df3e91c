// Which instruction set runs: chosen once, best first; overridden by ONEPASS_ISA or set_isa().
#pragma once

#include <string>
#include <vector>

#include "../kernels.h"

namespace onepass {

// Names compiled into this build that this machine can run, best first.
std::vector<std::string> available_isas();
// Names compiled into this build, best first.
std::vector<std::string> compiled_isas();

// The kernels in use. Throws std::runtime_error when ONEPASS_ISA names something that cannot run.
const Kernels& kernels();
// Throws std::invalid_argument when the name is unknown or cannot run here.
void set_isa(const std::string& name);

}  // namespace onepass

// The GPU as plans see it.
#pragma once

#include "../device.h"

namespace onepass {

const Device& cuda_device();

}  // namespace onepass

// Every update rule, once. Adding one: its header in rules/, its name here.
#pragma once

#include "rules/adam.h"
#include "rules/sgd.h"

namespace onepass::math {
namespace {

using Rules = List<Sgd, Momentum, Nesterov, Adam, AdamW>;

}  // namespace
}  // namespace onepass::math

// Which rule an id stands for.
#pragma once

#include <type_traits>

#include "../math/rules.h"

namespace onepass {

template <class Rule>
bool is_rule(int id) {
  bool is = false;
  math::AllRules::visit(id, [&](auto rule) { is = std::is_same_v<decltype(rule), Rule>; });
  return is;
}

}  // namespace onepass

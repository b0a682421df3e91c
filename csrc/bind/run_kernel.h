// How a binding runs its kernel.
#pragma once

#include <pybind11/pybind11.h>

#include "../cpu/dispatch.h"
#include "../cpu/pool.h"

namespace onepass::bind {

// Runs `kernel` of the table in use on `arguments` with the GIL released.
template <class T, class Arguments>
void run_kernel(void (*KernelTable<T>::*kernel)(const Arguments&, Team&), const Arguments& a,
                double work) {
  const auto function = kernels().of<T>().*kernel;
  pybind11::gil_scoped_release release;
  run_team(work, [&](Team& team) { function(a, team); });
}

template <class T>
double sweep_work(Matrix<T> a) {
  return kElementWork * static_cast<double>(a.rows) * static_cast<double>(a.cols);
}

}  // namespace onepass::bind

// Running one kernel of the table in use on arrays.
#pragma once

#include "../cpu/dispatch.h"
#include "../cpu/pool.h"
#include "arrays.h"

namespace onepass::bind {

// Class indices: int32, one a row.
inline const int32_t* index_of(const py::array& a, const char* name) {
  return matrix_of<int32_t>(a, name).data;
}

// Runs `kernel` of the table in use on `arguments` with the GIL released.
template <class T, class Arguments>
void run_kernel(void (*KernelTable<T>::*kernel)(const Arguments&, Team&), const Arguments& a,
                double work) {
  const auto function = kernels().of<T>().*kernel;
  py::gil_scoped_release release;
  run_team(work, [&](Team& team) { function(a, team); });
}

template <class T>
double product_work(Matrix<T> a, int64_t cols) {
  return static_cast<double>(a.rows) * static_cast<double>(a.cols) * static_cast<double>(cols);
}

template <class T>
double sweep_work(Matrix<T> a) {
  return kElementWork * static_cast<double>(a.rows) * static_cast<double>(a.cols);
}

}  // namespace onepass::bind

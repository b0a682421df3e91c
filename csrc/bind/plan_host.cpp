#include <pybind11/stl.h>

#include <memory>
#include <vector>

#include "../plan/calls/host.h"
#include "plan_object.h"

namespace onepass::bind {
namespace {

// The rows of a step as an array over the plan's own memory.
template <class T>
py::array rows_as_array(const Frame& f, BufferId id, const py::capsule& nobody) {
  const Matrix<T> m = f.matrix<T>(id);
  const py::ssize_t item = sizeof(T);
  return py::array_t<T>({static_cast<py::ssize_t>(m.rows), static_cast<py::ssize_t>(m.cols)},
                        {static_cast<py::ssize_t>(m.stride) * item, item}, m.data, nobody);
}

// Calls function(reads, writes) with lists of arrays, in the thread that runs the plan. An
// exception stays the thread's error, which `run` raises.
void host(PlanObject& plan, const py::function& function, const std::vector<int>& reads,
          const std::vector<int>& writes) {
  for (const int id : reads) plan.program().buffer(id);
  for (const int id : writes) plan.program().buffer(id);
  plan.hold(function);
  PyObject* const target = function.ptr();  // held; a copied handle would count without the GIL
  const bool float64 = plan.float64();
  plan.program().add_call(
      std::make_unique<HostCall>([target, float64, reads, writes](const Frame& f) {
        const py::gil_scoped_acquire acquire;
        try {
          const py::capsule nobody(&f, [](void*) {});
          const auto list_of = [&](const std::vector<int>& ids) {
            py::list arrays;
            for (const int id : ids) {
              arrays.append(float64 ? rows_as_array<double>(f, id, nobody)
                                    : rows_as_array<float>(f, id, nobody));
            }
            return arrays;
          };
          const py::handle call(target);
          call(list_of(reads), list_of(writes));
          return true;
        } catch (py::error_already_set& error) {
          error.restore();
          return false;
        }
      }));
}

}  // namespace

void add_host_calls(PlanClass& plan) {
  using py::arg;
  plan.def("host", &host, py::kw_only(), arg("function"), arg("reads"), arg("writes"));
}

}  // namespace onepass::bind

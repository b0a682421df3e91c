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

// What a function is given of a buffer: class indices are whole numbers, all else floats.
struct HostBuffer {
  BufferId id;
  bool index;
};

py::array array_of(const Frame& f, HostBuffer buffer, bool float64, const py::capsule& nobody) {
  if (buffer.index) return rows_as_array<int32_t>(f, buffer.id, nobody);
  return float64 ? rows_as_array<double>(f, buffer.id, nobody)
                 : rows_as_array<float>(f, buffer.id, nobody);
}

// Calls function(reads, writes) with lists of arrays, in the thread that runs the plan. An
// exception stays the thread's error, which `run` raises.
void host(PlanObject& plan, const py::function& function, const std::vector<int>& reads,
          const std::vector<int>& writes) {
  const auto buffers_of = [&plan](const std::vector<int>& ids) {
    std::vector<HostBuffer> buffers;
    for (const int id : ids) {
      plan.program().buffer(id);  // raises where there is none
      buffers.push_back({id, plan.holds_indices(id)});
    }
    return buffers;
  };
  plan.hold(function);
  PyObject* const target = function.ptr();  // held; a copied handle would count without the GIL
  const bool float64 = plan.float64();
  plan.program().add_call(std::make_unique<HostCall>(
      [target, float64, from = buffers_of(reads), to = buffers_of(writes)](const Frame& f) {
        const py::gil_scoped_acquire acquire;
        try {
          const py::capsule nobody(&f, [](void*) {});
          const auto list_of = [&](const std::vector<HostBuffer>& buffers) {
            py::list arrays;
            for (const HostBuffer buffer : buffers) {
              arrays.append(array_of(f, buffer, float64, nobody));
            }
            return arrays;
          };
          const py::handle call(target);
          call(list_of(from), list_of(to));
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

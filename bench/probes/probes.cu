// Questions to a GPU and its libraries on which the design of kernels rests. Without an argument it
// names the probes; `probes NAME [LIBRARY]` does one and prints JSON: a process each, so that none
// takes others with it. LIBRARY: where libcublasLt.so.13 is. Ends with 1 where a probe failed, with
// 2 where it cannot be done here, and says why.
#include <functional>
#include <utility>

#include "arithmetic.h"
#include "barriers.h"
#include "launches.h"
#include "products.h"
#include "rates.h"

namespace onepass::probes {
namespace {

using Probe = std::pair<std::string, std::function<Json()>>;

void need_a_gpu() {
  int driver = 0, devices = 0;
  require(cudaDriverGetVersion(&driver), "the driver's version");
  if (driver == 0) throw Missing("there is no NVIDIA driver here");
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess) throw Missing(cudaGetErrorString(status));
  if (devices == 0) throw Missing("the NVIDIA driver finds no GPU");
}

int tell(const char* key, const std::string& why, int status) {
  std::puts(Json().put(key, why).text().c_str());
  return status;
}

int run(const std::vector<std::string>& arguments) {
  const std::string library = arguments.size() > 1 ? arguments[1] : "libcublasLt.so.13";
  const std::vector<Probe> probes = {
      {"rates", rates},
      {"launches", launches},
      {"barriers", barriers},
      {"arithmetic", arithmetic},
      {"products", [&library] { return products(library); }},
  };
  if (arguments.empty()) {
    for (const auto& [name, probe] : probes) std::puts(name.c_str());
    return 0;
  }
  for (const auto& [name, probe] : probes) {
    if (name != arguments[0]) continue;
    try {
      need_a_gpu();
      std::puts(probe().text().c_str());
      return 0;
    } catch (const Missing& why) {
      return tell("missing", why.what(), 2);
    } catch (const std::exception& why) {
      return tell("failed", why.what(), 1);
    }
  }
  return tell("failed", "there is no probe " + arguments[0], 1);
}

}  // namespace
}  // namespace onepass::probes

int main(int count, char** arguments) {
  return onepass::probes::run({arguments + 1, arguments + count});
}

#include "device.h"

#include <atomic>
#include <stdexcept>
#include <string>

namespace onepass {
namespace {

std::atomic<const Device*> brought{nullptr};

}  // namespace

const Device* gpu() { return brought.load(std::memory_order_acquire); }

void bring_gpu(const Device* device) {
  if (device->size != sizeof(Device)) {
    throw std::invalid_argument("onepass._cuda was built from other sources than onepass._core");
  }
  brought.store(device, std::memory_order_release);
}

const Device* device_named(const std::string& name) {
  if (name == "cpu") return nullptr;
  if (name != "cuda") throw std::invalid_argument("device must be cpu or cuda, got " + name);
  if (gpu() == nullptr) throw std::invalid_argument("device cuda: no GPU was brought");
  return gpu();
}

void await(const Team& team) {
  if (team.device == nullptr) return;
  check(team.device->wait(team.stream));
}

void check(const char* wrong) {
  if (wrong != nullptr) throw std::runtime_error(std::string("the GPU failed: ") + wrong);
}

}  // namespace onepass

// The kernels whose loops test_native.py looks into, without all the others: compiled in half of
// the time.
#include "../../csrc/cpu/dense.h"
#include "../../csrc/cpu/update.h"
#include "../../csrc/loops/elementwise.h"

namespace onepass {
namespace ONEPASS_ISA {

template <class T>
struct Loops {
  decltype(KernelTable<T>::dense_forward) forward = dense_forward<T>;
  decltype(KernelTable<T>::dense_backward_input) backward = dense_backward_input<T>;
  decltype(KernelTable<T>::activation_forward) activation = activation_forward<T>;
  decltype(KernelTable<T>::activation_backward) derivative = activation_backward<T>;
  decltype(KernelTable<T>::update) step = update<T>;
};

extern const Loops<float> kLoopsOfFloat;
extern const Loops<double> kLoopsOfDouble;
const Loops<float> kLoopsOfFloat;
const Loops<double> kLoopsOfDouble;

}  // namespace ONEPASS_ISA
}  // namespace onepass

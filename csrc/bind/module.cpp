#include "register.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "Compiled kernels and plans of onepass. Use onepass.kernels and the models instead.";
  onepass::bind::register_config(m);
  onepass::bind::register_formulas(m);
  onepass::bind::register_kernels(m);
  onepass::bind::register_normalization_kernels(m);
  onepass::bind::register_combine_kernels(m);
  onepass::bind::register_noise_kernels(m);
  onepass::bind::register_regularizing_kernels(m);
  onepass::bind::register_metrics_kernels(m);
  onepass::bind::register_rowwise_kernels(m);
  onepass::bind::register_circle_kernels(m);
  onepass::bind::register_optimizer(m);
  onepass::bind::register_predictor(m);
  onepass::bind::register_plan(m);
  onepass::bind::register_limits(m);
}

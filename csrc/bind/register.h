// One function per topic, each adding its names to the extension module.
#pragma once

#include <pybind11/pybind11.h>

namespace onepass::bind {

void register_circle_kernels(pybind11::module_& m);
void register_combine_kernels(pybind11::module_& m);
void register_config(pybind11::module_& m);
void register_formulas(pybind11::module_& m);
void register_kernels(pybind11::module_& m);
void register_limits(pybind11::module_& m);
void register_normalization_kernels(pybind11::module_& m);
void register_noise_kernels(pybind11::module_& m);
void register_optimizer(pybind11::module_& m);
void register_plan(pybind11::module_& m);
void register_predictor(pybind11::module_& m);
void register_regularizing_kernels(pybind11::module_& m);
void register_metrics_kernels(pybind11::module_& m);
void register_rowwise_kernels(pybind11::module_& m);

}  // namespace onepass::bind

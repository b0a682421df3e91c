"""Fused kernels that train and serve multilayer perceptrons and step optimizers in one pass.

``import onepass as keras`` runs Keras 3 snippets; so does ``import onepass as tf`` with
``tf.keras.…``.
"""

import sys

from onepass import (
    activations,
    backend,
    callbacks,
    config,
    constraints,
    datasets,
    diagnosis,
    initializers,
    kernels,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    regularizers,
    utils,
)
from onepass.layers import Input
from onepass.models import Model, Sequential

__version__ = "0.1.0"
keras = sys.modules[__name__]
__all__ = [
    "Input",
    "Model",
    "Sequential",
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "diagnosis",
    "initializers",
    "keras",
    "kernels",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "regularizers",
    "utils",
]

# So that ``from onepass.keras.layers import Dense`` finds these very modules.
sys.modules[f"{__name__}.keras"] = keras
for _name in (*__all__, "optimizers.schedules"):
    if f"{__name__}.{_name}" in sys.modules and _name != "keras":
        sys.modules[f"{__name__}.keras.{_name}"] = sys.modules[f"{__name__}.{_name}"]

"""Initial values of parameters, with Keras's names, arguments and distributions."""

from onepass.initializers.fixed import Constant, Identity, Ones, Zeros
from onepass.initializers.initializer import Initializer
from onepass.initializers.lookup import get, serialize
from onepass.initializers.random import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from onepass.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
    "serialize",
]

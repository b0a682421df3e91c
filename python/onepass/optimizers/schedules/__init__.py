"""Learning rates as functions of the steps done, with Keras's names, defaults and formulas."""

from onepass.optimizers.schedules.cosine import CosineDecay, CosineDecayRestarts
from onepass.optimizers.schedules.decays import (
    Constant,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from onepass.optimizers.schedules.registry import deserialize, serialize
from onepass.optimizers.schedules.schedule import LearningRateSchedule
from onepass.optimizers.schedules.warmup import LinearWarmup, OneCycle

__all__ = [
    "Constant",
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "LinearWarmup",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]

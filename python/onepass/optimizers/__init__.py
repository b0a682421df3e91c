"""Update rules for models and for plain arrays, with Keras's names and defaults."""

from onepass.optimizers import schedules
from onepass.optimizers.adam import Adam, AdamW
from onepass.optimizers.array_steps import StepResult
from onepass.optimizers.optimizer import Optimizer
from onepass.optimizers.registry import get
from onepass.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "StepResult", "get", "schedules"]

"""Update rules for models and for plain arrays, with Keras's names and defaults."""

from onepass.optimizers import schedules
from onepass.optimizers._gpu_steps import StepResult
from onepass.optimizers.adadelta import Adadelta
from onepass.optimizers.adafactor import Adafactor
from onepass.optimizers.adagrad import Adagrad
from onepass.optimizers.adam import Adam, AdamW
from onepass.optimizers.adam_hd import AdamHD
from onepass.optimizers.adamax import Adamax
from onepass.optimizers.asgd import ASGD
from onepass.optimizers.ftrl import Ftrl
from onepass.optimizers.lamb import Lamb
from onepass.optimizers.lars import LARS
from onepass.optimizers.lion import Lion
from onepass.optimizers.muon import Muon
from onepass.optimizers.nadam import Nadam
from onepass.optimizers.optimizer import Optimizer
from onepass.optimizers.radam import RAdam
from onepass.optimizers.registry import deserialize, get, serialize
from onepass.optimizers.rmsprop import RMSprop
from onepass.optimizers.rprop import Rprop
from onepass.optimizers.schedule_free_adamw import ScheduleFreeAdamW
from onepass.optimizers.sgd import SGD
from onepass.optimizers.sgd_hd import SGDHD

__all__ = [
    "ASGD",
    "LARS",
    "SGD",
    "SGDHD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamHD",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "Nadam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "ScheduleFreeAdamW",
    "StepResult",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

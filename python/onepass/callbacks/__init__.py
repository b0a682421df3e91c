"""Code of the user's that runs while a model trains, evaluates or predicts."""

from onepass.callbacks.callback import Callback
from onepass.callbacks.callback_list import CallbackList
from onepass.callbacks.early_stopping import EarlyStopping
from onepass.callbacks.history import History
from onepass.callbacks.learning_rate_scheduler import LearningRateScheduler
from onepass.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from onepass.callbacks.training_diagnosis import TrainingDiagnosis

__all__ = [
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LearningRateScheduler",
    "ReduceLROnPlateau",
    "TrainingDiagnosis",
]

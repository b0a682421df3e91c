"""Code of the user's that runs while a model trains, evaluates or predicts."""

from onepass.callbacks.callback import Callback
from onepass.callbacks.callback_list import CallbackList
from onepass.callbacks.history import History
from onepass.callbacks.training_diagnosis import TrainingDiagnosis

__all__ = ["Callback", "CallbackList", "History", "TrainingDiagnosis"]

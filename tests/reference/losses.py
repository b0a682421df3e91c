"""Losses over the last axis: ``loss(target, prediction, **hyper)`` gives (values, gradients).

``values`` has one number a row, ``gradients`` is d values[row] / d prediction[row].
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from reference.activations import log_softmax, sigmoid, softmax

Array = NDArray[np.float64]

EPSILON = 1e-7  # probabilities are clipped to [EPSILON, 1 - EPSILON], as in Keras


def one_hot(index: NDArray[np.integer], classes: int) -> Array:
    return np.eye(classes)[index]


def mean_squared_error(target: Array, prediction: Array) -> tuple[Array, Array]:
    difference = prediction - target
    return (difference**2).mean(-1), 2.0 * difference / prediction.shape[-1]


def smooth_binary(target: Array, label_smoothing: float) -> Array:
    return target * (1.0 - label_smoothing) + 0.5 * label_smoothing


def binary_crossentropy(
    target: Array, prediction: Array, label_smoothing: float
) -> tuple[Array, Array]:
    t = smooth_binary(target, label_smoothing)
    p = np.clip(prediction, EPSILON, 1.0 - EPSILON)
    values = -(t * np.log(p) + (1.0 - t) * np.log(1.0 - p))
    gradient = (1.0 - t) / (1.0 - p) - t / p
    inside = (prediction >= EPSILON) & (prediction <= 1.0 - EPSILON)
    return values.mean(-1), np.where(inside, gradient, 0.0) / prediction.shape[-1]


def binary_crossentropy_from_logits(
    target: Array, prediction: Array, label_smoothing: float
) -> tuple[Array, Array]:
    t = smooth_binary(target, label_smoothing)
    z = prediction
    values = t * np.logaddexp(0.0, -z) + (1.0 - t) * np.logaddexp(0.0, z)
    return values.mean(-1), (sigmoid(z) - t) / z.shape[-1]


def smooth_categorical(target: Array, label_smoothing: float) -> Array:
    return target * (1.0 - label_smoothing) + label_smoothing / target.shape[-1]


def categorical_crossentropy(
    target: Array, prediction: Array, label_smoothing: float
) -> tuple[Array, Array]:
    t = smooth_categorical(target, label_smoothing)
    total = prediction.sum(-1, keepdims=True)
    q = prediction / total
    clipped = np.clip(q, EPSILON, 1.0 - EPSILON)
    values = -(t * np.log(clipped)).sum(-1)
    inside = (q >= EPSILON) & (q <= 1.0 - EPSILON)
    dq = np.where(inside, -t / clipped, 0.0)
    # q_k = p_k / total, so dq_k / dp_j = (delta_kj - q_k) / total
    return values, (dq - (dq * q).sum(-1, keepdims=True)) / total


def categorical_crossentropy_from_logits(
    target: Array, prediction: Array, label_smoothing: float
) -> tuple[Array, Array]:
    t = smooth_categorical(target, label_smoothing)
    values = -(t * log_softmax(prediction)).sum(-1)
    return values, softmax(prediction) * t.sum(-1, keepdims=True) - t


LOSSES: dict[str, Callable[..., tuple[Array, Array]]] = {
    "mean_squared_error": mean_squared_error,
    "binary_crossentropy": binary_crossentropy,
    "binary_crossentropy_from_logits": binary_crossentropy_from_logits,
    "categorical_crossentropy": categorical_crossentropy,
    "categorical_crossentropy_from_logits": categorical_crossentropy_from_logits,
}

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


def mean_absolute_error(target: Array, prediction: Array) -> tuple[Array, Array]:
    difference = prediction - target
    return np.abs(difference).mean(-1), np.sign(difference) / prediction.shape[-1]


def mean_absolute_percentage_error(target: Array, prediction: Array) -> tuple[Array, Array]:
    percent = 100.0 / np.maximum(np.abs(target), EPSILON)
    difference = prediction - target
    values = percent * np.abs(difference)
    return values.mean(-1), percent * np.sign(difference) / prediction.shape[-1]


def mean_squared_logarithmic_error(target: Array, prediction: Array) -> tuple[Array, Array]:
    p = np.maximum(prediction, EPSILON)
    difference = np.log1p(p) - np.log1p(np.maximum(target, EPSILON))
    slope = np.where(prediction < EPSILON, 0.0, 2.0 * difference / (1.0 + p))
    return (difference**2).mean(-1), slope / prediction.shape[-1]


def huber(target: Array, prediction: Array, delta: float) -> tuple[Array, Array]:
    e = prediction - target
    values = np.where(np.abs(e) <= delta, 0.5 * e**2, delta * np.abs(e) - 0.5 * delta**2)
    return values.mean(-1), np.clip(e, -delta, delta) / e.shape[-1]


def log_cosh(target: Array, prediction: Array) -> tuple[Array, Array]:
    e = prediction - target
    # cosh(e) - 1 = 2 sinh(e / 2)^2; large e: cosh(e) = exp(|e|) / 2 (1 + exp(-2 |e|))
    near = np.log1p(2.0 * np.sinh(np.clip(e, -1.0, 1.0) / 2.0) ** 2)
    far = np.abs(e) + np.log1p(np.exp(-2.0 * np.abs(e))) - np.log(2.0)
    return np.where(np.abs(e) < 1.0, near, far).mean(-1), np.tanh(e) / e.shape[-1]


def quantile(target: Array, prediction: Array, quantile: float) -> tuple[Array, Array]:
    e = target - prediction
    values = np.maximum(quantile * e, (quantile - 1.0) * e)
    slope = -quantile * (e > 0.0) + (1.0 - quantile) * (e < 0.0)
    return values.mean(-1), np.where(np.isnan(e), e, slope) / e.shape[-1]


def poisson(target: Array, prediction: Array) -> tuple[Array, Array]:
    p = prediction + EPSILON
    values = prediction - target * np.log(p)
    return values.mean(-1), (1.0 - target / p) / prediction.shape[-1]


def labels(target: Array) -> Array:
    return np.where(target == 0.0, -1.0, target)


def hinge(target: Array, prediction: Array) -> tuple[Array, Array]:
    t = labels(target)
    missing = 1.0 - t * prediction
    return np.maximum(missing, 0.0).mean(-1), np.where(missing > 0.0, -t, 0.0) / t.shape[-1]


def squared_hinge(target: Array, prediction: Array) -> tuple[Array, Array]:
    t = labels(target)
    missing = np.maximum(1.0 - t * prediction, 0.0)
    return (missing**2).mean(-1), -2.0 * t * missing / t.shape[-1]


def perceptron(target: Array, prediction: Array) -> tuple[Array, Array]:
    t = labels(target)
    margin = t * prediction
    return np.maximum(-margin, 0.0).mean(-1), np.where(margin <= 0.0, -t, 0.0) / t.shape[-1]


def kl_divergence(target: Array, prediction: Array) -> tuple[Array, Array]:
    t, q = np.clip(target, EPSILON, 1.0), np.clip(prediction, EPSILON, 1.0)
    inside = (prediction >= EPSILON) & (prediction <= 1.0)
    return (t * np.log(t / q)).sum(-1), np.where(inside, -t / q, 0.0)


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


def binary_focal_crossentropy(
    target: Array,
    prediction: Array,
    positive_weight: float,
    negative_weight: float,
    gamma: float,
    label_smoothing: float,
) -> tuple[Array, Array]:
    t = smooth_binary(target, label_smoothing)
    weight = positive_weight * t + negative_weight * (1.0 - t)
    p = np.clip(prediction, EPSILON, 1.0 - EPSILON)
    cost = -(t * np.log(p) + (1.0 - t) * np.log(1.0 - p))
    inside = (prediction >= EPSILON) & (prediction <= 1.0 - EPSILON)
    slope = np.where(inside, (1.0 - t) / (1.0 - p) - t / p, 0.0)
    wrong = t * (1.0 - prediction) + (1.0 - t) * prediction
    gradient = gamma * wrong ** (gamma - 1.0) * (1.0 - 2.0 * t) * cost + wrong**gamma * slope
    return (weight * wrong**gamma * cost).mean(-1), weight * gradient / p.shape[-1]


def binary_focal_crossentropy_from_logits(
    target: Array,
    prediction: Array,
    positive_weight: float,
    negative_weight: float,
    gamma: float,
    label_smoothing: float,
) -> tuple[Array, Array]:
    t = smooth_binary(target, label_smoothing)
    weight = positive_weight * t + negative_weight * (1.0 - t)
    z = prediction
    p, other = sigmoid(z), sigmoid(-z)
    cost = t * np.logaddexp(0.0, -z) + (1.0 - t) * np.logaddexp(0.0, z)
    wrong = t * other + (1.0 - t) * p
    dwrong = (1.0 - 2.0 * t) * p * other
    gradient = gamma * wrong ** (gamma - 1.0) * dwrong * cost + wrong**gamma * (p - t)
    return (weight * wrong**gamma * cost).mean(-1), weight * gradient / z.shape[-1]


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


def categorical_focal_crossentropy(
    target: Array, prediction: Array, class_weight: float, gamma: float, label_smoothing: float
) -> tuple[Array, Array]:
    t = smooth_categorical(target, label_smoothing)
    total = prediction.sum(-1, keepdims=True)
    q = prediction / total
    c = np.clip(q, EPSILON, 1.0 - EPSILON)
    values = -class_weight * (t * (1.0 - c) ** gamma * np.log(c)).sum(-1)
    inside = (q >= EPSILON) & (q <= 1.0 - EPSILON)
    slope = gamma * (1.0 - c) ** (gamma - 1.0) * np.log(c) - (1.0 - c) ** gamma / c
    dq = np.where(inside, class_weight * t * slope, 0.0)
    return values, (dq - (dq * q).sum(-1, keepdims=True)) / total


def categorical_focal_crossentropy_from_logits(
    target: Array, prediction: Array, class_weight: float, gamma: float, label_smoothing: float
) -> tuple[Array, Array]:
    t = smooth_categorical(target, label_smoothing)
    log_p = log_softmax(prediction)
    p, rest = np.exp(log_p), -np.expm1(log_p)
    values = -class_weight * (t * rest**gamma * log_p).sum(-1)
    dlog = class_weight * t * (gamma * rest ** (gamma - 1.0) * p * log_p - rest**gamma)
    return values, dlog - p * dlog.sum(-1, keepdims=True)


def categorical_generalized_crossentropy(
    target: Array, prediction: Array, q: float
) -> tuple[Array, Array]:
    p = (target * prediction).sum(-1)
    slope = -(np.maximum(p, EPSILON) ** (q - 1.0))
    return (1.0 - p**q) / q, target * slope[..., None]


def overlap(target, prediction, missed, false_alarms, epsilon, axis):
    i = (target * prediction).sum(axis, keepdims=True)
    misses = (target * (1.0 - prediction)).sum(axis, keepdims=True)
    alarms = ((1.0 - target) * prediction).sum(axis, keepdims=True)
    whole = i + missed * misses + false_alarms * alarms + epsilon
    growth = target - missed * target + false_alarms * (1.0 - target)
    return 1.0 - i / whole, -(target * whole - i * growth) / whole**2


def tversky(
    target: Array, prediction: Array, missed: float, false_alarms: float, epsilon: float
) -> tuple[Array, Array]:
    value, gradient = overlap(target, prediction, missed, false_alarms, epsilon, -1)
    return value[..., 0], gradient


def tversky_of_batch(
    target: Array, prediction: Array, missed: float, false_alarms: float, epsilon: float
) -> tuple[Array, Array]:
    """Every row has the value of all; the gradient is that of this one value."""
    value, gradient = overlap(target, prediction, missed, false_alarms, epsilon, None)
    return np.full(prediction.shape[:-1], value.item()), gradient


def cosine_similarity(target: Array, prediction: Array) -> tuple[Array, Array]:
    def length(x: Array) -> Array:
        return np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), EPSILON)

    y, p = target / length(target), prediction / length(prediction)
    cosine = (y * p).sum(-1, keepdims=True)
    # moving along the prediction itself changes nothing
    return -cosine[..., 0], -(y - cosine * p) / length(prediction)


def categorical_hinge(target: Array, prediction: Array) -> tuple[Array, Array]:
    wrong = (1.0 - target) * prediction
    largest = wrong.max(-1, keepdims=True, initial=-np.inf)
    missing = 1.0 + largest - (target * prediction).sum(-1, keepdims=True)
    shared = (wrong == largest) / (wrong == largest).sum(-1, keepdims=True)
    slope = np.where(missing > 0.0, (1.0 - target) * shared - target, 0.0)
    return np.maximum(missing, 0.0)[..., 0], slope


LOSSES: dict[str, Callable[..., tuple[Array, Array]]] = {
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "mean_absolute_percentage_error": mean_absolute_percentage_error,
    "mean_squared_logarithmic_error": mean_squared_logarithmic_error,
    "huber": huber,
    "log_cosh": log_cosh,
    "quantile": quantile,
    "poisson": poisson,
    "hinge": hinge,
    "squared_hinge": squared_hinge,
    "perceptron": perceptron,
    "kl_divergence": kl_divergence,
    "binary_crossentropy": binary_crossentropy,
    "binary_crossentropy_from_logits": binary_crossentropy_from_logits,
    "binary_focal_crossentropy": binary_focal_crossentropy,
    "binary_focal_crossentropy_from_logits": binary_focal_crossentropy_from_logits,
    "categorical_crossentropy": categorical_crossentropy,
    "categorical_crossentropy_from_logits": categorical_crossentropy_from_logits,
    "categorical_focal_crossentropy": categorical_focal_crossentropy,
    "categorical_focal_crossentropy_from_logits": categorical_focal_crossentropy_from_logits,
    "categorical_generalized_crossentropy": categorical_generalized_crossentropy,
    "cosine_similarity": cosine_similarity,
    "categorical_hinge": categorical_hinge,
    "tversky": tversky,
    "tversky_of_batch": tversky_of_batch,
}

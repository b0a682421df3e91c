"""A multilayer perceptron by the textbook: layers, weighted losses, backpropagation, training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.activations import ACTIVATIONS, softmax, softmax_backward
from reference.losses import LOSSES, one_hot
from reference.rules import Stepper

Array = NDArray[np.float64]

# Pairs of output activation and loss whose loss is better taken from the logits.
FROM_LOGITS = {("softmax", "categorical_crossentropy"), ("sigmoid", "binary_crossentropy")}


def activate(z: Array, name: str, **hyper: float) -> Array:
    return softmax(z) if name == "softmax" else ACTIVATIONS[name].value(z, **hyper)


def activation_gradient(z: Array, dy: Array, name: str, **hyper: float) -> Array:
    if name == "softmax":
        return softmax_backward(softmax(z), dy)
    return dy * ACTIVATIONS[name].derivative(z, **hyper)


@dataclass
class Layer:
    """``activation(x w + b)``; a frozen layer passes gradients on but is not trained."""

    w: Array
    b: Array | None = None
    activation: str = "linear"
    hyper: dict[str, float] = field(default_factory=dict)
    frozen: bool = False


class Mlp:
    """Layers with a loss and an update rule.

    ``loss`` is a name of ``LOSSES``; with integer targets they are class indices. ``reduction`` is
    "mean" (the sum over the rows of weight times value, divided by the number of rows) or "sum".
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        loss: str,
        *,
        reduction: str = "mean",
        loss_options: dict[str, float] | None = None,
        loss_weight: float = 1.0,
        rule: str = "sgd",
        **optimizer: Any,
    ) -> None:
        self.layers = list(layers)
        last = self.layers[-1]
        self.from_logits = (last.activation, loss) in FROM_LOGITS
        self.loss = loss + ("_from_logits" if self.from_logits else "")
        self.reduction = reduction
        self.loss_weight = loss_weight
        default = {"label_smoothing": 0.0} if "crossentropy" in loss else {}
        self.loss_options = default | (loss_options or {})
        self.stepper = Stepper(rule, self._trained(), **optimizer)

    def _trained(self) -> list[Array]:
        return [p for k in self.layers if not k.frozen for p in (k.w, k.b) if p is not None]

    @property
    def weights(self) -> list[Array]:
        """All parameters, layer by layer."""
        return [p for k in self.layers for p in (k.w, k.b) if p is not None]

    def _forward(self, x: Array) -> tuple[list[Array], list[Array]]:
        """Return each layer's input (and the output at the end) and its value before activation."""
        values, before = [np.asarray(x, np.float64)], []
        for layer in self.layers:
            z = values[-1] @ layer.w + (0.0 if layer.b is None else layer.b)
            before.append(z)
            values.append(activate(z, layer.activation, **layer.hyper))
        return values, before

    def predict(self, x: Array) -> Array:
        return self._forward(x)[0][-1]

    def rows(self, x: Array, y: NDArray[np.generic]) -> tuple[Array, Array, Array, list[Array]]:
        """Return the loss of each row, its gradient, and what the forward pass computed."""
        values, before = self._forward(x)
        prediction = before[-1] if self.from_logits else values[-1]
        target = np.asarray(y)
        if target.dtype.kind in "iu" and target.ndim < prediction.ndim:
            target = one_hot(target, prediction.shape[-1])
        losses, gradient = LOSSES[self.loss](
            target.astype(np.float64), prediction, **self.loss_options
        )
        return losses, gradient, values, before

    def row_losses(self, x: Array, y: NDArray[np.generic]) -> Array:
        return self.rows(x, y)[0]

    def objective(self, x: Array, y: NDArray[np.generic], weights: Array | None = None) -> float:
        """Return the reduced loss of one batch."""
        losses = self.row_losses(x, y)
        total = float(np.sum(losses if weights is None else losses * weights)) * self.loss_weight
        return total if self.reduction == "sum" else total / losses.size

    def gradients(
        self, x: Array, y: NDArray[np.generic], weights: Array | None = None
    ) -> list[Array]:
        """Return the gradients of ``objective``, in the order of the trained parameters."""
        losses, dy, values, before = self.rows(x, y)
        scale = self.loss_weight / (1 if self.reduction == "sum" else losses.size)
        dy = dy * scale * (1.0 if weights is None else np.asarray(weights)[..., None])
        found: list[list[Array]] = []
        for k in reversed(range(len(self.layers))):
            layer = self.layers[k]
            dz = dy
            if not (self.from_logits and k == len(self.layers) - 1):
                dz = activation_gradient(before[k], dy, layer.activation, **layer.hyper)
            rows, columns = (a.reshape(-1, a.shape[-1]) for a in (values[k], dz))
            if not layer.frozen:
                own = [rows.T @ columns] + ([] if layer.b is None else [columns.sum(axis=0)])
                found.insert(0, own)
            dy = dz @ layer.w.T
        return [g for own in found for g in own]

    def step(
        self,
        x: Array,
        y: NDArray[np.generic],
        learning_rate: float,
        weights: Array | None = None,
    ) -> None:
        """Train on one batch."""
        self.stepper.step(self.gradients(x, y, weights), learning_rate)
        updated = iter(self.stepper.params)
        for layer in self.layers:
            if not layer.frozen:
                layer.w = next(updated)
                layer.b = None if layer.b is None else next(updated)

    def epoch(
        self,
        x: Array,
        y: NDArray[np.generic],
        batch_size: int,
        learning_rate: float,
        weights: Array | None = None,
    ) -> float:
        """Train on batches in order; return the mean of their losses by their number of rows."""
        total = 0.0
        for first in range(0, len(x), batch_size):
            part = slice(first, first + batch_size)
            w = None if weights is None else weights[part]
            total += self.objective(x[part], y[part], w) * len(x[part])
            self.step(x[part], y[part], learning_rate, w)
        return total / len(x)


def layers_like(model: Any) -> list[Layer]:
    """Return the layers of a built onepass ``Sequential``, an activation merged into its Dense.

    ``leaky_relu`` has its default slope; a callable of another slope has it as its attribute
    ``negative_slope``.
    """
    found: list[Layer] = []
    for layer in model.layers:
        name, hyper = "linear", {}
        if hasattr(layer, "activation"):
            name = layer.activation.__name__
            if "leaky_relu" in name:
                slope = getattr(layer.activation, "negative_slope", 0.2)
                name, hyper = "leaky_relu", {"negative_slope": slope}
        if hasattr(layer, "kernel"):
            w = layer.kernel.numpy().astype(np.float64)
            b = None if layer.bias is None else layer.bias.numpy().astype(np.float64)
            found.append(Layer(w, b, name, hyper, frozen=not layer.trainable))
        elif hasattr(layer, "activation"):
            assert found[-1].activation == "linear", "one activation behind a Dense"
            found[-1].activation, found[-1].hyper = name, hyper
    return found

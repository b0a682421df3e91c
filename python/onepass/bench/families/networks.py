"""The models of the benchmarks, their data, and how we train them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, pairwise
from typing import Any

import numpy as np

import onepass
from onepass import _core, optimizers
from onepass.bench.cases import Array
from onepass.bench.families.data import SETS, Draw
from onepass.engine.feeding import Feed
from onepass.engine.replay import Pass, batches

# Small: many steps must not leave the beginning's regime.
RATES = {"sgd": 0.01, "adam": 1e-4, "adamw": 5e-5}
# A large epsilon, or rounding at gradients near 0 would decide the sign of Adam's first steps.
OPTIONS: dict[str, dict[str, float]] = {
    "sgd": {},
    "adam": {"epsilon": 1e-3},
    "adamw": {"epsilon": 1e-4, "weight_decay": 0.01},
}
CLASSES: dict[str, type[optimizers.Optimizer]] = {
    "sgd": optimizers.SGD,
    "adam": optimizers.Adam,
    "adamw": optimizers.AdamW,
}
CHECKED_STEPS = 3
# In the inputs of hidden units with relu; the first column is large so that its weights are small,
# for what is compared is how little some steps change them.
_SIGNAL, _NOISE, _FIRST = 0.5, 0.2, 8.0


@dataclass(frozen=True)
class Network:
    """Dense layers of these widths.

    Attributes
    ----------
    activation : of all layers but the last
    classifies : whether it ends in softmax, with class indices as targets; else the last layer is
        linear and the loss the mean squared error
    normalizes : whether the input and the values of hidden layers go through a batch norm
    drops : rate of the dropout before each layer; results are compared without it
    dtype : of parameters and data
    """

    widths: tuple[int, ...]
    activation: str = "relu"
    classifies: bool = True
    normalizes: bool = False
    drops: float = 0.0
    dtype: str = "float32"

    @property
    def loss(self) -> str:
        """Name of the loss."""
        return "sparse_categorical_crossentropy" if self.classifies else "mean_squared_error"

    @property
    def weights(self) -> int:
        """Elements of all kernels: multiply-adds of one row's forward pass."""
        return sum(a * b for a, b in pairwise(self.widths))

    @property
    def parameters(self) -> int:
        """Elements of all kernels and biases, and what batch norms train."""
        norms = 2 * sum(self.widths[:-1]) if self.normalizes else 0
        return self.weights + sum(self.widths[1:]) + norms

    def training_flops(self, rows: int) -> float:
        """Forward, weight gradients, and input gradients of all layers but the first."""
        first = self.widths[0] * self.widths[1]
        return 2.0 * rows * (3 * self.weights - first)

    def data(self, samples: int) -> tuple[Array, Array]:
        """Return random inputs and targets; the first column has one of two values."""
        draw = Draw(self.dtype)
        x = draw.uniform(samples, self.widths[0])
        x[:, 0] = _FIRST * (2.0 * draw.coins(samples) - 1.0)
        if self.classifies:
            return x, draw.indices(samples, self.widths[-1]).astype(np.int32)
        return x, draw.uniform(samples, self.widths[-1])

    def model(self, library: Any = onepass) -> Any:
        """Return a new model of ours or of Keras, not compiled."""
        layers: list[Any] = [library.Input((self.widths[0],), dtype=self.dtype)]
        norm = partial(library.layers.BatchNormalization, dtype=self.dtype)
        dense = partial(library.layers.Dense, dtype=self.dtype)
        if self.normalizes:
            layers.append(norm())
        for width in self.widths[1:-1]:
            layers += self._dropout(library)
            layers.append(dense(width, activation=self.activation))
            if self.normalizes:
                layers.append(norm())
        last = "softmax" if self.classifies else "linear"
        layers += self._dropout(library)
        layers.append(dense(self.widths[-1], activation=last))
        return library.Sequential(layers)

    def _dropout(self, library: Any) -> list[Any]:
        return [library.layers.Dropout(self.drops, dtype=self.dtype)] if self.drops else []

    def compiled(self, optimizer: str, x: Array, convention: Any = "torch") -> onepass.Sequential:
        """Return a new model ready to train on x.

        Its weights are the same in every run: some draws let batch norms amplify rounding until
        results count as unequal.
        """
        onepass.utils.set_random_seed(1)
        model: onepass.Sequential = self.model()
        if self.activation == "relu":
            keep_from_corners(model, x)
        options: dict[str, Any] = {"learning_rate": RATES[optimizer], **OPTIONS[optimizer]}
        model.compile(CLASSES[optimizer](convention=convention, **options), self.loss)
        return model


def keep_from_corners(model: onepass.Sequential, x: Array) -> None:
    """Set kernels with which no hidden unit's input is near 0 for any of these rows.

    Where it is 0 but for rounding, one library lets a unit learn from a row and another does not:
    of the million inputs in three steps of a wide network there was one every few runs. Here half
    of the units are on for rows whose first column is positive, the others for the rest, and what
    the other columns add is less than half of that.
    """
    signs = np.eye(1, x.shape[1])[0]
    for layer in model.layers[:-1]:
        if isinstance(layer, onepass.layers.BatchNormalization):
            x = (x - x.mean(0)) / np.sqrt(x.var(0) + layer.epsilon)
        if not isinstance(layer, onepass.layers.Dense):
            continue
        kernel, bias = layer.get_weights()
        after = np.where(np.arange(len(bias)) % 2, 1.0, -1.0)
        kernel *= _NOISE / np.abs(x @ kernel).max()
        kernel += np.outer(_SIGNAL / np.abs(x @ signs).min() * signs, after)
        layer.set_weights([kernel, bias])
        x, signs = np.maximum(x @ kernel + bias, 0.0), after


def changes(after: Sequence[Array], before: Sequence[Array]) -> list[Array]:
    """Return what training changed, tensor by tensor."""
    return [a - b for a, b in zip(after, before, strict=True)]


class OurTraining:
    """Passes of a training plan, as ``fit`` makes them: shuffled rows gathered natively."""

    def __init__(
        self,
        network: Network,
        x: Array,
        y: Array,
        optimizer: str,
        batch: int,
        *,
        convention: str = "torch",
        initial: Sequence[Array] | None = None,
    ) -> None:
        self.model = network.compiled(optimizer, x, convention)
        for variable, value in zip(self.model.trainable_variables, initial or (), strict=False):
            variable.assign(value)
        self.initial = self._trained()
        self._feed = Feed([(x, 1.0), (y, 1.0)], len(x))
        self._plan = self.model.plan_for("train")
        self._steps = batches(len(x), batch)
        draw = Draw(network.dtype, 2)
        self.orders = [draw.order(len(x)) for _ in range(SETS)]
        self._next = cycle(self.orders).__next__
        self._gather = self._gather_plan(network)

    @staticmethod
    def _gather_plan(network: Network) -> _core.Plan:
        """Return a plan that gathers the batches of the training plan and does nothing else."""
        plan = _core.Plan(network.dtype == "float64")
        first, last = network.widths[0], network.widths[-1]
        plan.gather(0, plan.rows_buffer(first, first, 1))
        targets = plan.index_buffer(1) if network.classifies else plan.rows_buffer(last, last, 1)
        plan.gather(1, targets)
        return plan

    def _pass(self, order: Array, limit: int | None) -> None:
        optimizer = self.model.optimizer
        assert optimizer is not None
        steps = self._steps[:limit].copy()
        work = Pass(self._plan, self._feed, steps, order)
        work.run(optimizer)

    def run(self) -> None:
        """Train on all rows once, in the next order."""
        self._pass(self._next(), None)

    def feed_only(self) -> None:
        """Gather the batches of one pass and do nothing with them."""
        sums, progress = np.zeros((0, 2)), np.zeros(1, np.int64)
        while progress[0] < len(self._steps):
            coming = self._steps[int(progress[0]) :]
            rates = np.zeros(len(coming))
            order, sources = self._next(), self._feed.sources
            self._gather.run(sources, [], order, coming, rates, sums, progress, None, 0.05)

    def result(self) -> list[Array]:
        """Return what the first steps change."""
        self._pass(self.orders[0], CHECKED_STEPS)
        return changes(self._trained(), self.initial)

    def _trained(self) -> list[Array]:
        return [variable.numpy() for variable in self.model.trainable_variables]

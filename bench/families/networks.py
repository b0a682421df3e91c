"""The models of the benchmarks, ours and torch's with the same weights, and their data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from typing import Any

import numpy as np

import onepass
from bench import rivals
from bench.cases import Array
from bench.families.data import SETS, generator
from onepass import _core, optimizers
from onepass.engine.feeding import Feed
from onepass.engine.replay import Pass, batches

_RATES = {"sgd": 0.01, "adam": 1e-4}  # small: many steps must not leave the beginning's regime
# A large epsilon, or rounding at gradients near 0 would decide the sign of Adam's first steps.
_OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # ours, torch's
    "sgd": ({}, {}),
    "adam": ({"epsilon": 1e-3}, {"eps": 1e-3}),
}
_CLASSES: dict[str, type[optimizers.Optimizer]] = {"sgd": optimizers.SGD, "adam": optimizers.Adam}
CHECKED_STEPS = 3


@dataclass(frozen=True)
class Network:
    """Dense layers of these widths with relu; softmax and classes, or a number, at the end."""

    widths: tuple[int, ...]

    @property
    def classifies(self) -> bool:
        """Whether the targets are class indices."""
        return self.widths[-1] > 1

    @property
    def weights(self) -> int:
        """Elements of all kernels: multiply-adds of one row's forward pass."""
        return sum(a * b for a, b in pairwise(self.widths))

    @property
    def parameters(self) -> int:
        """Elements of all kernels and biases."""
        return self.weights + sum(self.widths[1:])

    def training_flops(self, rows: int) -> float:
        """Forward, weight gradients, and input gradients of all layers but the first."""
        first = self.widths[0] * self.widths[1]
        return 2.0 * rows * (3 * self.weights - first)

    def data(self, samples: int) -> tuple[Array, Array]:
        """Return random inputs and targets."""
        rng = generator()
        x = rng.random((samples, self.widths[0]), np.float32)
        if self.classifies:
            return x, rng.integers(0, self.widths[-1], samples).astype(np.int32)
        return x, rng.random((samples, 1), np.float32)

    def model(self) -> onepass.Sequential:
        """Return a new model, not compiled."""
        layers: list[Any] = [onepass.Input((self.widths[0],))]
        for width in self.widths[1:-1]:
            layers.append(onepass.layers.Dense(width, activation="relu"))
        last = "softmax" if self.classifies else "linear"
        layers.append(onepass.layers.Dense(self.widths[-1], activation=last))
        return onepass.Sequential(layers)

    def compiled(self, optimizer: str) -> onepass.Sequential:
        """Return a new model ready to train, in torch's convention so that both can be equal."""
        model = self.model()
        options = {"learning_rate": _RATES[optimizer], **_OPTIONS[optimizer][0]}
        loss = "sparse_categorical_crossentropy" if self.classifies else "mean_squared_error"
        model.compile(_CLASSES[optimizer](convention="torch", **options), loss)
        return model

    def torch_module(self, weights: Sequence[Array]) -> Any:
        """Return torch's module with our weights; its output is logits."""
        torch = rivals.torch()
        layers: list[Any] = []
        for at, (inputs, outputs) in enumerate(pairwise(self.widths)):
            layer = torch.nn.Linear(inputs, outputs)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(weights[2 * at].T.copy()))
                layer.bias.copy_(torch.from_numpy(weights[2 * at + 1]))
            layers += [layer, torch.nn.ReLU()]
        return torch.nn.Sequential(*layers[:-1])


def changes(after: Sequence[Array], before: Sequence[Array]) -> list[Array]:
    """Return what training changed, tensor by tensor."""
    return [a - b for a, b in zip(after, before, strict=True)]


class OurTraining:
    """Passes of a training plan, as ``fit`` makes them: shuffled rows gathered natively."""

    def __init__(self, network: Network, x: Array, y: Array, optimizer: str, batch: int) -> None:
        self.model = network.compiled(optimizer)
        self.initial = self.model.get_weights()
        self._feed = Feed([(x, 1.0), (y, 1.0)], len(x))
        self._plan = self.model.plan_for("train")
        self._steps = batches(len(x), batch)
        rng = generator(2)
        self.orders = [rng.permutation(len(x)) for _ in range(SETS)]
        self._next = cycle(self.orders).__next__
        self._gather = self._gather_plan(network)

    @staticmethod
    def _gather_plan(network: Network) -> _core.Plan:
        """Return a plan that gathers the batches of the training plan and does nothing else."""
        plan = _core.Plan(False)
        plan.gather(0, plan.rows_buffer(network.widths[0], network.widths[0], 1))
        plan.gather(1, plan.index_buffer(1) if network.classifies else plan.rows_buffer(1, 1, 1))
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
            self._gather.run(sources, [], order, coming, rates, sums, progress, 0.05)

    def result(self) -> list[Array]:
        """Return what the first steps change."""
        self._pass(self.orders[0], CHECKED_STEPS)
        return changes(self.model.get_weights(), self.initial)


class TorchTraining:
    """The usual eager loop over the same rows in the same orders."""

    def __init__(
        self,
        network: Network,
        x: Array,
        y: Array,
        optimizer: str,
        batch: int,
        initial: Sequence[Array],
        orders: Sequence[Array],
    ) -> None:
        torch = rivals.torch()
        self._initial = initial
        self.module = network.torch_module(self._initial)
        self._x = torch.from_numpy(x)
        self._y = torch.from_numpy(y.astype(np.int64) if network.classifies else y)
        self._loss = torch.nn.CrossEntropyLoss() if network.classifies else torch.nn.MSELoss()
        self._batch = batch
        self._orders = [torch.from_numpy(order) for order in orders]
        self._next = cycle(self._orders).__next__
        cls = getattr(torch.optim, _CLASSES[optimizer].__name__)
        options = {"lr": _RATES[optimizer], "fused": True, **_OPTIONS[optimizer][1]}
        self._optimizer = cls(self.module.parameters(), **options)

    def train(self, order: Any) -> None:
        """Train on the rows of an order, batch by batch."""
        for rows in order.split(self._batch):
            self._optimizer.zero_grad()
            self._loss(self.module(self._x[rows]), self._y[rows]).backward()
            self._optimizer.step()

    def run(self) -> None:
        """Train on all rows once, in the next order."""
        self.train(self._next())

    def result(self) -> list[Array]:
        """Return what the first steps change, in our layout."""
        self.train(self._orders[0][: CHECKED_STEPS * self._batch])
        after = [p.detach().numpy() for p in self.module.parameters()]
        return changes([a.T if a.ndim == 2 else a for a in after], self._initial)

"""The rivals that bring their own training loop: Keras and scikit-learn.

Both have Keras's form of Adam, so their results are held against ours in Keras's convention.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from onepass.bench import rivals
from onepass.bench.cases import Array
from onepass.bench.families.data import Draw
from onepass.bench.families.networks import CLASSES, OPTIONS, RATES, Network, changes


def keras_model(network: Network, weights: Sequence[Array]) -> Any:
    """Return Keras's model with our weights."""
    model = network.model(rivals.keras())
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    return model


class KerasTraining:
    """``train_on_batch`` on batches that lie ready as the backend's arrays, jitted by default."""

    def __init__(
        self,
        network: Network,
        x: Array,
        y: Array,
        optimizer: str,
        batch: int,
        initial: Sequence[Array],
    ) -> None:
        keras = rivals.keras()
        self._initial, self._batch, self._data = initial, batch, (x, y)
        self._model = keras_model(network, initial)
        made = getattr(keras.optimizers, CLASSES[optimizer].__name__)(
            learning_rate=RATES[optimizer], **OPTIONS[optimizer]
        )
        self._model.compile(made, network.loss)

    def given(self, order: Array) -> list[tuple[Any, ...]]:
        """Return the batches of an order."""
        tensor = rivals.keras().ops.convert_to_tensor
        starts = range(0, len(order), self._batch)
        parts = [order[start : start + self._batch] for start in starts]
        return [tuple(tensor(array[rows]) for array in self._data) for rows in parts]

    def train(self, batches: Any) -> None:
        """Train on batches; each call waits for the loss."""
        for x, y in batches:
            self._model.train_on_batch(x, y)

    def epoch(self) -> None:
        """Train on all rows, shuffled."""
        x, y = self._data
        self._model.fit(x, y, batch_size=self._batch, epochs=1, verbose=0)

    def changed(self) -> list[Array]:
        """Return what training has changed."""
        to_numpy = rivals.keras().ops.convert_to_numpy
        after = [to_numpy(v.value) for v in self._model.trainable_variables]
        return changes(after, self._initial)


def sklearn_model(network: Network, weights: Sequence[Array], **options: Any) -> Any:
    """Return scikit-learn's network with our weights; it has learned nothing."""
    module = rivals.sklearn_networks()
    cls = module.MLPClassifier if network.classifies else module.MLPRegressor
    model = cls(hidden_layer_sizes=network.widths[1:-1], alpha=0.0, shuffle=False, **options)
    rows = network.widths[-1]
    x = Draw(network.dtype).uniform(rows, network.widths[0])
    more = {"classes": np.arange(rows)} if network.classifies else {}
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.partial_fit(x, np.arange(rows), **more)
    # Copies, for it trains them in place; and what it has seen so far is forgotten.
    model.coefs_, model.intercepts_ = ([w.copy() for w in weights[at::2]] for at in (0, 1))
    del model._optimizer
    return model


class SklearnTraining:
    """``partial_fit`` on all rows of an order: its loop over batches is within."""

    def __init__(
        self,
        network: Network,
        x: Array,
        y: Array,
        optimizer: str,
        batch: int,
        initial: Sequence[Array],
    ) -> None:
        self._initial, self._data = initial, (x, y if network.classifies else y.ravel())
        rate, epsilon = RATES[optimizer], OPTIONS[optimizer].get("epsilon", 1e-8)
        if not network.classifies:  # its gradient is half of the mean squared error's
            rate, epsilon = (2 * rate, epsilon) if optimizer == "sgd" else (rate, epsilon / 2)
        self._model = sklearn_model(
            network,
            initial,
            solver=optimizer,
            batch_size=batch,
            learning_rate_init=rate,
            epsilon=epsilon,
            momentum=0.0,
            nesterovs_momentum=False,
        )

    @staticmethod
    def knows(network: Network, optimizer: str) -> bool:
        """Whether it can be timed and has such networks: with relu, classes or one number."""
        if rivals.sklearn_networks() is None or not rivals.numpy_controlled():
            return False
        plain = network.activation == "relu" and not network.normalizes and not network.drops
        # Two classes share one output there.
        fits = network.widths[-1] > 2 if network.classifies else network.widths[-1] == 1
        return plain and fits and optimizer in ("sgd", "adam")

    def given(self, order: Array) -> tuple[Array, ...]:
        """Return rows and targets in this order."""
        return tuple(array[order] for array in self._data)

    def train(self, rows: Any) -> None:
        """Train on these rows, batch by batch."""
        self._model.partial_fit(*rows)

    def changed(self) -> list[Array]:
        """Return what training has changed, in our order."""
        pairs = zip(self._model.coefs_, self._model.intercepts_, strict=True)
        return changes([array for pair in pairs for array in pair], self._initial)

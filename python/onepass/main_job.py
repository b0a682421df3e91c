"""``onepass train``: a classifier from data to a test accuracy."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

from onepass import Sequential, config, datasets, layers, optimizers, utils
from onepass.callbacks import Callback
from onepass.engine.storage import Floats


@dataclass(frozen=True)
class Task:
    """A data set with the model that the course trains on it."""

    name: str
    train: tuple[Floats, Floats]
    validation: tuple[Floats, Floats]
    test: tuple[Floats, Floats]
    hidden: tuple[int, int]
    epochs: int


class _Clock(Callback):
    """Adds up the time of training alone, validation left out."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self._started: float | None = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        if self._started is not None:
            self.seconds += time.perf_counter() - self._started
            self._started = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.on_test_begin()


def load_task(folder: str | None) -> Task:
    """Return Fashion-MNIST from the folder or the usual places, else the embedded digits.

    Raises
    ------
    OSError, ValueError
        If a folder was given and does not hold the data.
    """
    try:
        (x, y), test = datasets.fashion_mnist.load_data(folder)
    except FileNotFoundError:
        if folder is not None or os.environ.get("ONEPASS_DATA"):
            raise  # data were asked for: training on others would only look like success
        (x, y), test = datasets.digits.load_data()
        name, scale, held_out, hidden, epochs = "digits", 16.0, 137, (100, 50), 30
    else:
        name, scale, held_out, hidden, epochs = "Fashion-MNIST", 255.0, 5000, (300, 100), 10
    images, test_images = x / scale, test[0] / scale
    # The first samples are kept for validation, as the course does.
    return Task(
        name,
        train=(images[held_out:], y[held_out:]),
        validation=(images[:held_out], y[:held_out]),
        test=(test_images, test[1]),
        hidden=hidden,
        epochs=epochs,
    )


def train(options: argparse.Namespace) -> None:
    """Train, evaluate and print the result."""
    utils.set_random_seed(options.seed)
    optimizer = optimizers.get(options.optimizer)
    if options.learning_rate is not None:
        optimizer.learning_rate = options.learning_rate
    task = load_task(options.data)
    model = Sequential([layers.Input(task.train[0].shape[1:]), layers.Flatten()])
    for units in task.hidden:
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = task.train
    print(
        f"{task.name}: {len(x)} training, {len(task.validation[0])} validation, "
        f"{len(task.test[0])} test samples; {config.isa()}, {config.threads()} threads"
    )
    model.summary()
    clock = _Clock()
    epochs = options.epochs or task.epochs
    verbose = options.verbose if options.verbose is not None else 1 if sys.stdout.isatty() else 2
    model.fit(
        x,
        y,
        batch_size=options.batch_size,
        epochs=epochs,
        validation_data=task.validation,
        callbacks=[clock],
        verbose=verbose,
    )
    loss, accuracy = model.evaluate(*task.test)
    steps = optimizer.iterations
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")
    print(
        f"{epochs * len(x) / clock.seconds:,.0f} samples per second, "
        f"{clock.seconds / steps * 1e6:.1f} microseconds per step"
    )

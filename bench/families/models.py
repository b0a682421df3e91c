"""Training steps, predictions and an epoch of whole models, beside torch and NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from bench import rivals
from bench.cases import FLOAT, Array, Case, Contender, Prepared, Sizes, Work
from bench.families.data import SETS, generator, in_turn
from bench.families.networks import (
    CHECKED_STEPS,
    Network,
    OurTraining,
    TorchTraining,
    changes,
)
from bench.limits import READ, Stream

_STATES = {"sgd": 0, "adam": 2}
_TOLERANCE = 2e-3  # of what the first steps change: small differences of large parameters


def _training_work(network: Network, batch: int, optimizer: str) -> tuple[Work, ...]:
    """Products at peak, then the update at bandwidth; activations and feeding are not counted."""
    stream = Stream(1, 1 + _STATES[optimizer], 0)
    update = FLOAT * network.parameters
    return (
        Work(network.training_flops(batch), 0.0, 0, READ),
        Work(0.0, update * stream.accesses, update * stream.arrays, stream),
    )


def _training(network: Network, batch: int, optimizer: str, steps: int) -> Prepared:
    x, y = network.data(batch * max(steps, CHECKED_STEPS))
    ours = OurTraining(network, x, y, optimizer, batch)
    others = []
    if rivals.torch() is not None:
        theirs = TorchTraining(network, x, y, optimizer, batch, ours.initial, ours.orders)
        others.append(Contender("torch", theirs.run, theirs.result))
    own = Contender("onepass", ours.run, ours.result)
    return Prepared(own, others, {"feeding": ours.feed_only})


def _numpy_forward(x: Array, weights: list[Array]) -> Array:
    last = len(weights) // 2 - 1
    for at in range(last + 1):
        x = x @ weights[2 * at] + weights[2 * at + 1]
        if at < last:
            np.maximum(x, 0.0, out=x)
    x = np.exp(x - x.max(-1, keepdims=True))
    shares: Array = x / x.sum(-1, keepdims=True)
    return shares


def _prediction(network: Network, rows: int) -> Prepared:
    model = network.model()
    weights = model.get_weights()
    rng = generator()
    sets = [(rng.random((rows, network.widths[0]), np.float32),) for _ in range(SETS)]

    def numpy_run(x: Array) -> Array:
        return _numpy_forward(x, weights)

    def contender(name: str, function: Any, given: list[tuple[Any, ...]]) -> Contender:
        run = in_turn(function, given)
        return Contender(name, run, lambda: [np.asarray(function(*given[-1]))])

    others = [contender("numpy", numpy_run, sets)] if rivals.numpy_controlled() else []
    if (torch := rivals.torch()) is not None:
        module = torch.nn.Sequential(*network.torch_module(weights), torch.nn.Softmax(-1))
        predict = torch.inference_mode()(module)
        tensors = [(torch.from_numpy(x),) for (x,) in sets]
        others.append(contender("torch", predict, tensors))
    return Prepared(contender("onepass", model.predict, sets), others)


def _epoch(network: Network, samples: int, batch: int) -> Prepared:
    x, y = network.data(samples)
    model = network.compiled("sgd")
    initial = model.get_weights()
    checked = min(samples, CHECKED_STEPS * batch)

    def run() -> None:
        model.fit(x, y, batch_size=batch, epochs=1, verbose=0)

    def result() -> list[Array]:
        model.fit(x[:checked], y[:checked], batch_size=batch, verbose=0, shuffle=False)
        return changes(model.get_weights(), initial)

    own = Contender("onepass", run, result)
    if (torch := rivals.torch()) is None:
        return Prepared(own)
    theirs = TorchTraining(network, x, y, "sgd", batch, initial, [np.arange(checked)])

    def their_run() -> None:
        theirs.train(torch.randperm(samples))

    return Prepared(own, [Contender("torch", their_run, theirs.result)])


def cases(sizes: Sizes) -> Iterator[Case]:
    """Training steps, predictions, the epoch."""
    networks = {"M1": Network(sizes.m1), "M4": Network(sizes.m4)}
    for name, batch, optimizer, steps in sizes.training:
        network = networks[name]
        yield Case(
            f"{name} train b{batch} {optimizer}",
            "training",
            (f"train:{name}",),
            _training_work(network, batch, optimizer),
            partial(_training, network, batch, optimizer, steps),
            tolerance=_TOLERANCE,
            units=max(steps, CHECKED_STEPS),
        )
    network = networks["M1"]
    for rows in sizes.predictions:
        traffic = FLOAT * (network.parameters + rows * (network.widths[0] + network.widths[-1]))
        yield Case(
            f"M1 predict {rows}",
            "prediction",
            ("predict:M1",),
            (Work(2.0 * rows * network.weights, traffic, traffic, READ),),
            partial(_prediction, network, rows),
            tolerance=1e-5,
        )
    batch = 32
    steps = -(-sizes.epoch // batch)
    update = FLOAT * network.parameters
    yield Case(
        f"M1 fit epoch of {sizes.epoch} b{batch} sgd",
        "training",
        ("fit:M1",),
        (
            Work(network.training_flops(sizes.epoch), 0.0, 0, READ),
            Work(0.0, 3.0 * update * steps, 2 * update, Stream(1, 1, 0)),
        ),
        partial(_epoch, network, sizes.epoch, batch),
        tolerance=_TOLERANCE,
    )

"""Training steps, predictions and an epoch of whole models, beside all rivals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from onepass.bench.cases import Array, Case, Contender, Prepared, Work
from onepass.bench.families.networks import CHECKED_STEPS, Network, OurTraining, changes
from onepass.bench.families.prediction import prepare as prepare_prediction
from onepass.bench.families.rival_training import trainings
from onepass.bench.limits import READ, Stream
from onepass.bench.sizes import Sizes

_STATES = {"sgd": 0, "adam": 2, "adamw": 2}
TOLERANCE = 2e-3  # of what the first steps change


def training_work(sizes: Sizes, network: Network, batch: int, optimizer: str) -> tuple[Work, ...]:
    """Return products at peak, then the update at bandwidth.

    Activations and feeding are not counted.
    """
    stream = Stream(1, 1 + _STATES[optimizer], 0)
    update = sizes.itemsize * network.parameters
    return (
        Work(network.training_flops(batch), 0.0, 0, READ),
        Work(0.0, update * stream.accesses, update * stream.arrays, stream),
    )


def _training(network: Network, batch: int, optimizer: str, steps: int) -> Prepared:
    x, y = network.data(batch * max(steps, CHECKED_STEPS))
    ours = OurTraining(network, x, y, optimizer, batch)
    others = trainings(
        network,
        x,
        y,
        optimizer,
        batch,
        ours.initial,
        ours.orders,
        partial(_keras_result, network, x, y, optimizer, batch, ours.initial),
    )
    own = Contender("onepass", ours.run, ours.result)
    if network.drops:  # everybody drops other elements
        still = _training(replace(network, drops=0.0), batch, optimizer, steps)
        own = replace(own, result=still.ours.result)
        same = {other.name: other for other in still.rivals}
        others = [
            replace(other, result=same[other.name].result, reference=same[other.name].reference)
            for other in others
        ]
    return Prepared(own, others, {"feeding": ours.feed_only})


def _keras_result(*given: Any) -> list[Array]:
    *same, initial = given
    return OurTraining(*same, convention="keras", initial=initial).result()


def _epoch(network: Network, samples: int, batch: int) -> Prepared:
    x, y = network.data(samples)
    checked = min(samples, CHECKED_STEPS * batch)
    model = network.compiled("sgd", x[:checked])
    initial = model.get_weights()

    def run() -> None:
        model.fit(x, y, batch_size=batch, epochs=1, verbose=0)

    def result() -> list[Array]:
        model.fit(x[:checked], y[:checked], batch_size=batch, verbose=0, shuffle=False)
        return changes(model.get_weights(), initial)

    others = trainings(network, x, y, "sgd", batch, initial, orders=None)
    return Prepared(Contender("onepass", run, result), others)


def networks_of(sizes: Sizes) -> dict[str, Network]:
    """Return the models by name."""
    made = partial(Network, dtype=sizes.dtype)
    return {
        "M1": made(sizes.m1),
        "M2": made(sizes.m2, normalizes=True),
        "M3": made(sizes.m3, drops=0.2),
        "M4": made(sizes.m4, classifies=False),
        "M5": made(sizes.m5, classifies=False),
        "M6": made(sizes.m6, "gelu", classifies=False),
    }


def _epochs(sizes: Sizes, network: Network, batch: int) -> Iterator[Case]:
    update = sizes.itemsize * network.parameters
    for samples in sizes.epochs:
        steps = -(-samples // batch)
        yield Case(
            f"M1 fit epoch of {samples} b{batch} sgd",
            "training",
            ("fit:M1",),
            (
                Work(network.training_flops(samples), 0.0, 0, READ),
                Work(0.0, 3.0 * update * steps, 2 * update, Stream(1, 1, 0)),
            ),
            partial(_epoch, network, samples, batch),
            tolerance=sizes.rounding(TOLERANCE),
        )


def cases(sizes: Sizes) -> Iterator[Case]:
    """Training steps, predictions, the epoch."""
    networks = networks_of(sizes)
    for name, batch, optimizer, steps in sizes.training:
        network = networks[name]
        if network.normalizes and batch < 2:
            continue  # which torch refuses
        yield Case(
            f"{name} train b{batch} {optimizer}",
            "training",
            (f"train:{name}",),
            training_work(sizes, network, batch, optimizer),
            partial(_training, network, batch, optimizer, steps),
            tolerance=sizes.rounding(TOLERANCE),
            units=max(steps, CHECKED_STEPS),
            series=f"{name} train {optimizer}",
            size=batch,
        )
    network = networks["M1"]
    for rows in sizes.predictions:
        ends = network.widths[0] + network.widths[-1]
        traffic = sizes.itemsize * (network.parameters + rows * ends)
        yield Case(
            f"M1 predict {rows}",
            "prediction",
            ("predict:M1",),
            (Work(2.0 * rows * network.weights, traffic, traffic, READ),),
            partial(prepare_prediction, network, rows),
            tolerance=sizes.rounding(1e-5),
            series="M1 predict",
            size=rows,
        )
    yield from _epochs(sizes, network, 32)

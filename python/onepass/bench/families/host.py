"""What a call costs beside its arithmetic: steps, predictions and training of next to nothing.

These have no FLOPs or bytes to speak of, so no limit either. What a call from Python costs at least
stands among the machine's limits.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

import onepass
from onepass import optimizers
from onepass.bench import rivals
from onepass.bench.cases import Array, Case, Contender, Prepared
from onepass.bench.families.data import Draw, drawn
from onepass.bench.families.networks import Network, changes
from onepass.bench.families.prediction import prepare as prepare_prediction
from onepass.bench.families.rival_steps import Task, torch_step, torch_steps
from onepass.bench.families.rival_training import trainings
from onepass.bench.sizes import Sizes

_RATE = 1e-3
_TINY = ((4, 4), (4,)) * 3
_ROWS = 8  # of a batch


def _task(draw: Draw, rule: str) -> Task:
    torch = rivals.torch()
    theirs = None if torch is None else {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[rule]
    initial = [0.05 * draw.normal(*shape) for shape in _TINY]
    gradients = [draw.away_from_zero(*shape) for shape in _TINY]
    return Task(rule, theirs, {}, _RATE, initial, gradients)


def _apply(draw: Draw, rule: str) -> Prepared:
    task = _task(draw, rule)
    cls = {"sgd": optimizers.SGD, "adam": optimizers.Adam}[rule]
    own = cls(learning_rate=_RATE, convention="torch")
    parameters = [p.copy() for p in task.initial]
    own.build(parameters)
    ours = task.contender("onepass", lambda: own.apply(task.gradients), lambda: parameters)
    return Prepared(ours, list(torch_steps(task)))


def _torch_class(draw: Draw, rule: str) -> Prepared:
    """Our class of torch's interface, beside torch's own."""
    from onepass.torch import SGD, Adam

    task = _task(draw, rule)
    cls = {"sgd": SGD, "adam": Adam}[rule]
    ours = torch_step(task, "onepass", lambda parameters: cls(parameters, lr=_RATE).step)
    return Prepared(ours, list(torch_steps(task)))


def _train_on_batch(network: Network) -> Prepared:
    x, y = network.data(_ROWS)
    model = network.compiled("sgd", x)
    initial = [variable.numpy() for variable in model.trainable_variables]

    def run() -> None:
        model.train_on_batch(x, y)

    def result() -> list[Array]:
        run()
        return changes([variable.numpy() for variable in model.trainable_variables], initial)

    others = trainings(network, x, y, "sgd", _ROWS, initial, [np.arange(_ROWS)])
    return Prepared(Contender("onepass", run, result), others)


def _python(code: str) -> str:
    """Return what a new Python prints."""
    environment = {**os.environ, "KERAS_BACKEND": rivals.keras_backend() or "jax"}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def _importing(name: str) -> Contender:
    """Return a new Python that imports a module; ours must be the package that runs here."""
    optional = name != "onepass"

    def result() -> list[Array]:
        found = _python(f"import {name}; print({name}.__file__)")
        return [np.array([optional or found == onepass.__file__], float)]

    return Contender(name, lambda: _python(f"import {name}"), result, optional=optional)


def _imports() -> Prepared:
    names = "torch", "jax", "keras", "sklearn"
    others = [_importing(name) for name in names if rivals.installed(name)]
    parts: dict[str, Callable[[], object]] = {
        "starting Python": partial(_python, ""),
        "numpy": partial(_python, "import numpy"),
    }
    return Prepared(_importing("onepass"), others, parts)


def cases(sizes: Sizes) -> Iterator[Case]:
    """Calls on next to nothing, and the time that an import takes."""

    def case(name: str, covers: str, prepare: Callable[[], Prepared]) -> Case:
        return Case(name, "host", (covers,), (), prepare, sizes.rounding(1e-4))

    if sizes.alone:
        for rule in ("sgd", "adam"):
            name, prepare = f"{rule} apply of 6 tiny arrays", drawn(sizes.dtype, _apply, rule)
            yield case(name, f"apply:{rule}", prepare)
            if rivals.installed("torch"):
                prepare = drawn(sizes.dtype, _torch_class, rule)
                yield case(f"onepass.torch {rule} step of 6 tiny tensors", "torch", prepare)
        network = Network((2, 2, 3), dtype=sizes.dtype)
        yield case("predict of 1 row by 2-2-3", "predict", partial(prepare_prediction, network, 1))
        name = f"train_on_batch of {_ROWS} rows by 2-2-3"
        yield case(name, "train_on_batch", partial(_train_on_batch, network))
    if sizes.imports:
        yield case("import", "import", _imports)

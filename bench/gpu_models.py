"""Training steps on a GPU beside torch's and JAX's there, and beside ours on the CPU.

``python -m bench.gpu_models [--copy-rate GB/S] [--seconds 110]`` prints one line of JSON a case and
group of rivals: medians of microseconds a step, feeding included, each in turn with ours; how far
three steps are from ours, relative; which rivals are missing, and why; what the copy's rate and the
products ask for. A rival that differs is named and not timed. All cases come beside torch first,
which is quick to prepare, then beside JAX, then beside what torch.compile makes of a step, which
takes minutes: what there is no time for is named, too. Ours on the CPU is beside the first group
only. Ends with status 1 where the GPU's training differs from the CPU's.

``--played`` rehearses it without a GPU, on small models; ``--rivals-on cpu`` with the rivals there,
among which graphs then fail.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import onepass
from bench.gpu_processes import as_json
from onepass import _core, config
from onepass.bench import rivals
from onepass.bench.cases import Array, Contender, Prepared, compare
from onepass.bench.families.models import TOLERANCE, networks_of, training_work
from onepass.bench.families.networks import CHECKED_STEPS, Network, OurTraining
from onepass.bench.families.rival_training import (
    JaxTraining,
    TorchTraining,
    Training,
    passes,
    result_of,
)
from onepass.bench.sizes import Sizes
from onepass.bench.timing import Call, Timing, measure, quiet_check

# Model, rows, optimizer, steps a run: so many that a run takes milliseconds.
CASES = (
    ("M1", 32, "adam", 512),
    ("M1", 32, "sgd", 512),
    ("M5", 512, "adamw", 8),
    ("M4", 32, "adam", 1024),
    ("M1", 256, "adam", 128),
)
PLAYED = (("M1", 4, "sgd", 4), ("M4", 8, "adam", 4))
SMALL = replace(Sizes(), m1=(12, 9, 7, 5), m4=(8, 6, 1))
COMPILE_THREADS = "8"
ON_CPU = "onepass on the CPU"
LATE = "no time was left for it"


class TorchOnGpu(TorchTraining):
    """Training with the fused optimizer, which counts its steps on the GPU, as graphs need it."""

    def __init__(
        self,
        network: Network,
        x: Array,
        y: Array,
        optimizer: str,
        batch: int,
        initial: Sequence[Array],
        *,
        device: str,
    ) -> None:
        how = {} if optimizer == "sgd" else {"capturable": True}
        super().__init__(network, x, y, optimizer, batch, initial, fused=True, device=device, **how)


class TorchCompiled(TorchOnGpu):
    """Forward with its backward, and the fused optimizer, by torch.compile with CUDA's graphs."""

    def __init__(self, *given: Any, device: str) -> None:
        super().__init__(*given, device=device)
        for data in (self._x, self._y):  # or each step copies them whole to where its graph reads
            rivals.torch()._dynamo.mark_static_address(data)
        self._compiled = rivals.torch_compiled(self.loss, "max-autotune")
        self._update = rivals.torch_compiled(self._optimizer.step, "max-autotune")

    def step(self, rows: Any) -> None:
        rivals.torch().compiler.cudagraph_mark_step_begin()
        self._optimizer.zero_grad()
        self._compiled(rows).backward()
        self._update()


class TorchGraph(TorchOnGpu):
    """A step recorded once as a graph of CUDA, eager or compiled, which gathers its own rows."""

    def __init__(self, *given: Any, device: str, compiled: bool) -> None:
        super().__init__(*given, device=device)
        torch = rivals.torch()
        if not torch.cuda.is_available():
            raise RuntimeError("graphs want a GPU of NVIDIA's")
        if compiled:
            self.loss = rivals.torch_compiled(self.loss, "max-autotune-no-cudagraphs")  # type: ignore[method-assign]
        self._rows = torch.arange(self._batch, device=device)
        before = [p.detach().clone() for p in self._module.parameters()]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # as torch asks for: all is loaded and compiled then
            for _ in range(3):
                super().step(self._rows)
        torch.cuda.current_stream().wait_stream(aside)
        self._start_again(before)
        self._optimizer.zero_grad()  # the graph has gradients of its own
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self.loss(self._rows).backward()
            self._optimizer.step()

    def _start_again(self, before: Sequence[Any]) -> None:
        torch = rivals.torch()
        with torch.no_grad():
            for parameter, value in zip(self._module.parameters(), before, strict=True):
                parameter.copy_(value)
        for state in self._optimizer.state.values():
            for value in state.values():
                if torch.is_tensor(value):
                    value.zero_()

    def step(self, rows: Any) -> None:
        self._rows.copy_(rows)
        self._graph.replay()


Make = Callable[..., Training]


def groups(device: str) -> dict[str, dict[str, Make]]:
    """Return the rivals' trainings on a device of torch's, by what is prepared together."""
    if device == "nowhere":
        return {"the CPU": {}}
    eager = partial(TorchTraining, fused=True, device=device)
    graph = partial(TorchGraph, device=device)
    return {
        "torch": {"torch eager": eager, "torch graph": partial(graph, compiled=False)},
        "JAX": {
            "JAX jit": partial(JaxTraining, scanned=False),
            "JAX scan": partial(JaxTraining, scanned=True),
        },
        "torch compiled": {
            "torch compiled": partial(TorchCompiled, device=device),
            "torch compiled, in a graph": partial(graph, compiled=True),
        },
    }


class Late:
    """A rival that is made when its result is asked for, if there is time.

    Parameters
    ----------
    checked : rows that training is compared on
    orders : rows of the timed runs
    until : when it is too late, as time.monotonic()
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Training],
        checked: Array,
        orders: Sequence[Array],
        until: float,
    ) -> None:
        self._name, self._make, self._checked, self._orders = name, make, checked, orders
        self._until = until
        self._run: Callable[[], object] | None = None

    def contender(self) -> Contender:
        return Contender(self._name, self.run, self.result, optional=True)

    def result(self) -> Sequence[Any]:
        if time.monotonic() > self._until:
            raise TimeoutError(LATE)
        library = self._name.split()[0]
        if getattr(rivals, library.lower())() is None:
            raise ModuleNotFoundError(f"{library} is not installed")
        training = self._make()
        self._run = passes(training, self._orders)
        return result_of(training, self._checked)

    def run(self) -> None:
        assert self._run is not None
        self._run()


def prepared(
    network: Network,
    batch: int,
    optimizer: str,
    steps: int,
    makers: dict[str, Make],
    until: float,
    beside_cpu: bool = True,
) -> Prepared:
    """Return our training on the GPU, and beside it rivals' anywhere and, if wanted, ours on the
    CPU."""
    x, y = network.data(batch * steps)
    config.set_device("cuda")
    x_there, y_there = (_core.copied_to(a, "cuda") for a in (x, y))
    ours = OurTraining(network, x_there, y_there, optimizer, batch)
    contenders = []
    if beside_cpu:
        config.set_device("cpu")
        on_cpu = OurTraining(network, x, y, optimizer, batch, initial=ours.initial)
        contenders.append(Contender(ON_CPU, on_cpu.run, on_cpu.result))
    checked = ours.orders[0][: CHECKED_STEPS * batch]
    for name, make in makers.items():
        made = partial(make, network, x, y, optimizer, batch, ours.initial)
        contenders.append(Late(name, made, checked, ours.orders, until).contender())
    return Prepared(Contender("onepass", ours.run, ours.result), contenders)


def limits(
    network: Network, batch: int, optimizer: str, copy_rate: float | None
) -> dict[str, float]:
    """Return what a step cannot do without: products, and the update's bytes at the copy's rate."""
    products, update = training_work(Sizes(), network, batch, optimizer)
    found = {"GFLOP of products": products.flops / 1e9, "MB of the update": update.bytes / 1e6}
    if copy_rate is not None:
        found["us of the update at the copy's rate"] = update.bytes / (1e3 * copy_rate)
    return found


class RivalError(Exception):
    """A rival's error while it was timed."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(f"while it was timed, {type(error).__name__}: {error}")
        self.name = name


def of_rival(name: str, run: Call) -> Call:
    """Return the same call with the rival's name in its errors."""

    def named() -> None:
        try:
            run()
        except Exception as error:
            raise RivalError(name, error) from error

    return named


def timed(ours: Call, calls: Mapping[str, Call], seconds: float, missing: dict[str, str]) -> Timing:
    """Time ours and rivals' in turn; one that fails is named as missing, the others begin again."""
    left = {name: of_rival(name, run) for name, run in calls.items()}
    while True:
        try:
            return measure({"onepass": ours, **left}, seconds, quiet_check(1))
        except RivalError as error:
            missing[error.name] = str(error)
            del left[error.name]


def measured(prepared: Prepared, units: int, seconds: float) -> dict[str, Any]:
    """Compare all with ours, then time in turn those that are equal."""
    errors, missing = compare(prepared)
    unequal = {name: error for name, error in errors.items() if not error <= TOLERANCE}
    calls = {one.name: one.run for one in prepared.rivals if one.name in errors}
    calls = {name: run for name, run in calls.items() if name not in unequal}
    timing = timed(prepared.ours.run, calls, seconds, missing)
    return {
        "us a step": {
            name: round(1e6 * summary.median / units, 3)
            for name, summary in timing.summaries.items()
        },
        "error": errors,
        "unequal": sorted(unequal),
        "missing": missing,
        "noisy": timing.noisy,
    }


def cases(played: bool, device: str, copy_rate: float | None, until: float) -> Iterator[Any]:
    """Yield each case's name beside a group of rivals, and what was measured of it."""
    networks = networks_of(SMALL if played else Sizes())
    for at, (group, makers) in enumerate(groups(device).items()):
        for model, batch, optimizer, steps in PLAYED if played else CASES:
            name = f"{model} b{batch} {optimizer} beside {group}"
            if time.monotonic() > until:
                late = ["onepass", ON_CPU, *makers] if at == 0 else ["onepass", *makers]
                yield name, {"missing": dict.fromkeys(late, LATE)}
                continue
            if group == "torch compiled":
                rivals.torch_forget_compiled()
            network = networks[model]
            ready = prepared(network, batch, optimizer, steps, makers, until, beside_cpu=at == 0)
            found = measured(ready, steps, 0.02 if played else 1.5)
            found["limits"] = limits(network, batch, optimizer, copy_rate)
            yield name, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--played", action="store_true", help="without a GPU, on small models")
    parser.add_argument("--rivals-on", choices=("cuda", "cpu", "nowhere"), default="cuda")
    parser.add_argument("--copy-rate", type=float, help="of the GPU's memory, in GB/s")
    parser.add_argument("--seconds", type=float, default=110.0, help="no rival is begun after them")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    # Read at import: JAX's products would be TF32's otherwise, and its memory most of the GPU's.
    os.environ["JAX_PLATFORMS"] = options.rivals_on if options.rivals_on != "nowhere" else "cpu"
    os.environ["JAX_DEFAULT_MATMUL_PRECISION"] = "highest"
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", COMPILE_THREADS)
    if options.played:
        onepass._gpu.MODULE = "onepass._cuda_fibers"
    equal = True
    for name, found in cases(options.played, options.rivals_on, options.copy_rate, until):
        print(as_json({name: found}), flush=True)
        equal = equal and ON_CPU not in found.get("unequal", ())
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())

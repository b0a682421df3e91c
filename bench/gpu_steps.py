"""Steps of optimizers on arrays that lie on a GPU, beside torch's, and the rate of a copy.

``python -m bench.gpu_steps`` prints one line of JSON a case: microseconds a step (the least of some
runs, the GPU's own clock), bytes over the measured rate of a copy, and in turn with ours torch's
fused, foreach and compiled optimizers, `onepass.torch` and a function that CuPy fuses; how far
parameters are from theirs and the CPU's after three steps; which are missing or differ, and why.
``--played`` rehearses it without a GPU, on arrays that stand in for CuPy's, without rivals;
``--tiny`` does small cases on the GPU, without rivals, for tools that slow it down.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import onepass
from bench.gpu_processes import ROOT, as_json
from onepass import optimizers
from onepass.bench import rivals

Stepping = tuple[Callable[[], object], list[Any]]  # a step, and what it steps
Makers = dict[str, Callable[[], Stepping]]
TOLERANCE = 1e-5  # of parameters: three steps change them by some 1e-3
COMPILED = "torch compiled"
MANY = 64  # tensors: torch compiles a step of thousands for minutes, and CuPy calls for each


@dataclass(frozen=True)
class Rule:
    """A rule here and in torch, and how often a step moves as many bytes as the parameters have."""

    ours: Callable[[], optimizers.Optimizer]
    torch: str
    torch_arguments: dict[str, Any]
    moved: int


RULES = {
    "sgd": Rule(lambda: optimizers.SGD(1e-3, convention="torch"), "SGD", {"lr": 1e-3}, 3),
    "momentum": Rule(
        lambda: optimizers.SGD(1e-3, momentum=0.9, convention="torch"),
        "SGD",
        {"lr": 1e-3, "momentum": 0.9},
        5,
    ),
    "adam": Rule(
        lambda: optimizers.Adam(1e-3, epsilon=1e-3, convention="torch"),
        "Adam",
        {"lr": 1e-3, "eps": 1e-3},
        7,
    ),
    "adamw": Rule(
        lambda: optimizers.AdamW(1e-3, epsilon=1e-3, weight_decay=0.01, convention="torch"),
        "AdamW",
        {"lr": 1e-3, "eps": 1e-3, "weight_decay": 0.01},
        7,
    ),
}
WHOLE = {"64M": (64 << 20,), "16x1M": (1 << 20,) * 16, "4096x100": (100,) * 4096}
SMALL = {"2000": (2000,), "16x100": (100,) * 16}


class OnGpu:
    """torch's tensors on the GPU, timed by its events."""

    def __init__(self, tiny: bool = False) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.tiny = tiny

    def arrays(self, sizes: Sequence[int], seed: int) -> list[Any]:
        torch = self.torch
        generator = torch.Generator(device="cuda").manual_seed(seed)
        return [torch.randn(n, device="cuda", generator=generator) for n in sizes]

    def host(self, a: Any) -> np.ndarray[Any, Any]:
        values: np.ndarray[Any, Any] = a.detach().cpu().numpy()
        return values

    def rivals(self, rule: Rule, sizes: Sequence[int], grads: list[Any]) -> Makers:
        if self.tiny:
            return {}
        made = partial(self._by_torch, rule, sizes, grads)
        return {
            "onepass.torch": partial(made, module="onepass.torch"),
            "torch fused": partial(made, fused=True),
            "torch foreach": partial(made, foreach=True),
            COMPILED: partial(made, foreach=True, compiled=True),
            "CuPy fused": partial(self._by_cupy, rule, sizes, grads),
        }

    def _by_torch(
        self,
        rule: Rule,
        sizes: Sequence[int],
        grads: list[Any],
        *,
        module: str = "torch.optim",
        compiled: bool = False,
        **how: bool,
    ) -> Stepping:
        if compiled and len(sizes) > MANY:
            raise ValueError(f"{len(sizes)} tensors: torch compiles their step for minutes")
        parameters = [self.torch.nn.Parameter(p) for p in self.arrays(sizes, 0)]
        for p, g in zip(parameters, grads, strict=True):
            p.grad = g
        if compiled and rule.torch != "SGD":
            how["capturable"] = True  # or it compiles anew for each number of steps
        made = getattr(importlib.import_module(module), rule.torch)
        step = made(parameters, **rule.torch_arguments, **how).step
        if compiled:
            rivals.torch_forget_compiled()
            step = rivals.torch_compiled(step)
        return step, parameters

    def _by_cupy(self, rule: Rule, sizes: Sequence[int], grads: list[Any]) -> Stepping:
        if len(sizes) > MANY:
            raise ValueError(f"{len(sizes)} tensors: a call of CuPy's for each takes seconds")
        cupy = importlib.import_module("cupy")
        parameters = self.arrays(sizes, 0)
        there = [[cupy.asarray(a) for a in arrays] for arrays in (parameters, grads)]
        return cupy_step(cupy, rule, *there), parameters

    def copy_bytes_a_second(self) -> float:
        n = (1 if self.tiny else 64) << 20
        (a,), (b,) = self.arrays((n,), 0), self.arrays((n,), 1)
        return 2 * 4 * n / (1e-6 * self.microseconds(lambda: b.copy_(a), 20))

    def microseconds(self, step: Callable[[], object], repeats: int) -> float:
        begin, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(repeats):
            step()
        end.record()
        self.torch.cuda.synchronize()
        return float(1e3 * begin.elapsed_time(end) / repeats)


class Played:
    """Arrays that stand in for CuPy's, over queues on the CPU: their times mean nothing."""

    def __init__(self) -> None:
        sys.path.insert(0, str(ROOT / "tests"))
        import fake_cupy

        sys.modules["cupy"] = self.cupy = fake_cupy
        onepass._gpu.MODULE = "onepass._cuda_fibers"

    def arrays(self, sizes: Sequence[int], seed: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        return [self.cupy.asarray(rng.normal(size=n).astype("f4")) for n in sizes]

    def host(self, a: Any) -> np.ndarray[Any, Any]:
        values: np.ndarray[Any, Any] = self.cupy.asnumpy(a)
        return values

    def rivals(self, rule: Rule, sizes: Sequence[int], grads: list[Any]) -> Makers:
        return {}

    def copy_bytes_a_second(self) -> float:
        return 1e9

    def microseconds(self, step: Callable[[], object], repeats: int) -> float:
        begun = time.perf_counter()
        for _ in range(repeats):
            step()
        return 1e6 * (time.perf_counter() - begun) / repeats


def cupy_step(
    cupy: Any, rule: Rule, parameters: Sequence[Any], grads: Sequence[Any]
) -> Callable[[], object]:
    """Return a step of one elementwise function a tensor, as users of CuPy write it."""
    if set(rule.torch_arguments) - {"lr", "eps"}:
        raise ValueError("only written for plain sgd and adam")
    one = parameters[0].dtype.type
    rate = one(rule.torch_arguments["lr"])

    def sgd(p: Any, g: Any, rate: Any) -> None:
        p -= rate * g

    def adam(p: Any, g: Any, m: Any, v: Any, rate: Any, correction: Any, epsilon: Any) -> None:
        m += one(0.1) * (g - m)
        v += one(0.001) * (g * g - v)
        p -= rate * m / (cupy.sqrt(v) * correction + epsilon)

    if rule.torch == "SGD":
        fused_sgd = cupy.fuse()(sgd)
        pairs = list(zip(parameters, grads, strict=True))
        return lambda: [fused_sgd(p, g, rate) for p, g in pairs]
    fused_adam = cupy.fuse()(adam)
    epsilon, done = one(rule.torch_arguments["eps"]), 0
    tensors = [
        (p, g, cupy.zeros_like(p), cupy.zeros_like(p))
        for p, g in zip(parameters, grads, strict=True)
    ]

    def step() -> None:
        nonlocal done
        done += 1
        now = one(rate / (1 - 0.9**done)), one((1 - 0.999**done) ** -0.5), epsilon
        for tensor in tensors:
            fused_adam(*tensor, *now)

    return step


def three_steps(step: Callable[[], object]) -> None:
    for _ in range(3):
        step()


def largest_difference(some: Sequence[Any], others: Sequence[Any]) -> float:
    # Not Python's max, to which a NaN is no larger than 0.
    return float(np.max([np.abs(a - b).max() for a, b in zip(some, others, strict=True)]))


def least_times(
    side: OnGpu | Played, steps: Mapping[str, Callable[[], object]], missing: dict[str, str]
) -> dict[str, float]:
    """Time steps in turn; a rival's that fails meanwhile is named as missing, and not timed."""
    repeats = 20 if isinstance(side, OnGpu) else 1
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(5):
        for name in list(times):
            try:
                times[name].append(side.microseconds(steps[name], repeats))
            except Exception as error:
                if name == "onepass":
                    raise
                missing[name] = f"while it was timed, {type(error).__name__}: {error}"
                del times[name]
    return {name: min(of) for name, of in times.items()}


def measure(
    side: OnGpu | Played,
    rule: Rule,
    sizes: Sequence[int],
    rate: float,
    compiled: bool = False,
) -> dict[str, Any]:
    """Compare a case with its rivals, then time all that are equal in turn.

    Parameters
    ----------
    rate : bytes a second of a copy
    compiled : beside what torch compiles, else beside the others
    """
    parameters, grads = side.arrays(sizes, 0), side.arrays(sizes, 1)
    ours, on_cpu = rule.ours(), rule.ours()
    ours.build(parameters)
    here = [side.host(p).copy() for p in parameters]
    host_grads = [side.host(g) for g in grads]
    on_cpu.build(here)
    three_steps(lambda: on_cpu.apply(host_grads))
    three_steps(lambda: ours.apply(grads))
    steps: dict[str, Callable[[], object]] = {"onepass": lambda: ours.apply(grads)}
    after = [side.host(p).copy() for p in parameters]
    errors = {"onepass on the CPU": largest_difference(after, here)}
    missing: dict[str, str] = {}
    for name, make in side.rivals(rule, sizes, grads).items():
        if (name == COMPILED) != compiled:
            continue
        try:
            step, theirs = make()
            three_steps(step)
            errors[name] = largest_difference(after, [side.host(p) for p in theirs])
        except Exception as error:
            missing[name] = f"{type(error).__name__}: {error}"
            continue
        if errors[name] <= TOLERANCE:
            steps[name] = step
    least = least_times(side, steps, missing)
    moved = 4 * rule.moved * sum(sizes)
    return {
        "us": least,
        "largest difference": errors,
        "unequal": sorted(name for name, error in errors.items() if not error <= TOLERANCE),
        "missing": missing,
        "of the copy's rate": moved / rate / (1e-6 * least["onepass"]),
    }


def cases(side: OnGpu | Played, small: bool, until: float) -> Iterator[dict[str, Any]]:
    """Yield a copy's rate, each case beside quick rivals, then beside what torch compiles."""
    rate = side.copy_bytes_a_second()
    yield {"copy GB/s": rate / 1e9}
    for compiled in (False, True):
        for label, sizes in (SMALL if small else WHOLE).items():
            for name, rule in RULES.items():
                if compiled and COMPILED not in side.rivals(rule, sizes, []):
                    continue
                key = f"{name} {label}" + " beside torch compiled" * compiled
                if compiled and time.monotonic() > until:
                    yield {key: {"missing": {COMPILED: "no time was left for it"}}}
                else:
                    yield {key: measure(side, rule, sizes, rate, compiled)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--played", action="store_true", help="without a GPU")
    parser.add_argument("--tiny", action="store_true", help="small cases without rivals")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="nothing is compiled after them"
    )
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    side: OnGpu | Played = Played() if options.played else OnGpu(options.tiny)
    equal = True
    for found in cases(side, options.played or options.tiny, until):
        print(as_json(found), flush=True)
        unequal = [one.get("unequal", []) for one in found.values() if isinstance(one, dict)]
        equal = equal and not any("onepass on the CPU" in names for names in unequal)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())

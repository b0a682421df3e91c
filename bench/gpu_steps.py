"""Steps of optimizers on arrays that lie on a GPU, beside torch's, and the rate of a copy.

``python -m bench.gpu_steps`` prints one JSON: of each case microseconds a step (the least of some
runs, the GPU's own clock), bytes over the measured rate of a copy, and torch's fused and foreach
optimizers and `onepass.torch`'s in turn with ours; how far parameters are from theirs and the CPU's
after three steps. ``--played`` rehearses it without a GPU, on arrays that stand in for CuPy's,
without rivals.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import onepass
from onepass import optimizers

ROOT = Path(__file__).resolve().parents[1]
Contenders = dict[str, tuple[Callable[[], object], list[Any]]]  # a step, and what it steps


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
PLAYED = {"2000": (2000,), "16x100": (100,) * 16}


class OnGpu:
    """torch's tensors on the GPU, timed by its events."""

    def __init__(self) -> None:
        import torch

        import onepass.torch

        self.torch = torch
        self.kinds: dict[str, tuple[Any, dict[str, bool]]] = {
            "torch fused": (torch.optim, {"fused": True}),
            "torch foreach": (torch.optim, {"foreach": True}),
            "onepass.torch": (onepass.torch, {}),
        }

    def arrays(self, sizes: Sequence[int], seed: int) -> list[Any]:
        torch = self.torch
        generator = torch.Generator(device="cuda").manual_seed(seed)
        return [torch.randn(n, device="cuda", generator=generator) for n in sizes]

    def host(self, a: Any) -> np.ndarray[Any, Any]:
        values: np.ndarray[Any, Any] = a.detach().cpu().numpy()
        return values

    def rivals(self, rule: Rule, sizes: Sequence[int], grads: list[Any]) -> Contenders:
        contenders: Contenders = {}
        for name, (module, how) in self.kinds.items():
            parameters = [self.torch.nn.Parameter(p) for p in self.arrays(sizes, 0)]
            for p, g in zip(parameters, grads, strict=True):
                p.grad = g
            optimizer = getattr(module, rule.torch)(parameters, **rule.torch_arguments, **how)
            contenders[name] = optimizer.step, parameters
        return contenders

    def copy_bytes_a_second(self) -> float:
        (a,), (b,) = self.arrays((64 << 20,), 0), self.arrays((64 << 20,), 1)
        return 2 * 4 * (64 << 20) / (1e-6 * self.microseconds(lambda: b.copy_(a), 20))

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

    def rivals(self, rule: Rule, sizes: Sequence[int], grads: list[Any]) -> Contenders:
        return {}

    def copy_bytes_a_second(self) -> float:
        return 1e9

    def microseconds(self, step: Callable[[], object], repeats: int) -> float:
        begun = time.perf_counter()
        for _ in range(repeats):
            step()
        return 1e6 * (time.perf_counter() - begun) / repeats


def measure(side: OnGpu | Played, rule: Rule, sizes: Sequence[int], rate: float) -> dict[str, Any]:
    """Compare a case with its rivals, then time all in turn."""
    parameters, grads = side.arrays(sizes, 0), side.arrays(sizes, 1)
    ours = rule.ours()
    ours.build(parameters)
    here = [side.host(p).copy() for p in parameters]
    on_cpu, host_grads = rule.ours(), [side.host(g) for g in grads]
    on_cpu.build(here)
    rivals = side.rivals(rule, sizes, grads)
    contenders: Contenders = {"onepass": (lambda: ours.apply(grads), parameters), **rivals}
    for _ in range(3):
        on_cpu.apply(host_grads)
    for step, _ in contenders.values():
        for _ in range(3):
            step()
    result: dict[str, Any] = {}
    others = {"the CPU": here}
    others |= {name: [side.host(p) for p in theirs] for name, (_, theirs) in rivals.items()}
    for name, arrays in others.items():
        result[f"largest difference from {name}"] = max(
            float(np.abs(side.host(p) - other).max())
            for p, other in zip(parameters, arrays, strict=True)
        )
    repeats = 20 if isinstance(side, OnGpu) else 1
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(5):
        for name, (step, _) in contenders.items():
            times[name].append(side.microseconds(step, repeats))
    least = {name: min(of) for name, of in times.items()}
    moved = 4 * rule.moved * sum(sizes)
    return result | {
        "microseconds": least,
        "of the copy's rate": moved / rate / (1e-6 * least["onepass"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--played", action="store_true")
    side: OnGpu | Played = Played() if parser.parse_args().played else OnGpu()
    rate = side.copy_bytes_a_second()
    cases = PLAYED if isinstance(side, Played) else WHOLE
    steps = {
        f"{name} {label}": measure(side, rule, sizes, rate)
        for label, sizes in cases.items()
        for name, rule in RULES.items()
    }
    print(json.dumps({"copy GB/s": rate / 1e9, "steps": steps}))


if __name__ == "__main__":
    main()

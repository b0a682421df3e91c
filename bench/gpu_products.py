"""Training steps by our own products and by cuBLASLt's on a GPU: from which size on it pays.

``python -m bench.gpu_products`` prints one line of JSON a shape, rows by inputs by outputs:
microseconds a step of one dense layer (its product, its weights' gradient, a step of SGD, feeding
included) with either, in turn; how far three steps are from ours, relative; multiply-adds of each
product, with which ``_cuda.set_cublaslt_size`` says from where on cuBLASLt gets them. Ends with
status 1 where results differ or a side did not compute its own products, with 2 without cuBLASLt.

``--played`` rehearses it without a GPU, on small shapes, with the library that plays cuBLASLt.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import onepass
from bench.gpu_models import measured
from bench.gpu_processes import ROOT, as_json
from onepass import _core, config
from onepass.bench.cases import Array, Contender, Prepared
from onepass.bench.families.networks import Network, OurTraining

# Rows, inputs, outputs; steps a run.
SHAPES = ((32, 784, 300, 256), (256, 784, 300, 128), (512, 1024, 4096, 8))
PLAYED = ((4, 12, 9, 4),)
ALWAYS, NEVER = 0, 2**62  # multiply-adds from which on cuBLASLt gets a product
THEIRS = "cuBLASLt"


class Side:
    """A training whose products cuBLASLt gets from a size on; counts those that it got."""

    def __init__(self, cuda: Any, size: int, training: OurTraining) -> None:
        self._cuda, self._size, self._training = cuda, size, training
        self.products = 0

    def _sized(self, call: Callable[[], Any]) -> Any:
        self._cuda.set_cublaslt_size(self._size)
        before = self._cuda.cublaslt_products()
        found = call()
        self.products += self._cuda.cublaslt_products() - before
        return found

    def run(self) -> None:
        self._sized(self._training.run)

    def result(self) -> Sequence[Array]:
        found: Sequence[Array] = self._sized(self._training.result)
        return found


def measure(
    cuda: Any, rows: int, inputs: int, outputs: int, steps: int, seconds: float
) -> dict[str, Any]:
    """Compare steps by our products with cuBLASLt's, then time both in turn."""
    network = Network((inputs, outputs), classifies=False)
    x, y = (_core.copied_to(a, "cuda") for a in network.data(rows * steps))
    own = OurTraining(network, x, y, "sgd", rows)
    ours = Side(cuda, NEVER, own)
    with_it = OurTraining(network, x, y, "sgd", rows, initial=own.initial)
    theirs = Side(cuda, ALWAYS, with_it)
    rival = Contender(THEIRS, theirs.run, theirs.result, optional=True)
    found = measured(Prepared(Contender("onepass", ours.run, ours.result), [rival]), steps, seconds)
    started = {"onepass": ours.products, THEIRS: theirs.products}
    return found | {
        "multiply-adds": prod((rows, inputs, outputs)),
        "started by cuBLASLt": started,
        "good": not found["unequal"] and not ours.products and theirs.products > 0,
    }


def play() -> None:
    """Let fibers on the CPU play the GPU, and a library of the tests cuBLASLt."""
    sys.path.insert(0, str(ROOT / "tests"))
    library = importlib.import_module("played_cublaslt").Library()
    onepass._gpu.MODULE = "onepass._cuda_fibers"
    os.environ[onepass._gpu.CUBLASLT_VARIABLE] = library.path
    library.works_on(ctypes.CDLL(importlib.import_module(onepass._gpu.MODULE).__file__))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--played", action="store_true", help="without a GPU, on small shapes")
    played = parser.parse_args().played
    if played:
        play()
    config.set_device("cuda")
    if "no cuBLASLt" in onepass._gpu.summary():
        print(as_json({"products": {"missing": onepass._gpu.summary()}}))
        return 2
    cuda = importlib.import_module(onepass._gpu.MODULE)
    good = True
    for rows, inputs, outputs, steps in PLAYED if played else SHAPES:
        found = measure(cuda, rows, inputs, outputs, steps, 0.02 if played else 2.0)
        print(as_json({f"{rows}x{inputs}x{outputs}": found}), flush=True)
        good = good and found["good"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""The check on a machine with an NVIDIA GPU: whether every kernel is right there. One command:

``python -m bench.gpu_check --json FILE [--isa cuda] [--architectures native] [--seconds 420]``

It builds onepass for tests into a folder of its own (no network: NumPy, tqdm, pytest, hypothesis,
pybind11, scikit-build-core, CMake and nvcc 13 must be there), then runs the tests of kernels, then
those of models and optimizers, with the GPU's kernels as the instruction set ``cuda``: all that is
compared between instruction sets is compared with the CPU's, elementwise kernels and reductions bit
for bit. Arrays stay in the host's memory (``tests/cuda/pinned.cpp``). Between the two, models are
trained on the device by ``onepass._cuda``, as users run it, and timed beside the CPU; optimizers
step torch's tensors there, compared with the CPU's (``tests/test_torch_gpu.py``) and timed beside
torch's own (``bench.gpu_steps``). Last, where compute-sanitizer
is installed, some kernels once more under its memory checker. ``--isa fibers`` rehearses all of
this without a GPU. Ends with status 1 where anything failed or nothing ran.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KERNELS = sorted(str(path) for path in ROOT.glob("tests/test_kernels_*.py"))
MODELS = [
    f"{ROOT}/tests/test_{name}.py"
    for name in (
        *("rules", "dropout", "normalization", "noise", "regularizers", "circle", "constraints"),
        *("functional", "training", "optimizers", "around_the_rule", "muon", "plan"),
    )
]
ON_DEVICE = [
    f"{ROOT}/tests/test_{name}.py"
    for name in (
        *("gpu_models", "torch_gpu", "torch_gpu_states"),
        *("training", "functional", "predict", "course", "normalization"),
    )
]
SANITIZED = [f"{ROOT}/tests/test_kernels_{name}.py" for name in ("rowwise", "reduce")]


@dataclass
class Outcome:
    """What one run of tests came to."""

    name: str
    passed: int
    failed: int
    seconds: float
    in_time: bool
    last_lines: list[str]

    @property
    def good(self) -> bool:
        return self.passed > 0 and self.failed == 0


def build(folder: Path, isa: str, architectures: str) -> Path:
    """Install onepass for tests into a folder; return it."""
    defines = {"fibers": ["ONEPASS_FIBERS=ON"]}.get(
        isa,
        [
            "ONEPASS_CUDA=ON",
            "ONEPASS_DEVICE_TESTS=ON",
            f"ONEPASS_CUDA_ARCHITECTURES={architectures}",
        ],
    )
    installed = folder / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "--target", str(installed), str(ROOT)],
        env={**os.environ, "SKBUILD_CMAKE_DEFINE": ";".join(defines)},
        check=True,
    )
    return installed


def surroundings(installed: Path, isa: str | None, played: bool = False) -> dict[str, str]:
    """Return the environment of the tests: of an instruction set, or of models on the device."""
    made = {**os.environ, "PYTHONPATH": str(installed), "HYPOTHESIS_PROFILE": "quick"}
    if isa is None:  # as users run it
        module = "onepass._cuda_fibers" if played else "onepass._cuda"
        return made | {"ONEPASS_TEST_GPU": module}
    made |= {"ONEPASS_ISA": isa, "ONEPASS_NUM_THREADS": "2"}
    pinned = next((installed / "onepass").glob("libpinned*.so"), None)
    return made | ({"LD_PRELOAD": str(pinned)} if pinned else {})


def run_tests(
    name: str,
    tests: Sequence[str],
    environment: Mapping[str, str],
    seconds: float,
    before: Sequence[str] = (),
) -> Outcome:
    """Run tests for at most so long; what has not run by then is not counted."""
    command = [*before, sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *tests]
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            process.wait(seconds)
            in_time = True
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            in_time = False
        output.seek(0)
        text = output.read()
    failed = len(re.findall(r" (?:FAILED|ERROR) +\[", text))
    if in_time and process.returncode not in (0, 1):
        failed += 1  # the process ended with the test that it was in
    lines = text.splitlines()
    told = [line for line in lines if "FAILED" in line or line.startswith(("cuda:", "E "))]
    return Outcome(
        name,
        passed=len(re.findall(r" PASSED +\[", text)),
        failed=failed,
        seconds=round(time.monotonic() - start, 1),
        in_time=in_time,
        last_lines=[*told[:40], *lines[-5:]],
    )


def facts(installed: Path) -> dict[str, str]:
    """Return which machine and build this is."""
    info = [sys.executable, "-m", "onepass.cli", "info"]
    shown = subprocess.run(
        info,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {"info": shown.stdout + shown.stderr, "commit": commit.stdout.strip()}


STEPS = """
import json, os, sys, time
import numpy as np
import onepass
from onepass import Sequential, config, layers

if module := os.environ["ONEPASS_TEST_GPU"]:
    onepass._gpu.MODULE = module
SHAPES = {"M1": (784, [300, 100], 10, 32), "M5": (1024, [4096, 4096], 1024, 512)}
small = sys.argv[1] == "small"
result = {}
for name, (inputs, hidden, outputs, batch) in SHAPES.items():
    if small and name != "M1":
        continue
    steps = 4 if small else 400 if name == "M1" else 40
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps * batch, inputs)).astype("f4")
    y = rng.integers(0, outputs, steps * batch)
    for device in ("cpu", "cuda"):
        config.set_device(device)
        sizes = [layers.Dense(units, activation="relu") for units in hidden]
        model = Sequential([onepass.Input([inputs]), *sizes, layers.Dense(outputs)])
        loss = onepass.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(loss=loss, optimizer="adam")
        times = []
        for _ in range(2 if small else 5):
            begun = time.perf_counter()
            model.fit(x, y, batch_size=batch, verbose=0)
            times.append(1e6 * (time.perf_counter() - begun) / steps)
        result[f"{name} adam b{batch} {device}"] = min(times)
print(json.dumps(result))
"""


def measured(
    arguments: Sequence[str], environment: Mapping[str, str], seconds: float
) -> dict[str, Any] | str:
    """Return what a Python process of these arguments printed as JSON; or what failed."""
    try:
        ran = subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {seconds} s"
    if ran.returncode:
        return ran.stderr[-2000:]
    result: dict[str, Any] = json.loads(ran.stdout)
    return result


def step_times(environment: Mapping[str, str], small: bool) -> dict[str, float] | str:
    """Return the time of a training step, feeding included, on CPU and device; or what failed."""
    return measured(["-c", STEPS, "small" if small else "whole"], environment, 120)


def optimizer_steps(environment: Mapping[str, str], played: bool) -> dict[str, object] | str:
    """Return what `bench.gpu_steps` measures of optimizers on the GPU's arrays; or what failed."""
    how = ["--played"] if played else []
    return measured(["-m", "bench.gpu_steps", *how], environment, 150)


def check(isa: str, architectures: str, seconds: float) -> dict[str, object]:
    """Build and run everything; return what is to be kept."""
    begun = time.monotonic()
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        installed = build(Path(folder), isa, architectures)
        environment = surroundings(installed, isa)
        device = surroundings(installed, None, isa == "fibers")
        stages: list[tuple[str, list[str], dict[str, str], Sequence[str]]] = [
            ("kernels", KERNELS, environment, ()),
            ("models on the device", ON_DEVICE, device, ()),
            ("models and optimizers", MODELS, environment, ()),
        ]
        if isa == "cuda" and (sanitizer := shutil.which("compute-sanitizer")):
            checker = (sanitizer, "--error-exitcode", "9")
            stages.append(("memory checker", SANITIZED, environment, checker))
        for name, tests, made, before in stages:
            left = max(1.0, seconds - (time.monotonic() - begun))
            outcomes.append(run_tests(name, tests, made, left, before))
            print(f"{name}: {outcomes[-1].passed} passed, {outcomes[-1].failed} failed", flush=True)
        steps = step_times(device, small=isa == "fibers")
        arrays = optimizer_steps(device, played=isa == "fibers")
        return {
            **facts(installed),
            "steps_us": steps,
            "optimizers": arrays,
            "isa": isa,
            "seconds": round(time.monotonic() - begun, 1),
            "outcomes": [asdict(outcome) for outcome in outcomes],
            "good": isinstance(steps, dict)
            and isinstance(arrays, dict)
            and all(outcome.good for outcome in outcomes),
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--isa", choices=("cuda", "fibers"), default="cuda")
    parser.add_argument("--architectures", default="native")
    parser.add_argument("--seconds", type=float, default=420.0)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    result = check(options.isa, options.architectures, options.seconds)
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if result["good"] else 1


if __name__ == "__main__":
    sys.exit(main())

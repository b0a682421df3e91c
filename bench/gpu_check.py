"""The check on a machine with an NVIDIA GPU: whether every kernel is right there, and how fast.

``python -m bench.gpu_check --json FILE [--wheel FILE] [--commit NAME] [--seconds 480]``

Wanted there (no network): Python with NumPy, tqdm, pytest and hypothesis, nvcc 13, and as rivals,
where there are any, torch, CuPy and JAX. Without ``--wheel`` onepass is built there, which takes
minutes and wants pybind11, scikit-build-core and CMake, too. So build it beforehand, on a machine
with nvcc, the same Python (3.12, say) and no newer glibc:

    SKBUILD_CMAKE_DEFINE="ONEPASS_CUDA=ON;ONEPASS_DEVICE_TESTS=ON;ONEPASS_CUDA_ARCHITECTURES=90-real"
    export SKBUILD_CMAKE_DEFINE
    pip wheel --no-deps -w dist .

The stages, in this order, each with a limit (`STAGES`); together they take ``--seconds`` at most:

- probes: what the design of kernels rests on (`bench.gpu_probes`)
- install: onepass into a folder of its own
- kernels: their tests with the GPU's kernels as the instruction set ``cuda``: compared with the
  CPU's, elementwise kernels and reductions bit for bit, on arrays in pinned memory of the host
  (``tests/cuda/pinned.cpp``)
- models on the device: models by ``onepass._cuda`` and optimizers on the arrays of CuPy and torch,
  as users run them
- models and optimizers: more tests with the instruction set ``cuda``
- memcheck, racecheck, initcheck: some of these under compute-sanitizer. The pinned memory is one
  block, in which no overrun is seen, so memcheck and initcheck look at models and optimizers, whose
  arrays are blocks of their own; racecheck looks at shared memory, which is the kernels'
- training: models' steps beside torch's and JAX's there and ours on the CPU (`bench.gpu_models`)
- optimizers: their steps beside torch's and CuPy's, and a copy's rate (`bench.gpu_steps`)

What a stage does not need goes to those behind it. A stage that is stopped by its limit is told as
such, and what it had found by then counts; the file is written after every stage. ``--isa fibers``
rehearses all of this without a GPU. Ends with status 1 where anything failed or nothing ran.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.gpu_processes import ROOT, measured, ran, run_tests, sanitizer

KERNELS = sorted(str(path) for path in ROOT.glob("tests/test_kernels_*.py"))


def files(*names: str) -> list[str]:
    return [f"{ROOT}/tests/test_{name}.py" for name in names]


MODELS = files(
    *("rules", "dropout", "normalization", "noise", "regularizers", "circle", "constraints"),
    *("functional", "training", "optimizers", "around_the_rule", "muon", "plan"),
)
ON_DEVICE = files(
    *("gpu_models", "gpu_library_arrays", "torch_gpu", "torch_gpu_states"),
    *("training", "functional", "predict", "course", "normalization"),
)
# Tiny ones, on memory that lies in no pool; and kernels that use shared memory.
SANITIZED = [*files("gpu_library_arrays", "gpu_models"), "-k", "rule_has or as_on_the_cpu"]
RACING = [*files("kernels_rowwise", "kernels_reduce"), "-k", "not large"]
SANITIZERS: dict[str, tuple[list[str], list[str]]] = {
    "memcheck": (["--padding", "256"], SANITIZED),
    "racecheck": ([], RACING),
    "initcheck": ([], SANITIZED),
}
# Seconds of each where all of 480 are needed and there is a wheel.
STAGES = {
    "probes": 40,
    "install": 15,
    "kernels": 95,
    "models on the device": 65,
    "models and optimizers": 45,
    "memcheck": 35,
    "racecheck": 30,
    "initcheck": 25,
    "training": 85,
    "optimizers": 45,
}
BUILDING = 240  # seconds of "install" without a wheel: the others then have less
MUST_RUN = ("kernels", "models on the device")


@dataclass(frozen=True)
class Plan:
    """How the check is run.

    Attributes
    ----------
    isa : "cuda", or "fibers" to rehearse
    architectures : for which kernels are built, as CMake's
    wheel : to install instead of building
    seconds : for all stages
    commit : which is checked, where git does not know
    """

    isa: str = "cuda"
    architectures: str = "native"
    wheel: Path | None = None
    seconds: float = 480.0
    commit: str | None = None

    @property
    def played(self) -> bool:
        return self.isa == "fibers"


@dataclass
class Stage:
    """What one stage came to.

    Attributes
    ----------
    outcome : "passed", "failed", "out of time" or "skipped"
    why : of the last two or of a failure
    found : what it measured or which tests ran
    """

    outcome: str
    why: str = ""
    found: Mapping[str, Any] = field(default_factory=dict)
    limit: float = 0.0
    seconds: float = 0.0


def build(plan: Plan, installed: Path, seconds: float) -> Stage:
    """Install onepass for tests into a folder, from the wheel or by building it."""
    defines = ["ONEPASS_FIBERS=ON", "ONEPASS_CUDA=OFF"]
    if not plan.played:
        defines = [
            "ONEPASS_CUDA=ON",
            "ONEPASS_DEVICE_TESTS=ON",
            f"ONEPASS_CUDA_ARCHITECTURES={plan.architectures}",
        ]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    source = [str(plan.wheel)] if plan.wheel else ["--no-build-isolation", str(ROOT)]
    environment = {**os.environ, "SKBUILD_CMAKE_DEFINE": ";".join(defines)}
    told = ran([*pip, "--target", str(installed), *source], environment, seconds)
    if told.status is None:
        return Stage("out of time", f"pip did not end within {seconds:.0f} s")
    return Stage("failed", told.end) if told.status else Stage("passed")


def surroundings(installed: Path, isa: str | None, played: bool = False) -> dict[str, str]:
    """Return the environment of the tests: of an instruction set, or of models on the device."""
    made = {**os.environ, "PYTHONPATH": str(installed), "HYPOTHESIS_PROFILE": "quick"}
    if isa is None:  # as users run it
        module = "onepass._cuda_fibers" if played else "onepass._cuda"
        return made | {"ONEPASS_TEST_GPU": module}
    made |= {"ONEPASS_ISA": isa, "ONEPASS_NUM_THREADS": "2"}
    pinned = next((installed / "onepass").glob("libpinned*.so"), None)
    return made | ({"LD_PRELOAD": str(pinned)} if pinned else {})


def with_tests(
    name: str,
    tests: Sequence[str],
    environment: Mapping[str, str],
    seconds: float,
    before: Sequence[str] = (),
) -> Stage:
    """Run tests; those that ended before the limit count."""
    outcome = run_tests(name, tests, environment, seconds, before)
    print(f"{name}: {outcome.passed} passed, {outcome.failed} failed", flush=True)
    if not outcome.in_time and not outcome.failed:
        return Stage("out of time", f"{outcome.passed} tests ran", asdict(outcome))
    why = "" if outcome.good else "no test ran" if not outcome.failed else "see last_lines"
    return Stage("passed" if outcome.good else "failed", why, asdict(outcome))


def scripted(
    arguments: Sequence[str], environment: Mapping[str, str], seconds: float, missing: int = 0
) -> Stage:
    """Run a script that prints lines of JSON; it ends with `missing` where it cannot run here."""
    result = measured(arguments, environment, seconds)
    if result.status is None:
        return Stage("out of time", result.why, result.found)
    if missing and result.status == missing:
        return Stage("skipped", "see what it misses", result.found)
    good = result.status == 0 and result.found
    return Stage("passed" if good else "failed", "" if good else result.why, result.found)


def sanitized(
    tool: str, around: Mapping[str | None, Mapping[str, str]], plan: Plan, seconds: float
) -> Stage:
    """Run tests under one of compute-sanitizer's tools."""
    if plan.played:
        return Stage("skipped", "without a GPU it has nothing to look at")
    program = sanitizer()
    if program is None:
        return Stage("skipped", "compute-sanitizer is not installed")
    options, tests = SANITIZERS[tool]
    environment = around[plan.isa if tests is RACING else None]
    environment = {**environment, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    before = [program, "--tool", tool, *options, "--error-exitcode", "9"]
    return with_tests(tool, tests, environment, seconds, before)


def copy_rate(probes: Mapping[str, Any]) -> list[str]:
    """Return the rate of a copy that a probe measured, as an option; nothing where none did."""
    rate = probes.get("rates", {}).get("copy GB/s, read and written")
    return [] if rate is None else ["--copy-rate", str(rate)]


def time_for_rivals(seconds: float) -> list[str]:
    """Return until when a script begins rivals that take long, of so many seconds, as an option."""
    return ["--seconds", f"{0.75 * seconds:.1f}"]


Run = Callable[[float], Stage]


def stages(plan: Plan, installed: Path, done: Mapping[str, Stage]) -> dict[str, Run]:
    """Return what runs each stage, given its limit, in order."""
    around: dict[str | None, dict[str, str]] = {}

    def install(seconds: float) -> Stage:
        stage = build(plan, installed, seconds)
        around[plan.isa] = surroundings(installed, plan.isa)
        around[None] = surroundings(installed, None, plan.played)
        return stage

    def on_cuda(name: str, tests: Sequence[str], seconds: float) -> Stage:
        return with_tests(name, tests, around[plan.isa], seconds)

    def on_device(name: str, tests: Sequence[str], seconds: float) -> Stage:
        return with_tests(name, tests, around[None], seconds)

    def training(seconds: float) -> Stage:
        how = [*time_for_rivals(seconds), *copy_rate(done["probes"].found)]
        if plan.played:
            how += ["--played", "--rivals-on", "nowhere"]
        return scripted(["-m", "bench.gpu_models", *how], around[None], seconds)

    def optimizers(seconds: float) -> Stage:
        how = [*time_for_rivals(seconds), *(["--played"] if plan.played else [])]
        return scripted(["-m", "bench.gpu_steps", *how], around[None], seconds)

    def probes(seconds: float) -> Stage:
        return scripted(["-m", "bench.gpu_probes"], os.environ, seconds, missing=2)

    return {
        "probes": probes,
        "install": install,
        "kernels": partial(on_cuda, "kernels", KERNELS),
        "models on the device": partial(on_device, "models on the device", ON_DEVICE),
        "models and optimizers": partial(on_cuda, "models and optimizers", MODELS),
        **{tool: partial(sanitized, tool, around, plan) for tool in SANITIZERS},
        "training": training,
        "optimizers": optimizers,
    }


FACTS = """
import json, os
from onepass import _gpu
_gpu.MODULE = os.environ["ONEPASS_TEST_GPU"]
cuda = _gpu._module()
versions = {"driver's CUDA": cuda.driver_version(), "CUDA": cuda.runtime_version()}
versions = {name: _gpu._version(number) for name, number in versions.items()}
print(json.dumps(versions | {"device": _gpu.devices()[0]["name"]}))
"""


def facts(installed: Path, plan: Plan) -> dict[str, Any]:
    """Return which GPU, driver, CUDA and commit this is; what cannot be found out says why."""
    environment = surroundings(installed, None, plan.played)
    asked = measured(["-c", FACTS], environment, 30)
    info = ran([sys.executable, "-m", "onepass.cli", "info"], environment, 30)
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    describe = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    return {
        "device": "unknown",
        "commit": plan.commit or told(describe),
        "driver": told(query),
        **asked.found,
        **({"why unknown": asked.why} if asked.why else {}),
        "info": info.output + info.errors,
    }


def told(command: Sequence[str]) -> str:
    """Return what a program says, or that it cannot."""
    try:
        said = ran(command, os.environ, 30)
    except FileNotFoundError:
        return f"unknown: {command[0]} is not installed"
    return said.output.strip() if said.status == 0 else f"unknown: {said.end.strip()}"


def limit_of(name: str, left: float, shares: Mapping[str, float]) -> float:
    """Return the seconds of a stage: its share of what is left to it and those behind it."""
    names = list(shares)
    behind = sum(shares[other] for other in names[names.index(name) :])
    return max(1.0, left * shares[name] / behind)


def check(plan: Plan, keep: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Run all stages; hand what is to be kept to ``keep`` after each, and return it."""
    begun = time.monotonic()
    done: dict[str, Stage] = {}
    shares = STAGES if plan.wheel else {**STAGES, "install": BUILDING}
    result: dict[str, Any] = {"isa": plan.isa, "wheel": str(plan.wheel or "built here")}
    with tempfile.TemporaryDirectory() as folder:
        installed = Path(folder) / "site"
        for name, run in stages(plan, installed, done).items():
            start = time.monotonic()
            limit = limit_of(name, plan.seconds - (start - begun), shares)
            missing = "install" in done and done["install"].outcome != "passed"
            stage = Stage("skipped", "onepass is not installed") if missing else run(limit)
            stage.limit, stage.seconds = round(limit, 1), round(time.monotonic() - start, 1)
            done[name] = stage
            print(f"{name}: {stage.outcome} in {stage.seconds} s. {stage.why}", flush=True)
            if name == "install":
                result |= facts(installed, plan)
            result |= summary(done) | {"seconds": round(time.monotonic() - begun, 1)}
            keep(result)
    return result


def summary(done: Mapping[str, Stage]) -> dict[str, Any]:
    """Return what the stages found and whether all is well; ``complete`` if none was cut short."""
    passed = [done[name].found.get("passed", 0) for name in MUST_RUN if name in done]
    outcomes = [stage.outcome for stage in done.values()]
    return {
        "good": "failed" not in outcomes and len(passed) == len(MUST_RUN) and all(passed),
        "complete": len(done) == len(STAGES) and "out of time" not in outcomes,
        "stages": {
            name: {k: v for k, v in asdict(stage).items() if k != "found"}
            for name, stage in done.items()
        },
        **{name: dict(stage.found) for name, stage in done.items() if stage.found},
    }


def parsed(arguments: Sequence[str] | None = None) -> tuple[Plan, Path]:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--isa", choices=("cuda", "fibers"), default="cuda")
    parser.add_argument("--architectures", default="native", help="to build for, as CMake's")
    parser.add_argument("--wheel", type=Path, help="to install instead of building")
    parser.add_argument("--seconds", type=float, default=480.0, help="for all stages together")
    parser.add_argument("--commit", help="which is checked, where git does not know")
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.wheel is not None and not options.wheel.is_file():
        parser.error(f"--wheel: there is no file {options.wheel}")
    plan = Plan(options.isa, options.architectures, options.wheel, options.seconds, options.commit)
    return plan, options.json


def main() -> int:
    plan, path = parsed()

    def keep(found: Mapping[str, Any]) -> None:
        path.write_text(json.dumps(found, indent=2) + "\n")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # stages end with us
    result = check(plan, keep)
    return 0 if result["good"] else 1


if __name__ == "__main__":
    sys.exit(main())

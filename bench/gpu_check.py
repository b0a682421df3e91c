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
  block, in which no overrun is seen, so memcheck looks at models and optimizers, whose arrays are
  blocks of their own; initcheck at optimizers alone, for it does not see what the host writes to
  models' memory; racecheck looks at shared memory, which is the kernels'
- products: cuBLASLt's beside our own in training steps (`bench.gpu_products`)
- training: models' steps beside torch's and JAX's there and ours on the CPU (`bench.gpu_models`)
- optimizers: their steps beside torch's and CuPy's, and a copy's rate (`bench.gpu_steps`)

What a stage does not need goes to those behind it. A stage that is stopped by its limit is told as
such, and what it had found by then counts; the file is written after every stage. ``--isa fibers``
rehearses all of this without a GPU. Ends with status 1 where anything failed or nothing ran.
"""

from __future__ import annotations

import argparse
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

from bench.gpu_facts import facts
from bench.gpu_processes import ROOT, as_json, measured, ran, run_tests, sanitizer

KERNELS = sorted(str(path) for path in ROOT.glob("tests/test_kernels_*.py"))


def files(*names: str) -> list[str]:
    return [f"{ROOT}/tests/test_{name}.py" for name in names]


MODELS = files(
    *("rules", "dropout", "normalization", "noise", "regularizers", "circle", "constraints"),
    *("functional", "training", "optimizers", "around_the_rule", "muon", "plan"),
)
ON_DEVICE = files(
    *("gpu_models", "gpu_staging", "gpu_library_arrays", "torch_gpu", "torch_gpu_states"),
    *("training", "functional", "predict", "course", "normalization"),
)
# Tiny ones, on memory that lies in no pool; and kernels that use shared memory.
TINY = ["-k", "rule_has or as_on_the_cpu"]
SANITIZED = [*files("gpu_library_arrays", "gpu_models"), *TINY]
RACING = [*files("kernels_rowwise", "kernels_reduce"), "-k", "not large"]


@dataclass(frozen=True)
class Sanitizing:
    """One of compute-sanitizer's tools: its options, the tests, and whether these are of kernels.

    Tests of kernels want the instruction set ``cuda``, others models on the device.
    """

    options: Sequence[str]
    tests: Sequence[str]
    of_kernels: bool = False


SANITIZERS = {
    "memcheck": Sanitizing(["--padding", "256"], SANITIZED),
    "racecheck": Sanitizing([], RACING, of_kernels=True),
    # The host writes models' memory, too, of which the tool sees nothing.
    "initcheck": Sanitizing([], [*files("gpu_library_arrays"), *TINY]),
}
# Seconds of each where all of 480 are needed and there is a wheel.
STAGES = {
    "probes": 40,
    "install": 15,
    "kernels": 90,
    "models on the device": 65,
    "models and optimizers": 45,
    "memcheck": 35,
    "racecheck": 30,
    "initcheck": 25,
    "products": 15,
    "training": 75,
    "optimizers": 45,
}
# The share of "install" without a wheel; all are scaled to the time there is: some 160 s of 480.
BUILDING = 240
MUST_RUN = ("kernels", "models on the device")
# Of tests: several processes would each have as many threads as there are cores otherwise, and each
# pins memory.
TEST_THREADS = {"ONEPASS_NUM_THREADS": "2"}
PINNED = {"ONEPASS_PINNED_BYTES": str(2 << 30)}
# Surroundings: of kernels' tests, of tests of models on the device, and of users.
OF_KERNELS, OF_MODELS, OF_USERS = "kernels", "models", "users"
TESTS = {
    "kernels": (OF_KERNELS, KERNELS),
    "models on the device": (OF_MODELS, ON_DEVICE),
    "models and optimizers": (OF_KERNELS, MODELS),
}


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
    made |= {"ONEPASS_ISA": isa} | TEST_THREADS
    pinned = next((installed / "onepass").glob("libpinned*.so"), None)
    return made | ({"LD_PRELOAD": str(pinned), **PINNED} if pinned else {})


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
    tool: str, around: Mapping[str, Mapping[str, str]], plan: Plan, seconds: float
) -> Stage:
    """Run tests under one of compute-sanitizer's tools."""
    if plan.played:
        return Stage("skipped", "without a GPU it has nothing to look at")
    program = sanitizer()
    if program is None:
        return Stage("skipped", "compute-sanitizer is not installed")
    how = SANITIZERS[tool]
    environment = around[OF_KERNELS if how.of_kernels else OF_MODELS]
    environment = {**environment, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    before = [program, "--tool", tool, *how.options, "--error-exitcode", "9"]
    return with_tests(tool, how.tests, environment, seconds, before)


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
    around: dict[str, dict[str, str]] = {}
    played = ["--played"] if plan.played else []

    def install(seconds: float) -> Stage:
        stage = build(plan, installed, seconds)
        around[OF_KERNELS] = surroundings(installed, plan.isa)
        around[OF_USERS] = surroundings(installed, None, plan.played)
        around[OF_MODELS] = around[OF_USERS] | TEST_THREADS
        return stage

    def tested(name: str, which: str, tests: Sequence[str], seconds: float) -> Stage:
        return with_tests(name, tests, around[which], seconds)

    def timed(script: str, how: Sequence[str], seconds: float, missing: int = 0) -> Stage:
        arguments = ["-m", f"bench.{script}", *played, *how]
        return scripted(arguments, around[OF_USERS], seconds, missing)

    def training(seconds: float) -> Stage:
        nowhere = ["--rivals-on", "nowhere"] if plan.played else []
        how = [*time_for_rivals(seconds), *copy_rate(done["probes"].found), *nowhere]
        return timed("gpu_models", how, seconds)

    def optimizers(seconds: float) -> Stage:
        return timed("gpu_steps", time_for_rivals(seconds), seconds)

    def products(seconds: float) -> Stage:
        return timed("gpu_products", [], seconds, missing=2)

    def probes(seconds: float) -> Stage:
        return scripted(["-m", "bench.gpu_probes"], os.environ, seconds, missing=2)

    return {
        "probes": probes,
        "install": install,
        **{name: partial(tested, name, which, tests) for name, (which, tests) in TESTS.items()},
        **{tool: partial(sanitized, tool, around, plan) for tool in SANITIZERS},
        "products": products,
        "training": training,
        "optimizers": optimizers,
    }


def ended(run: Run, limit: float) -> Stage:
    """Run a stage; an error of ours ends it alone."""
    try:
        return run(limit)
    except Exception as error:
        return Stage("failed", f"{type(error).__name__}: {error}")


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
            stage = Stage("skipped", "onepass is not installed") if missing else ended(run, limit)
            stage.limit, stage.seconds = round(limit, 1), round(time.monotonic() - start, 1)
            done[name] = stage
            print(f"{name}: {stage.outcome} in {stage.seconds} s. {stage.why}", flush=True)
            if name == "install":
                around = surroundings(installed, None, plan.played)
                result |= facts(around, plan.commit)
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
        path.write_text(as_json(found, indent=2) + "\n")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # stages end with us
    # What a shell runs in the background ignores interrupts, and so would the stages.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    result = check(plan, keep)
    return 0 if result["good"] else 1


if __name__ == "__main__":
    sys.exit(main())

"""Instructions that small cases need, held against a committed baseline.

``python -m bench.instructions`` runs each case on one thread under valgrind's callgrind, with the
AVX2 kernels (valgrind has no AVX-512), and ends with status 1 if a case's count left the baseline
by more than 3% either way. ``--write`` makes the counts the new baseline. Counts, unlike times, are
the same on a busy machine; they hold for one compiler, Python and NumPy, so that with others the
difference is shown and is no failure.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BASELINE = Path(__file__).with_name("results") / "instructions.json"
TOLERANCE = 0.03
COUNTED = 4  # calls: as many as there are sets of data that they go through in turn
CASES = (
    "dense_forward 32x784x300",
    "dense_backward_weights 32x784x300",
    "dense_backward_input 32x784x300",
    "sgd step 266k",
    "adam step 266k",
    "categorical_crossentropy_from_logits 256x1024",
    "softmax forward 256x1024",
    "global_norm 266k",
    "M1 train b32 sgd",
    "M1 train b32 adam",
    "M4 train b32 adam",
    "M1 predict 1",
)


def compilers() -> str:
    """Return what compiled the extension: compilers leave their names in what they make."""
    from onepass import _core

    found = re.findall(rb"(?:GCC: \(|clang version )[^\0]+", Path(_core.__file__).read_bytes())
    return ", ".join(sorted({name.decode(errors="replace") for name in found})) or "unknown"


def environment() -> dict[str, str]:
    """Return what counts depend on beside the sources."""
    import numpy as np

    return {
        "compiler": compilers(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _calls() -> Iterator[tuple[str, Callable[[], object]]]:
    """Prepare each case; training steps are single ones, for passes end by the clock."""
    from onepass.bench import rivals
    from onepass.bench.cases import Sizes, all_cases
    from onepass.bench.families import networks

    rivals.ignore()
    networks.CHECKED_STEPS = 1
    sizes = Sizes()
    steps = tuple((name, batch, how, 1) for name, batch, how, _ in sizes.training)
    known = {case.name: case for case in all_cases(replace(sizes, training=steps))}
    for name in CASES:
        yield name, known[name].prepare().ours.run


def count_here() -> None:
    """Run every case a few times with counting on; for a process under callgrind."""
    from bench.native import valgrind
    from onepass import config

    config.set_threads(1)
    requests = valgrind()
    for name, call in _calls():
        for _ in range(8):  # plans are made, caches filled, types specialised by Python
            call()
        gc.collect()
        gc.disable()
        requests.count_from_here()
        for _ in repeat(None, COUNTED):
            call()
        requests.count_until_here(name.encode())
        gc.enable()


def read_dumps(folder: Path) -> dict[str, int]:
    """Return the counts by case that callgrind left in a folder."""
    counts = {}
    for path in folder.glob("callgrind.out.*"):
        text = path.read_text(errors="replace")
        case = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
        total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
        if case and total:
            counts[case[1]] = int(total[1])
    return counts


def measure() -> dict[str, int]:
    """Return the instructions of each case, in a process under callgrind.

    Raises
    ------
    RuntimeError
        If valgrind is missing or failed.
    """
    fixed = {
        "ONEPASS_ISA": "avx2",
        "ONEPASS_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
    with tempfile.TemporaryDirectory() as folder:
        out = f"--callgrind-out-file={folder}/callgrind.out"
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", out]
        command = [*tool, sys.executable, "-m", "bench.instructions", "--count-here"]
        try:
            run = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, **fixed},
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError:
            raise RuntimeError("valgrind is not installed") from None
        if run.returncode != 0:
            raise RuntimeError(f"valgrind ended with {run.returncode}:\n{run.stderr[-3000:]}")
        counts = read_dumps(Path(folder))
    if missing := [name for name in CASES if name not in counts]:
        raise RuntimeError(f"callgrind left no counts of {', '.join(missing)}")
    return {name: counts[name] // COUNTED for name in CASES}


def judged(counts: Mapping[str, int], before: Mapping[str, int]) -> Iterator[tuple[str, bool]]:
    """Yield a line a case, and whether its count is where the baseline has it."""
    for name, count in counts.items():
        if name not in before:
            yield f"{name:46} {count:12,}  not in the baseline: --write", False
            continue
        change = count / before[name] - 1.0
        fine = abs(change) <= TOLERANCE
        verdict = "" if fine else "  MORE" if change > 0 else "  fewer: take the baseline again"
        yield f"{name:46} {count:12,}  {change:+.2%}{verdict}", fine


def check(counts: Mapping[str, int], around: Mapping[str, str], baseline: Path) -> int:
    """Compare with the baseline; 1 if some count left it in the same environment."""
    document = json.loads(baseline.read_text())
    lines, fine = zip(*judged(counts, document["instructions"]), strict=True)
    print("\n".join(lines))
    before = document["environment"]
    if others := [key for key in around if around[key] != before.get(key)]:
        for key in others:
            print(f"{key}: {around[key]}, the baseline's is {before.get(key)}")
        print("so nothing is failed for its count; --write takes the baseline here")
        return 0
    if not all(fine):
        print(
            f"counts left the baseline by more than {TOLERANCE:.0%}. If that is meant, take it "
            "again with `python -m bench.instructions --write` and commit it."
        )
    return int(not all(fine))


def main(given: Sequence[str] | None = None) -> int:
    """Count and compare, or write the baseline."""
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("--write", action="store_true", help="make the counts the baseline")
    parser.add_argument("--count-here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.count_here:
        count_here()
        return 0
    try:
        counts = measure()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    if options.write:
        document = {"environment": environment(), "instructions": counts}
        BASELINE.write_text(json.dumps(document, indent=1) + "\n")
        print(f"wrote {BASELINE.relative_to(ROOT)}")
        return 0
    return check(counts, environment(), BASELINE)


if __name__ == "__main__":
    raise SystemExit(main())

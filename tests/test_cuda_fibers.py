"""Kernels on the CPU as fibers (tests/cuda): what is wrong with a kernel is found there.

`planted.cpp` has kernels with a mistake each. Here is which mistake shows where: as a wrong result
in an order of threads, as a message of the fibers, or as a report of a sanitizer.
"""

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

CUDA = Path(__file__).resolve().parent / "cuda"
SOURCES = ("planted", "fibers", "runtime")
FLAGS = ["-std=c++20", "-O1", f"-I{CUDA}", "-DONEPASS_ISA=cuda", "-Wall", "-Wextra", "-Werror"]
BUILDS = {
    "plain": [],
    "address": ["-fsanitize=address"],
    "thread": ["-fsanitize=thread"],
}
ORDERS = ("forward", "reverse", "random")

pytestmark = pytest.mark.skipif(
    not (sys.platform == "linux" and platform.machine() == "x86_64" and shutil.which("g++")),
    reason="wants g++ and its sanitizers on Linux, x86-64",
)


@dataclass(frozen=True)
class Mistake:
    """How it is found, in which builds and orders; in all others the result is right."""

    wrong: tuple[str, ...] = ()  # the orders in which the result is, in every build
    message: str = ""  # of the fibers, which end the process in every build and order
    address: str = ""  # what AddressSanitizer reports in every order,
    thread: str = ""  # and the kernel in which ThreadSanitizer reports a data race


OVERRUN = r"ERROR: AddressSanitizer: heap-buffer-overflow .*\nREAD of size 16 "
PLACE = r"\S*planted\.cpp:\d+"

MISTAKES = {
    "missing_barrier": Mistake(wrong=("reverse", "random"), thread="read_neighbour"),
    "missing_second_barrier": Mistake(wrong=("forward", "random"), thread="read_neighbour_often"),
    "shuffle_as_barrier": Mistake(thread="exchange_in_warp"),
    "unwritten_shared": Mistake(wrong=ORDERS),
    "shared_overrun": Mistake(address=OVERRUN),
    "global_overrun": Mistake(address=OVERRUN),
    "early_end": Mistake(
        message=rf"divergent barrier: thread 0 of block 0, 0, 0 waits at {PLACE}; "
        r"63 of 64 threads wait at a barrier, 1 have ended"
    ),
    "two_barriers": Mistake(
        message=rf"divergent barrier: thread 0 waits at {PLACE}, thread 1 at {PLACE}"
    ),
    "absent_lane": Mistake(
        message=rf"divergent warp: thread \d+ of block 0, 0, 0 waits at {PLACE} "
        r"with mask ffffffff for lane 31, which has ended"
    ),
    "lane_outside_mask": Mistake(
        message=rf"{PLACE}: lane \d+ reads from lane \d+, which is not in mask (0000ffff|ffff0000)"
    ),
    "two_shuffles": Mistake(
        message=rf"divergent warp: thread \d+ waits at {PLACE} with mask ffffffff, "
        rf"thread \d+ at {PLACE} with ffffffff"
    ),
    "mask_beyond_block": Mistake(
        message=rf"{PLACE}: mask ffffffff has lanes that the block does not have"
    ),
    "racing_add": Mistake(thread="count_threads"),
    "racing_blocks": Mistake(thread="count_threads"),
    "one_launch": Mistake(wrong=ORDERS, thread="add_mirrored"),
    "missing_fence": Mistake(thread="sum_in_last"),
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fibers")

    def compile_part(part: tuple[str, str]) -> None:
        build, source = part
        target = folder / f"{build}_{source}.o"
        command = ["g++", *FLAGS, *BUILDS[build], "-c", str(CUDA / f"{source}.cpp")]
        checked(*command, "-o", str(target))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_part, [(b, s) for s in SOURCES for b in BUILDS]))
    for build, flags in BUILDS.items():
        objects = [str(folder / f"{build}_{source}.o") for source in SOURCES]
        checked("g++", *flags, *objects, "-o", str(folder / build))
    return {build: folder / build for build in BUILDS}


def checked(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, f"{command} failed:\n{result.stdout}\n{result.stderr}"


def run(program: Path, name: str, order: str) -> subprocess.CompletedProcess[str]:
    strange = ("LD_PRELOAD", "ASAN_OPTIONS", "TSAN_OPTIONS")
    kept = {key: value for key, value in os.environ.items() if key not in strange}
    result = subprocess.run(
        [program, name],
        env=kept | {"ONEPASS_FIBERS": order},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if "FATAL: ThreadSanitizer: unexpected memory mapping" in result.stderr:
        pytest.skip("ThreadSanitizer wants sysctl vm.mmap_rnd_bits=28 with this g++")
    return result


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_found(programs: dict[str, Path], name: str, build: str, order: str) -> None:
    mistake = MISTAKES[name]
    result = run(programs[build], name, order)
    if mistake.message:
        assert result.returncode == -signal.SIGABRT
        assert re.fullmatch(f"fibers: {mistake.message}\n", result.stderr)
        return
    if build == "address" and mistake.address:
        assert result.returncode == 1
        assert re.search(mistake.address, result.stderr)
        return
    assert result.stdout == f"{name} {'wrong' if order in mistake.wrong else 'right'}\n"
    if build == "thread" and mistake.thread:
        assert result.returncode == 66
        assert "WARNING: ThreadSanitizer: data race" in result.stderr
        places = re.findall(r"(?:[Rr]ead|[Ww]rite) of size 4 .*\n +#0 .*::(\w+)", result.stderr)
        assert set(places) <= {mistake.thread, "write_ones"}
        assert mistake.thread in places
        # Threads are told apart, and nothing of the fibers' own is reported.
        assert re.search(r"'thread \d+ of block \d, 0, 0'", result.stderr)
    else:
        assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("build", BUILDS)
def test_right_kernels_pass(programs: dict[str, Path], build: str, order: str) -> None:
    result = run(programs[build], "right", order)
    assert (result.returncode, result.stderr) == (0, "")
    lines = [re.sub(r"^[\d ]+", "", line) for line in result.stdout.splitlines()]
    assert lines == [f"{name} right" for name in [*MISTAKES, "all_waits", "order"]]


@pytest.mark.parametrize("build", BUILDS)
def test_orders_of_blocks_and_threads(programs: dict[str, Path], build: str) -> None:
    orders = {}
    for order in ORDERS:
        *numbers, _, right = run(programs[build], "order", order).stdout.split()
        assert right == "right"
        orders[order] = [int(number) for number in numbers]
    ascending = list(range(15))
    assert orders["forward"] == ascending
    assert orders["reverse"] == ascending[::-1]
    shuffled = orders["random"]
    assert sorted(shuffled) == ascending
    blocks = [[t // 5 for t in shuffled[i : i + 5]] for i in (0, 5, 10)]
    assert all(len(set(block)) == 1 for block in blocks)
    assert [block[0] for block in blocks] != [0, 1, 2]
    assert all(shuffled[i : i + 5] != sorted(shuffled[i : i + 5]) for i in (0, 5, 10))


def test_unknown_order(programs: dict[str, Path]) -> None:
    result = run(programs["plain"], "order", "nonsense")
    assert result.returncode == -signal.SIGABRT
    assert result.stderr == (
        "fibers: ONEPASS_FIBERS must be forward, reverse or random, got nonsense\n"
    )

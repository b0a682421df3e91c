"""What is said about GPUs where there is none, and what the GPU's compiled kernels are made of."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from onepass import _core, _gpu, cli, config
from strategies import LINUX

BUILT = importlib.util.find_spec("onepass._cuda")
built = pytest.mark.skipif(BUILT is None, reason="built without nvcc's kernels")


def module(monkeypatch, driver=13000, devices=({"name": "GPU one", "shares_memory": True},)):
    """Stand in for the compiled module on a machine with this driver and these GPUs.

    Returns the list of what is opened as cuBLASLt.
    """
    opened = []
    stand_in = ModuleType("stand_in")
    vars(stand_in).update(
        driver_version=lambda: driver,
        runtime_version=lambda: 13000,
        architectures=lambda: [80, 90],
        devices=lambda: list(devices),
        device=lambda: "the GPU",
        open_cublaslt=opened.append,
        cublaslt_version=lambda: 130002,
    )
    monkeypatch.setattr(_gpu, "_module", lambda: stand_in)
    return opened


def cuda_line(capsys):
    assert cli.main(["info"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("CUDA")]
    return line.split(maxsplit=1)[1]


def test_without_the_module(monkeypatch, capsys):
    monkeypatch.setattr(_gpu, "_module", lambda: None)
    assert cuda_line(capsys) == "not built"
    with pytest.raises(RuntimeError, match=r"built without CUDA.*nvcc 13.*ONEPASS_CUDA=ON"):
        config.set_device("cuda")
    assert config.device() == "cpu"


def test_a_module_that_does_not_import_is_not_passed_over(monkeypatch):
    def broken(name):
        raise ImportError("libsomething.so: cannot open")

    monkeypatch.setattr(_gpu, "import_module", broken)
    with pytest.raises(ImportError, match="libsomething"):
        config.set_device("cuda")


@pytest.mark.parametrize(
    ("found", "line", "error"),
    [
        ({"driver": 0}, "there is no NVIDIA driver here", r"no NVIDIA driver.*580.*nvidia-smi"),
        ({"driver": 12080}, "the NVIDIA driver is for CUDA 12.8", r"12\.8.*13\.0.*newer driver"),
        ({"devices": ()}, "the NVIDIA driver finds no GPU", "finds no GPU"),
        ({"devices": [{"name": "one", "shares_memory": False}]}, "one", "needs Linux"),
    ],
)
def test_without_a_gpu(monkeypatch, capsys, found, line, error):
    module(monkeypatch, **found)
    assert cuda_line(capsys).startswith(f"built for sm_80, sm_90; {line}")
    with pytest.raises(RuntimeError, match=error):
        config.set_device("cuda")
    assert config.device() == "cpu"


def test_with_a_gpu(monkeypatch, capsys):
    opened = module(monkeypatch)
    monkeypatch.setenv(_gpu.CUBLASLT_VARIABLE, "its path")
    brought = []
    monkeypatch.setattr(_core, "bring_gpu", brought.append)
    config.set_device("cuda")
    config.set_device("cuda")
    assert (config.device(), brought) == ("cuda", ["the GPU"] * 2)
    assert cuda_line(capsys) == "built for sm_80, sm_90; GPU one; cuBLASLt 13.0.2"
    assert opened == ["its path"]


def test_a_gpu_without_cublaslt(monkeypatch, capsys):
    opened = module(monkeypatch)
    monkeypatch.setenv(_gpu.CUBLASLT_VARIABLE, "none")
    assert cuda_line(capsys).endswith("GPU one; no cuBLASLt: our own products")
    assert opened == []


def test_a_cublaslt_that_does_not_open(monkeypatch, capsys):
    def fails(path):
        raise RuntimeError(f"{path}: it is cuBLASLt 12.9.1, but 13 is wanted")

    module(monkeypatch)
    monkeypatch.setattr(_gpu._module(), "open_cublaslt", fails)
    monkeypatch.setenv(_gpu.CUBLASLT_VARIABLE, "old.so")
    assert "no cuBLASLt: our own products (old.so: it is cuBLASLt 12.9.1" in cuda_line(capsys)


def pathfinder(monkeypatch, load):
    """Let cuda-pathfinder be installed, or not where there is no ``load``."""
    monkeypatch.delenv(_gpu.CUBLASLT_VARIABLE, raising=False)
    monkeypatch.setattr(_gpu, "MODULE", "onepass._cuda")
    found = None if load is None else SimpleNamespace(load_nvidia_dynamic_lib=load)
    monkeypatch.setitem(sys.modules, "cuda", found)
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", found)


def test_where_cublaslt_is_looked_for(monkeypatch):
    def not_found(name):
        raise RuntimeError("not found")

    pathfinder(monkeypatch, lambda name: SimpleNamespace(abs_path=f"/of/{name}"))
    assert _gpu.cublaslt_paths() == ["/of/cublasLt", "libcublasLt.so.13"]
    for load in (None, not_found, lambda name: SimpleNamespace(abs_path=None)):
        pathfinder(monkeypatch, load)
        assert _gpu.cublaslt_paths() == ["libcublasLt.so.13"]
    monkeypatch.setenv(_gpu.CUBLASLT_VARIABLE, "/elsewhere.so")
    assert _gpu.cublaslt_paths() == ["/elsewhere.so"]
    monkeypatch.setenv(_gpu.CUBLASLT_VARIABLE, "none")
    assert _gpu.cublaslt_paths() == []
    monkeypatch.delenv(_gpu.CUBLASLT_VARIABLE)
    monkeypatch.setattr(_gpu, "MODULE", "onepass._cuda_fibers")
    assert _gpu.cublaslt_paths() == []


def test_another_copy_of_cublaslt_where_the_loaded_one_is_too_old(monkeypatch, capsys):
    def opens(path):
        if path != "libcublasLt.so.13":
            raise RuntimeError(f"{path}: it is cuBLASLt 12.9.1")

    module(monkeypatch)
    monkeypatch.setattr(_gpu, "cublaslt_paths", lambda: ["old.so", "libcublasLt.so.13"])
    monkeypatch.setattr(_gpu._module(), "open_cublaslt", opens)
    monkeypatch.setattr(_gpu._module(), "cublaslt_version", lambda: 130002)
    assert cuda_line(capsys).endswith("cuBLASLt 13.0.2")


@pytest.mark.parametrize("name", ["gpu", "", "CUDA", None, 0])
def test_other_devices(name):
    with pytest.raises(ValueError, match='must be "cpu" or "cuda"'):
        config.set_device(name)


def test_the_cpu():
    config.set_device("cpu")
    assert config.device() == "cpu"


PINNED = """
import ctypes
from concurrent.futures import ThreadPoolExecutor
import numpy as np

start = ctypes.CDLL(None).onepass_pinned_start
start.restype = ctypes.c_bool
assert start(None) and start(None)

def churn(seed):
    rng = np.random.default_rng(seed)
    kept = {}
    for i in range(3000):
        slot = int(rng.integers(40))
        if slot in kept:
            number, array = kept.pop(slot)
            assert (array == number).all()
        size = int(2 ** rng.uniform(0, 16))
        kept[slot] = i, np.full(size, i) if i % 2 else np.zeros(size, np.int64) + i
    words = []
    for i in range(3000):
        words.append(str(i))  # a list that grows is moved
    return "".join(words) == "".join(map(str, range(3000)))

with ThreadPoolExecutor(4) as pool:
    assert all(pool.map(churn, range(4)))
libc = ctypes.CDLL(None)
libc.aligned_alloc.restype = ctypes.c_void_p
libc.realloc.restype = ctypes.c_void_p
block = libc.aligned_alloc(ctypes.c_size_t(1 << 21), ctypes.c_size_t(1 << 21))
assert block % (1 << 21) == 0
ctypes.memset(block, 7, 1 << 21)
moved = libc.realloc(ctypes.c_void_p(block), ctypes.c_size_t(1 << 22))
assert ctypes.string_at(moved, 1 << 21) == b"\\x07" * (1 << 21)
libc.free(ctypes.c_void_p(moved))
assert not libc.aligned_alloc(ctypes.c_size_t(64), ctypes.c_size_t(1 << 40))
print("fine")
"""


@pytest.mark.skipif(not LINUX, reason="preloading as on Linux")
def test_the_memory_of_tests_on_a_gpu(tmp_path):
    library = tmp_path / "pinned.so"
    source = Path(__file__).parent / "cuda" / "pinned.cpp"
    flags = ["-std=c++20", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["g++", *flags, source, "-o", library, "-ldl"], check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), "ONEPASS_PINNED_BYTES": str(1 << 29)}
    command = [sys.executable, "-c", PINNED]
    told = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, "fine\n"), told.stderr


# What follows looks at the module that was compiled.


@built
def test_import_needs_no_driver():
    script = (
        "from onepass import _cuda; print(*_cuda.architectures(), type(_cuda.device()).__name__)"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert re.fullmatch(r"(\d+ )+PyCapsule\n", told.stdout)


def dump(*options: str) -> str:
    tool = shutil.which("cuobjdump")
    if tool is None:
        pytest.skip("cuobjdump, which comes with nvcc, is not installed")
    assert BUILT is not None
    command = [tool, *options, str(BUILT.origin)]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return subprocess.run(["c++filt"], input=told.stdout, capture_output=True, text=True).stdout


def kernel_resources() -> dict[str, dict[str, int]]:
    """Registers, stack and so on of each kernel, by its name without anonymous namespaces."""
    text = dump("-res-usage").replace("(anonymous namespace)::", "")
    found = re.findall(r"Function void (.*):\n\s*(REG:.*)", text)
    return {
        name: {key: int(n) for key, n in re.findall(r"([A-Z]+):(\d+)", usage)}
        for name, usage in found
    }


@built
def test_sweeps_and_products_spill_nothing():
    resources = kernel_resources()
    looked_at = 0
    for name, used in resources.items():
        if re.match(r"onepass::cuda::(sweep_plain|sum_squares_of|run_product|run_gradients)", name):
            looked_at += 1
            assert used["STACK"] == 0, name
    assert looked_at > 50
    # Elsewhere a few registers at most.
    most = max(used["STACK"] for name, used in resources.items() if "loss_loop" not in name)
    assert most <= 64


@built
def test_sweeps_and_sums_touch_16_bytes_at_a_time():
    text = dump("-sass").replace("(anonymous namespace)::", "")
    kernels = dict(re.findall(r"Function : (.*)\n((?:(?!\s*Function :).*\n)*)", text))
    for rule, loads, stores in (("Adam", 4, 3), ("Sgd", 2, 1)):
        (code,) = [
            c for n, c in kernels.items() if f"sweep_plain<onepass::math::{rule}, float" in n
        ]
        assert len(re.findall(r"LDG\.E\.128", code)) >= loads
        assert len(re.findall(r"STG\.E\.128", code)) >= stores
    for sums in ("sum_squares_of_blocks", "sum_squares_of_segments"):
        for kind in ("float", "double"):
            (code,) = [c for n, c in kernels.items() if f"{sums}<{kind}>" in n]
            assert len(re.findall(r"LDG\.E\.128", code)) >= 4, sums

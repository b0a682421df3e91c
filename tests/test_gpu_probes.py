"""The probes of a GPU, where there is none: that they compile, what they say, and their judges."""

from __future__ import annotations

import ctypes
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import gpu_probes
from strategies import LINUX

PROBES = gpu_probes.SOURCE.parent
compiles = pytest.mark.skipif(gpu_probes.nvcc() is None, reason="nvcc is not installed")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return gpu_probes.compiled(tmp_path_factory.mktemp("probes"), "sm_90", gpu_probes.STRICT)


@compiles
def test_each_probe_says_what_it_misses(program):
    names = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    assert names == ["rates", "launches", "barriers", "arithmetic", "products"]
    for name in names:
        told = subprocess.run([program, name], capture_output=True, text=True)
        if told.returncode == 0:
            pytest.skip("there is a GPU")
        assert told.returncode == 2
        assert list(json.loads(told.stdout)) == ["missing"]
        assert gpu_probes.asked(program, name) == json.loads(told.stdout)


@compiles
def test_no_such_probe(program):
    told = subprocess.run([program, "other"], capture_output=True, text=True)
    assert (told.returncode, json.loads(told.stdout)) == (1, {"failed": "there is no probe other"})


@compiles
def test_arithmetic_flushes_and_contracts_nothing(tmp_path):
    target = tmp_path / "probes.ptx"
    command = [gpu_probes.nvcc(), *gpu_probes.FLAGS, "-arch=sm_90", "-ptx", gpu_probes.SOURCE]
    subprocess.run([*command, "-o", target], check=True)
    (code,) = [part for part in target.read_text().split(".entry ")[1:] if "compute" in part[:99]]
    found = set(re.findall(r"\b(?:add|mul|fma|div|sqrt)\.\S*f32", code))
    wanted = {"add.ftz", "mul.ftz", "fma.rn.ftz", "div.rn.ftz", "sqrt.rn.ftz"}
    assert {name.replace("add.rn", "add").replace("mul.rn", "mul") for name in found} == {
        f"{name}.f32" for name in wanted
    }


@compiles
def test_what_nvcc_refuses_is_said(tmp_path):
    with pytest.raises(RuntimeError, match=r"nvcc: .*sm_1"):
        gpu_probes.compiled(tmp_path, "sm_1")


def script(tmp_path, text):
    path = tmp_path / "probe"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_probe_that_fails_is_told(tmp_path):
    asked = gpu_probes.asked(script(tmp_path, "echo wrong >&2; kill -11 $$"), "rates")
    assert asked == {"failed": "status -11: wrong\n"}
    asked = gpu_probes.asked(script(tmp_path, "exec sleep 60"), "rates", seconds=0.2)
    assert asked == {"failed": "it did not end within 0.2 s"}
    asked = gpu_probes.asked(script(tmp_path, "echo '{\"a\": 1}'"), "rates")
    assert asked == {"a": 1}


def test_output_of_a_probe_that_is_no_text_is_told(tmp_path):
    asked = gpu_probes.asked(script(tmp_path, "printf '\\377'; exit 3"), "rates")
    assert asked == {"failed": "status 3: \ufffd"}


@pytest.mark.parametrize(
    ("says", "found"),
    [
        ("echo 9.0", {"architecture": "sm_90"}),
        ("echo 10.3; echo 9.0", {"architecture": "sm_103"}),
        ("echo no driver; exit 9", {"architecture": "native", "because": "nvidia-smi: no driver"}),
    ],
)
def test_the_architecture_is_the_gpus(tmp_path, monkeypatch, says, found):
    monkeypatch.setattr(gpu_probes, "CAPABILITY", [str(script(tmp_path, says))])
    told = gpu_probes.architecture()
    assert {key: value.strip() for key, value in told.items()} == found


def test_without_nvidia_smi_nvcc_finds_the_architecture(monkeypatch):
    monkeypatch.setattr(gpu_probes, "CAPABILITY", ["no-such-program"])
    told = gpu_probes.architecture()
    assert told["architecture"] == "native"
    assert "no-such-program" in told["because"]


def test_cublaslt_is_looked_for_as_onepass_does(monkeypatch):
    monkeypatch.setenv("ONEPASS_CUBLASLT", "/some/libcublasLt.so.13")
    assert gpu_probes.library() == "/some/libcublasLt.so.13"
    monkeypatch.setenv("ONEPASS_CUBLASLT", "none")
    assert gpu_probes.library() == "none"
    monkeypatch.setitem(sys.modules, "onepass._gpu", None)  # as where it is not installed
    assert gpu_probes.library().endswith("libcublasLt.so.13")


def test_a_question_that_fails_is_a_failure():
    assert gpu_probes.failures({"rates": {"failed": "it did not end"}})
    assert gpu_probes.failures({"products": {"version": 1, "RELU": {"failed": "status 7"}}})
    assert not gpu_probes.failures({"products": {"RELU": {"keeps NaN": False, "list": []}}})
    assert not gpu_probes.failures({"rates": {"missing": "no driver"}})


JUDGES = """
#include <vector>
#include "flush.h"
#include "judge.h"
using namespace onepass::probes;
extern "C" unsigned flushed_bits(unsigned x) { return flushed(x); }
extern "C" unsigned expected_bits(int op, unsigned a, unsigned b, unsigned c) {
  return expected(static_cast<Operation>(op), a, b, c);
}
extern "C" const char* form(const double* x, const double* y, int n) {
  GeluDistances distances;
  for (int i = 0; i < n; ++i) distances.add(x[i], y[i]);
  return distances.verdict();
}
extern "C" int wrong(const unsigned char* mask, int bytes, const unsigned char* set, int n,
                     int rows, int stride, int order) {
  return static_cast<int>(wrong_bits({mask, mask + bytes}, {set, set + n}, rows, stride, order));
}
"""


@pytest.fixture(scope="module")
def judges(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judges")
    (folder / "judges.cpp").write_text(JUDGES)
    flags = ["-std=c++20", "-O1", "-ffp-contract=off", "-shared", "-fPIC", f"-I{PROBES}"]
    warnings = ["-Wall", "-Wextra", "-Werror"]
    library = folder / "judges.so"
    source = folder / "judges.cpp"
    subprocess.run(["g++", *flags, *warnings, source, "-o", library], check=True)
    loaded = ctypes.CDLL(library)
    loaded.flushed_bits.restype = loaded.expected_bits.restype = ctypes.c_uint
    loaded.form.restype = ctypes.c_char_p
    return loaded


def flush(x):
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), x), x)


on_linux = pytest.mark.skipif(not LINUX, reason="compiled as on Linux")


@on_linux
def test_what_the_host_expects_of_flushed_arithmetic(judges):
    special = [0.0, 1e-45, 5e-39, 1.17549421e-38, 1.17549435e-38, 2e-38, 3e-20, 1.0, 1.5, 3e38]
    values = np.array([*special, np.inf, np.nan], np.float32)
    values = np.concatenate([values, -values])
    a, b = (part.ravel() for part in np.meshgrid(values, values))
    c = np.roll(values, 3)[np.arange(a.size) % values.size]
    bits = [part.view(np.uint32) for part in (a, b, c)]
    fa, fb, fc = flush(a), flush(b), flush(c)
    with np.errstate(all="ignore"):
        exact = fa.astype(np.float64) * fb + fc  # rounded twice, for these without a difference
        results = [fa + fb, fa * fb, exact.astype(np.float32), fa / fb, np.sqrt(fa)]
    for op, result in enumerate(results):
        wanted = flush(result)
        got = np.array(
            [judges.expected_bits(op, *map(int, row)) for row in zip(*bits, strict=True)], np.uint32
        ).view(np.float32)
        np.testing.assert_array_equal(got, wanted)
        known = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(got)[known], np.signbit(wanted)[known])
        assert (got.view(np.uint32)[~known] == 0x7FC00000).all()
    assert judges.flushed_bits(0x807FFFFF) == 0x80000000
    assert judges.flushed_bits(0x00800000) == 0x00800000


@on_linux
def test_which_form_a_gelu_has(judges):
    x = np.linspace(-6, 6, 1000)
    by_tanh = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    erf = np.vectorize(math.erf)
    by_erf = 0.5 * x * (1 + erf(x / np.sqrt(2)))
    pointer = ctypes.POINTER(ctypes.c_double)

    def form(y):
        given = [np.ascontiguousarray(v).ctypes.data_as(pointer) for v in (x, y)]
        return judges.form(*given, len(x)).decode()

    rounding = 1e-6 * np.sin(1e5 * x)
    assert form(by_tanh + rounding) == "tanh"
    assert form(by_erf + rounding) == "erf"
    assert form(np.maximum(x, 0)) == "neither"


@on_linux
@pytest.mark.parametrize("order", range(3))
def test_in_which_order_a_mask_has_its_bits(judges, order):
    rows, columns, stride = 100, 7, 128
    positive = np.random.default_rng(0).integers(0, 2, (columns, rows)).astype(np.uint8)
    padded = np.zeros((columns, stride), np.uint8)
    padded[:, :rows] = positive
    mask = np.packbits(padded.ravel(), bitorder="little" if order == 0 else "big")
    if order == 2:
        mask = np.ascontiguousarray(mask.reshape(-1, 4)[:, ::-1]).ravel()

    def wrong(guess):
        given = mask.tobytes(), mask.size, positive.tobytes(), positive.size
        return judges.wrong(*given, rows, stride, guess)

    assert wrong(order) == 0
    assert all(wrong(other) > 100 for other in range(3) if other != order)

"""Rows gathered from a dataset: all source types, orders, ranks and layouts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onepass import _core, kernels
from strategies import (
    Guarded,
    assert_same_bits,
    dtypes,
    layouts,
    same_result,
    seeds,
    sizes,
    values_of,
)

sources = st.sampled_from((np.float32, np.float64, np.uint8, np.int32))
samples = st.one_of(st.just(()), st.tuples(sizes), st.tuples(sizes, st.integers(0, 3)))


def source_of(dtype: type, shape: tuple[int, ...], seed: int) -> NDArray:
    if np.issubdtype(dtype, np.floating):
        return values_of(dtype, shape, seed, special=True)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype)


def expected_of(source: NDArray, index: NDArray, scale: float, dtype: type) -> NDArray:
    """Return the rows as the kernel rounds them: float64 is scaled before it is converted."""
    with np.errstate(all="ignore"):
        if source.dtype == np.float64:
            return (source[index] * scale).astype(dtype)
        return source[index].astype(dtype) * dtype(scale)


def assert_same_but_denormals(actual: NDArray, expected: NDArray, source: NDArray) -> None:
    """Require equal bits, apart from denormals of either type, which may have been flushed."""
    coarse = np.float32 if source.dtype == np.float32 else actual.dtype
    tiny = np.finfo(coarse).tiny
    flushed = np.where(np.abs(expected) < tiny, 0, expected).astype(expected.dtype)
    assert_same_bits(np.where(np.abs(actual) < tiny, 0, actual).astype(actual.dtype), flushed)


@given(sources, dtypes, samples, st.integers(1, 50), sizes, seeds, st.sampled_from((1.0, 1 / 255)))
def test_gather(source_dtype, dtype, sample, m, n, seed, scale) -> None:
    source = source_of(source_dtype, (m, *sample), seed)
    index = np.random.default_rng(seed).integers(0, m, n)
    rows = same_result(lambda: kernels.gather_rows(source, index, scale=scale, dtype=dtype))
    assert rows.shape == (n, *sample)
    assert_same_but_denormals(rows, expected_of(source, index, scale, dtype), source)


@given(dtypes, st.integers(1, 20), sizes, sizes, seeds, layouts, layouts)
def test_strided_source_and_padded_result(dtype, m, n, cols, seed, in_at, out_at) -> None:
    source = Guarded(values_of(dtype, (m, cols), seed), in_at)
    index = np.random.default_rng(seed).integers(0, m, n)

    def run() -> NDArray:
        out = Guarded(np.zeros((n, cols), dtype), out_at)
        _core.gather_rows(source.array, index, 1.0, out.array)
        out.assert_padding_untouched()
        return out.array.copy()

    assert_same_bits(same_result(run), source.array[index])


def test_large() -> None:
    source = source_of(np.uint8, (3000, 28, 28), 0)
    index = np.random.default_rng(0).permutation(3000)
    rows = same_result(lambda: kernels.gather_rows(source, index, scale=1 / 255))
    assert_same_bits(rows, expected_of(source, index, 1 / 255, np.float32))


@pytest.mark.parametrize("index_dtype", [np.int8, np.uint16, np.int64, np.uint64])
def test_index_types(index_dtype) -> None:
    source = np.arange(6, dtype=np.float32)
    rows = kernels.gather_rows(source, np.array([5, 0, 5], index_dtype))
    assert rows.tolist() == [5, 0, 5]


def test_sources_that_need_a_copy() -> None:
    source = source_of(np.int32, (9, 4, 6), 0)
    index = np.array([8, 3, 3])
    expected = expected_of(source, index, 1.0, np.float64)
    misaligned = np.frombuffer(b"?" + source.tobytes(), np.int32, source.size, 1)
    for same in (
        np.asfortranarray(source),
        source.astype(">i4"),
        misaligned.reshape(source.shape),
        source[:, ::-1][:, ::-1],
    ):
        assert_same_bits(kernels.gather_rows(same, index, dtype=np.float64), expected)
    backwards = kernels.gather_rows(source[::-1, :, ::2], index, dtype=np.float64)
    assert_same_bits(backwards, source[::-1, :, ::2][index].astype(np.float64))


def test_memory_map(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    np.save(path, source_of(np.float32, (100, 7), 0))
    source = np.load(path, mmap_mode="r")
    index = np.array([99, 0, 50])
    rows = kernels.gather_rows(source, index)
    assert_same_but_denormals(rows, np.array(source[index]), source)


def test_no_rows() -> None:
    source = np.empty((0, 5), np.uint8)
    assert kernels.gather_rows(source, np.empty(0, np.int64)).shape == (0, 5)

"""Dense products in blocks: packed operands, several blocks of the depth, rests of tiles."""

import numpy as np
import pytest
from numpy.typing import NDArray

from onepass import _core, kernels
from reference import activations
from strategies import (
    Guarded,
    Layout,
    assert_close,
    product_bound,
    results_by_isa,
    values_of,
)

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
TEAMS = (1, 2, 3)


def apart(values: NDArray, line: int) -> Guarded:
    """Rows a multiple of so many elements apart."""
    return Guarded(values, Layout(0, -values.shape[-1] % line))


def check(x: Guarded, w: Guarded, dz: Guarded, activation: str = "linear") -> None:
    """Hold the three products, plain and accumulating, against NumPy in float64."""
    (n, i), o, dtype = x.array.shape, w.array.shape[1], x.array.dtype.type
    old = [values_of(dtype, shape, k) for k, shape in enumerate(((n, i), (i, o), (o,)))]
    b = old[2]
    y = kernels.activation_forward(old[0], activation)
    slope = kernels.activation_backward(y, np.ones_like(y), activation, x=old[0])

    def run() -> list[NDArray]:
        z = Guarded(np.zeros((n, o), dtype), Layout(0, 5))
        value = kernels.dense_forward(x.array, w.array, b, activation, z=z.array)
        alone = kernels.dense_forward(x.array, w.array)
        dx = kernels.dense_backward_input(dz.array, w.array, activation, y=y, z=old[0])
        dw, db = kernels.dense_backward_weights(x.array, dz.array)
        more = [Guarded(a, Layout(1, 3)) for a in old]
        _core.dense_backward_input(dz.array, w.array, None, None, more[0].array, 0, [], True)
        _core.dense_backward_weights(x.array, dz.array, more[1].array, more[2].array, True)
        for guarded in (z, *more):
            guarded.assert_padding_untouched()
        return [z.array.copy(), value, alone, dx, dw, db, *(m.array.copy() for m in more)]

    wide = [a.astype(np.float64) for a in (x.array, w.array, dz.array)]
    forward, backward, weights = wide[0] @ wide[1], wide[2] @ wide[1].T, wide[0].T @ wide[2]
    sums = wide[2].sum(axis=0)
    bounds = (
        product_bound(x.array, w.array, b),
        product_bound(dz.array, w.array.T, old[0]),
        product_bound(x.array.T, dz.array, old[1]),
        product_bound(np.ones((1, n)), dz.array, b)[0],
    )
    value = getattr(activations, activation)(forward + b)
    expected = [
        *((forward + b, bounds[0]), (value, bounds[0]), (forward, bounds[0])),
        *((backward * slope, bounds[1]), (weights, bounds[2]), (sums, bounds[3])),
        *((old[0] + backward, bounds[1]), (old[1] + weights, bounds[2]), (b + sums, bounds[3])),
    ]
    for results in results_by_isa(run, TEAMS).values():
        for result, (exact, bound) in zip(results, expected, strict=True):
            assert_close(result, exact, absolute=bound)


def operands(dtype, n: int, i: int, o: int, lines: tuple[int, int, int]) -> tuple[Guarded, ...]:
    shapes = (n, i), (i, o), (n, o)
    return tuple(
        apart(values_of(dtype, shape, k), line)
        for k, (shape, line) in enumerate(zip(shapes, lines, strict=True))
    )


@DTYPES
@pytest.mark.parametrize("cols", [1, 15, 17, 47, 48, 49, 129])
@pytest.mark.parametrize("rows", [1, 2, 23, 24, 25])
def test_rows_a_multiple_of_1024_bytes_apart(rows, cols, dtype) -> None:
    """Panels of w and of dz are packed from 24 rows on; depths of 1, 2 and 3 blocks."""
    depth = (511, 513, 1025, 1100)[(rows + cols) % 4]
    activation = ("linear", "gelu", "tanh")[(rows * cols) % 3]
    check(*operands(dtype, rows, depth, cols, (1, 256, 1)), activation)
    check(*operands(dtype, depth, rows, cols, (1, 1, 256)))
    check(*operands(dtype, rows, cols, depth, (1, 1, 1)), activation)


@DTYPES
@pytest.mark.parametrize(
    ("n", "i", "o"), [(63, 24, 385), (64, 25, 385), (513, 23, 400), (70, 301, 431)]
)
def test_rows_of_x_far_apart(n, i, o, dtype) -> None:
    """The gradient of the weights packs x where its depth is 64 or more; several blocks of rows."""
    check(*operands(dtype, n, i, o, (520, 1, 1)))


@DTYPES
def test_weights_too_large_for_the_cache(dtype) -> None:
    check(*operands(dtype, 25, 1037, 530, (1, 1, 1)), "gelu")


@DTYPES
@pytest.mark.parametrize("activation", ["linear", "relu", "gelu"])
@pytest.mark.parametrize(
    ("n", "i", "o"), [(32, 300, 100), (32, 129, 77), (48, 257, 512), (64, 131, 200)]
)
def test_input_gradient_of_few_samples(n, i, o, activation, dtype) -> None:
    """It is computed on its side, and no bit of it tells: one sample more makes it upright."""
    x, w, dz = operands(dtype, n, i, o, (1, 1, 1))
    check(x, w, dz, activation)
    y = kernels.activation_forward(x.array, activation)
    more = [np.vstack([a, a[:1]]) for a in (dz.array, y, x.array)]

    def run() -> list[NDArray]:
        lying = kernels.dense_backward_input(dz.array, w.array, activation, y=y, z=x.array)
        upright = kernels.dense_backward_input(more[0], w.array, activation, y=more[1], z=more[2])
        np.testing.assert_array_equal(lying, upright[:n])
        return [lying]

    results_by_isa(run, TEAMS)

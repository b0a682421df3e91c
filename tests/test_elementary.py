"""Accuracy of exp, log, log1p, tanh and sigmoid over a dense sample of all floats (SPEC 2).

The functions are reached through activations and losses chosen so that nothing else rounds.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from onepass import kernels
from strategies import same_result, ulp_error

ULPS = 2.0
STRIDE = 4999  # prime, so that all low bits of the patterns occur


def sample(dtype: type, low: float = -np.inf, high: float = np.inf) -> NDArray:
    """Return about a million finite numbers of the range, from all over its bit patterns."""
    if dtype is np.float32:
        bits = np.arange(0, 2**32, STRIDE, dtype=np.uint64).astype(np.uint32)
        x = bits.view(np.float32)
    else:
        bits = np.arange(0, 2**64, 2**64 // 800_000, dtype=np.uint64)
        x = (bits ^ (bits >> np.uint64(21))).view(np.float64)
    x = x[np.isfinite(x)]
    x = x[(np.abs(x) > np.finfo(dtype).tiny) & (x >= low) & (x <= high)]
    # Most patterns are far from 1: as many numbers again from where functions bend.
    ends = max(low, -100.0), min(high, 100.0)
    bend = np.random.default_rng(0).uniform(*ends, 200_000).astype(dtype)
    return np.concatenate([x, bend[(bend >= low) & (bend <= high)]])


def wide(x: NDArray) -> NDArray:
    """Return x in a type with enough more digits to judge its own."""
    if x.dtype == np.float32:
        return x.astype(np.float64)
    if np.finfo(np.longdouble).nmant < 60:
        pytest.skip("needs a long double wider than float64")
    return x.astype(np.longdouble)


BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def check(name: str, actual: NDArray, exact: NDArray, x: NDArray) -> None:
    error = ulp_error(actual, exact)
    worst = int(np.argmax(error))
    assert error[worst] <= ULPS, f"{name}({x[worst]!r}): {error[worst]:.3f} ulp"


@BOTH
def test_sigmoid(dtype) -> None:
    x = sample(dtype)
    y = same_result(lambda: kernels.activation_forward(x, "sigmoid"))
    with np.errstate(over="ignore", under="ignore"):
        check("sigmoid", y, 1 / (1 + np.exp(-wide(x))), x)


@BOTH
def test_tanh(dtype) -> None:
    x = sample(dtype)
    y = same_result(lambda: kernels.activation_forward(x, "tanh"))
    check("tanh", y, np.tanh(wide(x)), x)


@BOTH
def test_log(dtype) -> None:
    # -(1 log p + 0 log(1 - p)) inside the clip
    x = sample(dtype, 2e-7, 0.999999)[:, None]
    one = np.ones_like(x)
    values = same_result(lambda: kernels.loss(one, x, "binary_crossentropy")[0])
    check("log", values, -np.log(wide(x[:, 0])), x)


@BOTH
def test_log_of_whole_numbers(dtype) -> None:
    # n equal logits cost log n
    name = "categorical_crossentropy_from_logits"
    n = np.arange(1, 400)
    values = [kernels.loss(np.zeros(1, int), np.zeros((1, k), dtype), name)[0][0] for k in n]
    check("log", np.array(values, dtype), np.log(wide(n.astype(dtype))), n)


@BOTH
def test_exp(dtype) -> None:
    # softmax of [0, x] is [1, exp x] where 1 + exp x rounds to 1
    bits = -np.log(np.finfo(dtype).eps) + 2
    x = sample(dtype, np.log(np.finfo(dtype).tiny) + 1, -bits)
    rows = np.stack([np.zeros_like(x), x], axis=1)
    y = same_result(lambda: kernels.softmax(rows))
    assert (y[:, 0] == 1).all()
    check("exp", y[:, 1], np.exp(wide(x)), x)


@BOTH
def test_log1p_of_exp(dtype) -> None:
    # the loss of a logit z < 0 whose target is 0 is log(1 + exp z)
    z = sample(dtype, np.log(np.finfo(dtype).tiny) + 1, 0.0)[:, None]
    zero = np.zeros_like(z)
    values = same_result(lambda: kernels.loss(zero, z, "binary_crossentropy_from_logits")[0])
    # each of the two functions has its own error
    exact = np.log1p(np.exp(wide(z[:, 0])))
    error = ulp_error(values, exact)
    assert error.max() <= 2 * ULPS, f"log1p(exp({z[np.argmax(error), 0]!r}))"

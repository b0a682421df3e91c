"""Arithmetic with broadcasting, copies and sums, embeddings, functions: all backends, gradients."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onepass import _core, _formulas, kernels
from reference import combine as reference
from strategies import (
    Guarded,
    assert_close,
    assert_same_bits,
    central_difference,
    dtypes,
    layouts,
    same_result,
    seeds,
    sizes,
    special_values,
    values_of,
)

ops = st.sampled_from(sorted(reference.VALUES))
BOTH = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@st.composite
def shape_pairs(draw):
    """Shapes that kernels broadcast: one operand whole, or both spread along other axes."""
    rows, cols, steps = draw(sizes), draw(sizes), draw(st.sampled_from((1, 2, 3, 7)))
    rows = min(rows, 20)
    flat = (rows, cols)
    deep = (rows, steps, cols)
    pairs = [
        (flat, flat),
        (flat, (cols,)),
        (flat, (rows, 1)),
        (flat, ()),
        (flat, (1, 1)),
        (deep, deep),
        (deep, (rows, 1, cols)),
        (deep, (rows, 1, 1)),
        (deep, (rows, steps, 1)),
        (deep, (steps, cols)),
        (deep, (steps, 1)),
        (deep, (cols,)),
        ((rows, 1, cols), (steps, 1)),
        ((rows, steps, 1), (rows, 1, cols)),
        ((rows, 2, steps, cols), (2, 1, cols)),
        ((rows, 2, steps, cols), (rows, 2, 1, 1)),
        ((rows, 2, steps, cols), (rows, 1, 1, cols)),
        ((rows, 2, steps, cols), (2, 1, 1)),
        ((cols,), (1,)),
    ]
    pair = draw(st.sampled_from(pairs))
    return pair if draw(st.booleans()) else pair[::-1]


def operands(op, pair, dtype, seed, special=False):
    a, b = (values_of(dtype, s, seed + k, special=special) for k, s in enumerate(pair))
    if op == "power" and not special:
        a, b = np.abs(a) + dtype(0.1), np.clip(b, -3, 3)
    if op == "divide" and not special:
        b = np.where(np.abs(b) < 0.1, dtype(0.5), b)
    if op in ("less", "less_equal", "equal", "not_equal", "keep_where", "keep_unless"):
        b = np.round(b)  # many are 0
        a = a if op.startswith("keep") else np.round(a)  # and many equal
    return a.astype(dtype), b.astype(dtype)


def laid_out(values, layout):
    """Return the array, with gaps between its rows where it has any."""
    return Guarded(values, layout).array if values.ndim else values


@given(ops, shape_pairs(), dtypes, seeds, layouts, layouts)
def test_combine(op, pair, dtype, seed, in_at, out_at) -> None:
    a, b = operands(op, pair, dtype, seed)
    a, b = laid_out(a, in_at), laid_out(b, out_at)
    shape = np.broadcast_shapes(*pair)

    def run():
        y = Guarded(np.zeros(shape, dtype), out_at)
        assert kernels.combine(a, b, op, out=y.array) is y.array
        y.assert_padding_untouched()
        return y.array.copy()

    expected = reference.VALUES[op](a.astype(np.float64), b.astype(np.float64))
    assert_close(same_result(run), expected, ulps=16 if op == "power" else 1)


@given(ops, shape_pairs(), dtypes, seeds, layouts)
def test_combine_backward(op, pair, dtype, seed, layout) -> None:
    a, b = operands(op, pair, dtype, seed)
    dy = values_of(dtype, np.broadcast_shapes(*pair), seed + 2)
    a, b, dy = (laid_out(v, layout) for v in (a, b, dy))
    gradients = same_result(lambda: list(kernels.combine_backward(a, b, dy, op)))
    wide = [v.astype(np.float64) for v in (a, b, dy)]
    expected = reference.combine_backward(*wide, op)
    for got, exact, wanted in zip(gradients, expected, (a, b), strict=True):
        assert got.shape == wanted.shape
        terms = dy.size / max(1, got.size) + 20
        magnitude = np.abs(wide[2]).max(initial=0) * _largest_slope(op, *wide[:2])
        assert_close(got, exact, ulps=4, absolute=terms * terms * magnitude)


def _largest_slope(op, a, b):
    wide = np.broadcast_arrays(a, b)
    return max(np.abs(slope).max(initial=0) for slope in reference.SLOPES[op](*wide))


@given(ops, seeds, st.sampled_from([((3, 4), (4,)), ((2, 3, 4), (2, 1, 4)), ((3, 4), (3, 1))]))
def test_gradient_against_differences(op, seed, pair) -> None:
    a, b = operands(op, pair, np.float64, seed)
    wide = np.broadcast_arrays(a, b)
    close = (np.abs(wide[0] - wide[1]) < 1e-3) | (np.abs(wide[0]) < 1e-3)  # kinks
    dy = np.where(close, 0.0, values_of(np.float64, close.shape, seed + 2))
    da, db = kernels.combine_backward(a, b, dy, op)
    of_a = central_difference(lambda v: kernels.combine(v, b, op), a, dy)
    of_b = central_difference(lambda v: kernels.combine(a, v, op), b, dy)
    np.testing.assert_allclose(da, of_a, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(db, of_b, rtol=1e-5, atol=1e-7)


@BOTH
@pytest.mark.parametrize("op", sorted(reference.VALUES))
def test_special_values(op, dtype) -> None:
    special = special_values(dtype)
    special = special[np.isnan(special) | (np.abs(special) >= np.finfo(dtype).tiny)]
    special = np.concatenate([special, np.array([0, -0.0, -1, 2, -2, 3, -3, 0.5, -0.5], dtype)])
    a, b = (v.reshape(-1) for v in np.meshgrid(special, special))
    y = same_result(lambda: kernels.combine(a, b, op))
    with np.errstate(all="ignore"):
        expected = reference.VALUES[op](a.astype(np.float64), b.astype(np.float64))
        rounded = expected.astype(dtype)
    tame = np.isfinite(expected) & (np.abs(expected) < 1e30) & (np.abs(b) < 100)
    assert_close(y[tame], expected[tame], ulps=2000 if op == "power" else 2)
    odd = ~np.isfinite(rounded) & (np.isnan(expected) | np.isinf(expected))
    assert_same_bits(np.isnan(y[odd]), np.isnan(rounded[odd]))
    assert_same_bits(y[odd], rounded[odd])


@BOTH
def test_powers(dtype) -> None:
    a = np.concatenate([np.linspace(-30, 30, 601), [0.0, -0.0, 1e-20, 1e20]]).astype(dtype)
    for b in (0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 0.5, 7.0, 2.5):
        with np.errstate(all="ignore"):
            expected = np.power(a.astype(np.float64), b)
        y = same_result(lambda b=b: kernels.combine(a, dtype(b), "power"))
        assert_close(y, expected, ulps=1 if dtype == np.float32 else 400)


@BOTH
def test_ties_of_maximum_and_minimum_are_shared(dtype) -> None:
    a = np.array([1.0, 2.0, 3.0], dtype)
    b = np.array([2.0, 2.0, 2.0], dtype)
    one = np.ones(3, dtype)
    assert_same_bits(
        kernels.combine_backward(a, b, one, "maximum"),
        (np.array([0, 0.5, 1], dtype), np.array([1, 0.5, 0], dtype)),
    )
    assert_same_bits(
        kernels.combine_backward(a, b, one, "minimum"),
        (np.array([1, 0.5, 0], dtype), np.array([0, 0.5, 1], dtype)),
    )


@given(ops, dtypes, seeds, st.sampled_from([(5, 7), (1, 7), (5, 1), (1, 1)]))
def test_accumulating_gradients(op, dtype, seed, shape) -> None:
    """Old gradient first, then the terms in their order; derivatives that are constants need none
    of the operands."""
    a, b = operands(op, ((5, 7), shape), dtype, seed)
    dy, old = values_of(dtype, (5, 7), seed + 2), values_of(dtype, shape, seed + 3)
    entry = _formulas.BINARY[op]
    given = (a, 1, b, 1) if entry.needs_operands else (None, 1, None, 1)

    def run():
        db, fresh = old.copy(), np.full_like(old, np.nan)
        _core.combine_backward(*given, dy, db, 1, entry.id, True, True)
        _core.combine_backward(*given, dy, fresh, 1, entry.id, True, False)
        return [db, fresh]

    db, fresh = same_result(run)
    if shape == (5, 7):
        assert_same_bits(db, old + fresh)
    bound = 40 * (np.abs(old) + np.abs(dy).sum() * _largest_slope(op, a, b))
    assert_close(db, old.astype(np.float64) + fresh, absolute=bound)


def test_in_place() -> None:
    a, b = values_of(np.float32, (9, 33), 0), values_of(np.float32, (33,), 1)
    expected = a * b
    assert kernels.combine(a, b, "multiply", out=a) is a
    np.testing.assert_array_equal(a, expected)


def test_shapes_that_do_not_fit_are_named() -> None:
    f = np.ones
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(3,\)"):
        kernels.combine(f((3, 4)), f(3), "add")
    with pytest.raises(ValueError, match=r"\(2, 1, 4, 5\).*\(2, 3, 4, 5\).*reshape"):
        kernels.combine(f((2, 1, 4, 5)), f((2, 3, 4, 5)), "add")
    with pytest.raises(ValueError, match=r"\(3,\).*\(2, 4\)"):
        kernels.scaled_copy(f(3), shape=(2, 4))
    with pytest.raises(ValueError, match=r"\(3, 3\).*\(2, 4\)"):
        kernels.scaled_sum(f((2, 4)), shape=(3, 3))


# Copies and sums


@given(shape_pairs(), dtypes, seeds, layouts, layouts)
def test_copies_and_sums_are_each_others_gradients(pair, dtype, seed, x_at, y_at) -> None:
    shape = np.broadcast_shapes(*pair)
    own = min(pair, key=lambda s: int(np.prod(s)) if len(s) == len(shape) else -1)
    if np.broadcast_shapes(own, shape) != shape:
        return
    x, dy = values_of(dtype, own, seed), values_of(dtype, shape, seed + 1)
    x, wide = laid_out(x, x_at), laid_out(dy, x_at)

    def run():
        y = Guarded(np.zeros(shape, dtype), y_at)
        kernels.scaled_copy(x, -1.5, shape=shape, out=y.array)
        y.assert_padding_untouched()
        dx = kernels.scaled_sum(wide, -1.5, shape=own)
        return [y.array.copy(), dx]

    y, dx = same_result(run)
    assert_close(y, np.broadcast_to(-1.5 * x.astype(np.float64), shape), ulps=1)
    expected = reference.summed_to(-1.5 * wide.astype(np.float64), own)
    terms = wide.size / max(1, dx.size) + 20
    assert_close(dx, expected, absolute=terms * terms * np.abs(wide).max(initial=0))


@BOTH
def test_columns_of_a_wider_array(dtype) -> None:
    whole = values_of(dtype, (7, 90), 0)
    before, x = whole.copy(), values_of(dtype, (7, 30), 1)

    def run():
        result = whole.copy()
        kernels.scaled_copy(x, 2.0, out=result[:, 20:50])
        _core.scaled_copy(x, 1, result[:, 55:85], 3.0, True)
        _core.scaled_copy(None, 1, result[:, 1:3], 3.0, False)
        return result

    result = same_result(run)
    before[:, 20:50] = 2 * x
    before[:, 55:85] += 3 * x
    before[:, 1:3] = 0
    np.testing.assert_allclose(result, before, rtol=1e-6)
    np.testing.assert_array_equal(
        result[:, [0, 3, 19, 50, 54, 85]], whole[:, [0, 3, 19, 50, 54, 85]]
    )


# Embedding


@given(
    st.integers(1, 9), sizes, st.sampled_from([(0,), (1,), (5,), (4, 7), (2, 3, 2)]), dtypes, seeds
)
def test_embedding(rows, cols, shape, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    index, table = rng.integers(0, rows, shape), values_of(dtype, (rows, cols), seed)
    dy = values_of(dtype, (*shape, cols), seed + 1)
    y, dtable = same_result(
        lambda: [kernels.embedding(index, table), kernels.embedding_backward(index, dy, rows)]
    )
    np.testing.assert_array_equal(y, table[index])
    expected = reference.embedding_backward(index, dy.astype(np.float64), rows)
    assert_close(dtable, expected, absolute=100 * np.abs(dy).max(initial=0) * (1 + index.size))


@BOTH
def test_numbers_that_are_no_place_in_the_table(dtype) -> None:
    table = values_of(dtype, (4, 3), 0)
    index = np.array([[0, 3, -1, 4, 1.5, np.nan, np.inf, -0.0]], dtype)
    dy = np.ones((8, 3), dtype)

    def run():
        y, dtable = np.zeros((8, 3), dtype), np.ones((4, 3), dtype)
        _core.embedding(index, table, y)
        _core.embedding_backward(index, dy, dtable, True)
        return [y, dtable]

    y, dtable = same_result(run)
    nothing = np.full((5, 3), np.nan, dtype)
    assert_same_bits(y, np.concatenate([table[[0, 3]], nothing, table[[0]]]))
    assert_same_bits(dtable[:, 0], np.array([3, 1, 1, 2], dtype))


# Elementwise functions beside the activations


def domain(name, x):
    low = reference.DEFINED_FROM.get(name, -np.inf)
    return np.where(x <= low, low + np.abs(x) + np.asarray(0.01, x.dtype), x).astype(x.dtype)


@BOTH
@pytest.mark.parametrize("name", sorted(reference.FUNCTIONS))
def test_functions(name, dtype) -> None:
    x = np.concatenate([np.linspace(-40, 40, 4001), np.geomspace(1e-30, 1e30, 999)]).astype(dtype)
    x = domain(name, x)
    function = reference.FUNCTIONS[name]
    given_x = x if _formulas.FUNCTIONS[name].needs_input else None

    def run():
        y = kernels.activation_forward(x, name)
        return [y, kernels.activation_backward(y, np.ones_like(x), name, x=given_x)]

    y, dx = same_result(run)
    with np.errstate(all="ignore"):
        assert_close(y, function.value(x.astype(np.float64)), ulps=2)
        exact = function.derivative(x.astype(np.float64))
        assert_close(dx, exact, ulps=4, absolute=4 if name == "expm1" else 0)  # from a rounded y


@pytest.mark.parametrize("name", sorted(reference.FUNCTIONS))
def test_functions_against_differences(name) -> None:
    x = domain(name, values_of(np.float64, (3, 4), 1)) + 0.01
    dy = values_of(np.float64, (3, 4), 2)
    y = kernels.activation_forward(x, name)
    numeric = central_difference(lambda v: kernels.activation_forward(v, name), x, dy)
    np.testing.assert_allclose(
        kernels.activation_backward(y, dy, name, x=x), numeric, rtol=1e-5, atol=1e-7
    )


@BOTH
def test_functions_where_they_end(dtype) -> None:
    x = np.array([np.nan, -np.inf, -2, -1, -0.0, 0, np.inf], dtype)
    with np.errstate(all="ignore"):
        for name, function in reference.FUNCTIONS.items():
            assert_same_bits(
                same_result(lambda n=name: kernels.activation_forward(x, n)),
                function.value(x.astype(np.float64)).astype(dtype),
            )


def test_every_function_and_operation_has_a_reference() -> None:
    assert list(reference.FUNCTIONS) == list(_formulas.FUNCTIONS)
    assert list(reference.VALUES) == list(reference.SLOPES) == list(_formulas.BINARY)
    ids = [entry.id for entry in _formulas.ELEMENTWISE.values()]
    assert ids == list(range(len(ids)))


def test_products_do_not_take_functions() -> None:
    with pytest.raises(ValueError, match="activation"):
        kernels.dense_forward(np.ones((2, 2)), np.ones((2, 2)), activation="log")

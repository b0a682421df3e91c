"""bfloat16 arrays of the package ml_dtypes in the optimizers of arrays."""

import ml_dtypes
import numpy as np

from onepass.optimizers import Adam

SHAPES = [(37, 5), (5,), (1,), (0,), (3000,)]


def arrays(seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in SHAPES]


def test_bfloat16_of_ml_dtypes():
    step = [g.astype(ml_dtypes.bfloat16) for g in arrays(100)]
    parameters = [p.astype(ml_dtypes.bfloat16) for p in arrays(0)]
    expected = [p.astype(np.float32) for p in parameters]
    for optimizer, held, gradients in (
        (Adam(0.01), parameters, step),
        (Adam(0.01), expected, [g.astype(np.float32) for g in step]),
    ):
        optimizer.build(held)
        optimizer.apply(gradients)
    for a, b in zip(parameters, expected, strict=True):
        np.testing.assert_array_equal(
            a.view(np.uint16), b.astype(ml_dtypes.bfloat16).view(np.uint16)
        )

"""The circle loss. Public through ``onepass.kernels``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onepass import _checks, _core

Array = NDArray[Any]


def circle(
    labels: ArrayLike,
    embeddings: ArrayLike,
    *,
    ref_labels: ArrayLike | None = None,
    ref_embeddings: ArrayLike | None = None,
    gamma: float = 80.0,
    margin: float = 0.4,
    remove_diagonal: bool = True,
    weights: ArrayLike | None = None,
    scale: float = 1.0,
    over_positive: bool = False,
) -> tuple[Array, Array]:
    """Return the circle loss of each embedding among its references, and the gradient.

    With d the distance ``max(1 - s, 0)`` for an inner product s, each reference of the row's label
    has the logit ``-gamma max(margin + d, 0) (margin - d)`` and each of another label
    ``gamma max(1 + margin - d, 0) (1 - margin - d)``; the loss is the softplus of both logarithms
    of sums of exponentials, added. Sun et al., Circle Loss: A Unified Perspective of Pair
    Similarity Optimization, 2020.

    Parameters
    ----------
    labels : (n,) or (n, 1) integers of 32 bits
    embeddings : (n, c) float32 or float64, meant to have length 1
    ref_labels : (m,) or (m, 1) integers, optional; default labels
    ref_embeddings : (m, c) dtype of embeddings, optional
        Default the embeddings. Where no references are given, neither labels nor embeddings, these
        have a gradient in both roles; given ones are constants.
    gamma : float >= 0
    margin : float
    remove_diagonal : bool, whether row r is no partner of reference r where their labels are equal
    weights : (n,) dtype of embeddings, optional; factor of each row's gradient
    scale : float, factor of the whole gradient
    over_positive : bool
        Whether values and gradient are multiplied by n over the number of rows whose loss is above
        0, as in Keras's mean.

    Returns
    -------
    values : (n,) dtype of embeddings; 0 for a row without partners of both kinds. Neither
        ``weights`` nor ``scale`` is in them
    gradient : (n, c) dtype of embeddings; of ``sum(scale weights values)``

    Raises
    ------
    TypeError
        If a dtype or type is wrong.
    ValueError
        If shapes disagree, or a number is out of range.

    Notes
    -----
    The similarities of all pairs are held in memory: n m numbers.
    """
    gamma = _checks.number(gamma, "gamma", 0.0)
    margin = _checks.number(margin, "margin")
    remove_diagonal = _checks.boolean(remove_diagonal, "remove_diagonal")
    over_positive = _checks.boolean(over_positive, "over_positive")
    scale = _checks.number(scale, "scale")
    embeddings = _checks.floats(embeddings, "embeddings")
    _checks.expect_ndim(embeddings, "embeddings", ("n", "c"))
    n = len(embeddings)
    own = _checks.labels(labels, "labels", n)
    references, reference_labels, m = None, None, n
    if ref_embeddings is not None:
        given = _checks.floats(ref_embeddings, "ref_embeddings", embeddings, "embeddings")
        m = len(given) if given.ndim else 0
        _checks.expect_shape(given, "ref_embeddings", (m, embeddings.shape[1]), "as embeddings")
        references = _checks.input_rows(given)
    if ref_labels is not None:
        reference_labels = _checks.labels(ref_labels, "ref_labels", m)
    elif m != n:
        raise ValueError(f"ref_labels must be given for {m} references of {n} embeddings, got None")
    if reference_labels is not None and references is None:
        references = _checks.input_rows(embeddings)
    if weights is not None:
        weights = _checks.floats(weights, "weights", embeddings, "embeddings")
        _checks.expect_shape(weights, "weights", (n,), "as one a row")
        weights = _checks.input_vector(weights)
    values, gradient = np.empty(n, embeddings.dtype), np.empty(embeddings.shape, embeddings.dtype)
    _core.circle(
        own,
        _checks.input_rows(embeddings),
        own if reference_labels is None else reference_labels,
        references,
        gamma,
        margin,
        remove_diagonal,
        over_positive,
        weights,
        values,
        gradient,
        scale,
        np.empty((n, m), embeddings.dtype),
        np.empty(_core.circle_numbers * n, embeddings.dtype),
    )
    return values, gradient

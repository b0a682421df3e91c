"""Circle loss in NumPy float64, written out pair by pair as Keras 3.15 does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _log_sum_exp(logits: Array, chosen: NDArray[np.bool_]) -> Array:
    """Return it for each row over what is chosen, -inf where nothing is."""
    masked = np.where(chosen, logits, -np.inf)
    largest = masked.max(axis=1, initial=-np.inf)
    centre = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(masked - centre[:, None]).sum(axis=1)) + centre


def circle(
    labels: NDArray[np.integer],
    embeddings: Array,
    ref_labels: NDArray[np.integer] | None = None,
    ref_embeddings: Array | None = None,
    gamma: float = 80.0,
    margin: float = 0.4,
    remove_diagonal: bool = True,
) -> Array:
    """Return the loss of each row."""
    embeddings = embeddings.astype(np.float64)
    ref_labels = labels if ref_labels is None else ref_labels
    references = embeddings if ref_embeddings is None else ref_embeddings.astype(np.float64)
    distance = np.maximum(1.0 - embeddings @ references.T, 0.0)
    same = labels[:, None] == ref_labels[None, :]
    pairs = same & ~np.eye(*same.shape, dtype=bool) if remove_diagonal else same
    p = -gamma * np.maximum(margin + distance, 0.0) * (margin - distance)
    q = gamma * np.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance)
    return np.logaddexp(0.0, _log_sum_exp(p, pairs) + _log_sum_exp(q, ~same))

"""Samples compared by ranks: no distribution is assumed, outliers weigh little."""

from __future__ import annotations

import math
from collections.abc import Sequence


def p_value(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the two-sided p-value of Mann and Whitney's test by its normal approximation.

    Ties share their mean rank; continuity is corrected by half a rank.
    """
    n, m = len(a), len(b)
    ranks = _ranks([*a, *b])
    wins = sum(ranks[:n]) - n * (n + 1) / 2
    ties = sum(count**3 - count for count in _counts([*a, *b]))
    total = n + m
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0.0:
        return 1.0
    distance = max(0.0, abs(wins - n * m / 2) - 0.5)
    return math.erfc(distance / math.sqrt(2 * variance))


def _counts(values: Sequence[float]) -> list[int]:
    counts: dict[float, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return list(counts.values())


def _ranks(values: Sequence[float]) -> list[float]:
    """Return each value's rank, from 1."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for at in range(first, last + 1):
            ranks[order[at]] = (first + last) / 2 + 1
        first = last + 1
    return ranks


def signed_p_value(differences: Sequence[float]) -> float:
    """Return the exact two-sided p-value of Wilcoxon's signed-rank test.

    Ties share their mean rank; a difference of 0 counts for neither side.
    """
    kept = [d for d in differences if d != 0.0]
    ranks = _ranks([abs(d) for d in kept])
    below = sum(rank for rank, d in zip(ranks, kept, strict=True) if d < 0.0)
    least = min(below, sum(ranks) - below)
    sums = [0.0]  # of the ranks that could have been negative, all signs being equally likely
    for rank in ranks:
        sums += [total + rank for total in sums]
    extreme = sum(total <= least + 1e-9 for total in sums)
    return min(1.0, 2.0 * extreme / len(sums))


def middle_of(differences: Sequence[float]) -> float:
    """Return the median of the means of all pairs, each with itself, too (Hodges and Lehmann)."""
    n = len(differences)
    means = sorted((differences[i] + differences[j]) / 2 for i in range(n) for j in range(i, n))
    return (means[(len(means) - 1) // 2] + means[len(means) // 2]) / 2

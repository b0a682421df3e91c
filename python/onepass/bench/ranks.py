"""Two sets of samples compared by ranks: no distribution is assumed, outliers weigh little."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z = 2.576  # standard normal: 99% lie within; a run has a hundred cases, so 95% would be too few


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


def ratio(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of all quotients of a sample of a and one of b, and its interval of `Z`.

    The interval holds the shifts that the rank test does not reject (Hodges and Lehmann, on
    logarithms); from 0 to infinity where there are too few samples to reject anything.
    """
    quotients = sorted(x / y for x in a for y in b)
    n, m = len(a), len(b)
    half = Z * math.sqrt(n * m * (n + m + 1) / 12)
    low, high = math.floor(n * m / 2 - half), math.ceil(n * m / 2 + half) - 1
    middle = (quotients[(n * m - 1) // 2] + quotients[n * m // 2]) / 2
    if low < 0:
        return middle, 0.0, math.inf
    return middle, quotients[low], quotients[high]

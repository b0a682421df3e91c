"""The specification in NumPy float64: textbook formulas, one module a family.

Imported by the tests only. Nothing here shares code or tricks with ``csrc``; each module ends in
one dictionary keyed by the names in ``onepass._formulas``.
"""

from reference import activations, dense, losses, metrics, normalization, reduce, rules

__all__ = ["activations", "dense", "losses", "metrics", "normalization", "reduce", "rules"]

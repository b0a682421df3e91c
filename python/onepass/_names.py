"""Names that are made from those of classes, as Keras makes them."""

from __future__ import annotations

import re


def to_snake_case(name: str) -> str:
    """Return a class's name in small letters: ``FBetaScore`` becomes ``f_beta_score``."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()

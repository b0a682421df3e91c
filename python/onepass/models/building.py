"""Building that is taken back when what comes with it turns out to be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from onepass.layers.layer import Layer


@contextmanager
def undone_on_error(model: Layer) -> Iterator[None]:
    """Take back what layers inside have built, if an error strikes meanwhile."""
    if model.built:
        yield
        return
    before = {layer: (layer.built, len(layer.own_variables)) for layer, _ in model.structure()}
    try:
        yield
    except BaseException:
        for layer, (built, weights) in before.items():
            if layer.built and not built:
                layer.built = False
                layer.forget(weights)
        raise

"""The parts of ``keras.backend`` that have a meaning here."""

from onepass.layers.layer import clear_names

__all__ = ["clear_session"]


def clear_session() -> None:
    """Begin numbering layers and models anew: the next Dense is ``dense``, then ``dense_1``.

    Models that exist stay usable.
    """
    clear_names()

"""Broadcasting as NumPy does it, as far as kernels can read an operand where it lies.

Shapes may begin with ``None``, the batch, which fits itself and 1.
"""

from __future__ import annotations

from collections.abc import Sequence

Shape = tuple[int | None, ...]


def result_shape(shapes: Sequence[Shape], names: Sequence[str], owner: str) -> Shape:
    """Return the shape that operands of these shapes are broadcast to.

    Raises
    ------
    ValueError
        If they do not fit together; the message names all of them.
    """
    result: list[int | None] = []
    for axis in range(-max((len(shape) for shape in shapes), default=0), 0):
        sizes = {shape[axis] for shape in shapes if len(shape) >= -axis and shape[axis] != 1}
        if len(sizes) > 1:
            raise misfit(shapes, names, owner)
        result.append(sizes.pop() if sizes else 1)
    return tuple(result)


def misfit(shapes: Sequence[Shape], names: Sequence[str], owner: str) -> ValueError:
    """Return the error that says that operands do not fit together."""
    listed = " and ".join(
        f"{name} of shape {shape}" for name, shape in zip(names, shapes, strict=True)
    )
    return ValueError(f"{owner}: {listed} cannot be broadcast together")


def repeat_of(shape: Shape, to: Shape, name: str, owner: str) -> int:
    """Return how often in a row each row of an operand comes in the result.

    Its dimensions before the last are ones, then those of the result, then ones again: the last
    ones are rows that repeat, and all rows come again for the first.

    Raises
    ------
    ValueError
        If the dimensions in between are not those of the result.
    """
    rows, target = ((1,) * (len(to) - len(shape)) + shape)[:-1], to[:-1]
    first, last = 0, len(rows)
    while first < last and rows[first] == 1:
        first += 1
    while last > first and rows[last - 1] == 1:
        last -= 1
    if rows[first:last] != target[first:last]:
        raise ValueError(
            f"{owner}: {name} of shape {shape} cannot be broadcast to {to} within its dimensions; "
            "reshape it or repeat it first"
        )
    # Dimensions of 1 in the result belong to the run as well as to what is repeated.
    repeat = 1
    for dim in target[last:] if first < last else ():
        assert dim is not None
        repeat *= dim
    return repeat

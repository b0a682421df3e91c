"""The sizes that cases come in: the real ones by default, other ones for tests and sweeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """One of the sizes that a case comes in.

    Attributes
    ----------
    label : end of the case's name
    shapes : of its arrays: one of rows and columns for kernels, all tensors for steps
    series, size : see `onepass.bench.cases.Case`
    """

    label: str
    shapes: tuple[Shape, ...]
    series: str
    size: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the only array."""
        ((rows, columns),) = self.shapes
        return rows, columns


def elements_of(shapes: Sequence[Shape]) -> int:
    """Return the number of elements of all arrays."""
    return sum(math.prod(shape) for shape in shapes)


def count_label(n: int) -> str:
    """Return a count as short as it can be read: 1e5, 2.5e6, but 409600."""
    digits = str(n).rstrip("0")
    if n % 100 or len(digits) > 2:
        return str(n)
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1]}"
    return f"{mantissa}e{len(str(n)) - 1}"


def as_rows(n: int) -> tuple[int, int]:
    """Return the shape of so many elements: 100 columns, fewer of a small or an odd number."""
    columns = 100 if n % 100 == 0 and n > 100 else 10 if n % 10 == 0 else n
    return n // columns, columns


def cut(n: int, tensors: int) -> tuple[Shape, ...]:
    """Return the shapes of so many elements in so many tensors, as equal as can be."""
    whole, longer = divmod(n, tensors)
    return (as_rows(whole + 1),) * longer + (as_rows(whole),) * (tensors - longer)


@dataclass(frozen=True)
class Sizes:
    """Sizes and number type of all cases; what is left empty has no cases.

    Attributes
    ----------
    rows : of kernels: rows and columns
    tensors : of steps: label -> shapes
    elements : of kernels: so many in one array
    cuts : of steps: so many elements in so many tensors
    swept : names of the kernels and steps that come at ``elements`` and ``cuts``, too; ``*`` works
    products : rows, inputs, outputs
    training : model, batch, optimizer, steps a run
    predictions : rows
    gathered : rows
    epochs : samples
    alone, imports : whether calls on next to nothing are there, and the time of an import
    compiled : rules whose steps on ``tensors`` are timed beside torch.compile's, too
    """

    dtype: str = "float32"
    rows: tuple[tuple[int, int], ...] = ((256, 1024),)
    normalized: tuple[tuple[int, int], ...] = ((32, 300), (256, 1024))
    pairs: tuple[tuple[int, int], ...] = ((256, 64),)
    tensors: dict[str, tuple[Shape, ...]] = field(
        default_factory=lambda: {
            "1e3": ((10, 100),),
            "266k": ((784, 300), (300,), (300, 100), (100,), (100, 10), (10,)),
            "16x1M": ((1 << 20,),) * 16,
        }
    )
    elements: tuple[int, ...] = tuple(10**n for n in range(2, 8))
    cuts: tuple[tuple[int, int], ...] = (
        *((10**n, 1) for n in range(2, 8)),
        *((409_600, tensors) for tensors in (1, 16, 256, 4096)),
    )
    swept: tuple[str, ...] = (
        "sgd step",
        "adam step",
        "relu forward",
        "softmax forward",
        "global_norm",
    )
    products: tuple[tuple[int, int, int], ...] = (
        (32, 784, 300),
        (256, 784, 300),
        (32, 300, 100),
        (512, 1024, 4096),
        (512, 4096, 4096),
        (1024, 256, 256),
    )
    m1: tuple[int, ...] = (784, 300, 100, 10)
    m2: tuple[int, ...] = (784, 300, 100, 10)  # with batch norm on the input and hidden layers
    m3: tuple[int, ...] = (784, 1024, 1024, 1024, 10)  # with dropout before each layer
    m4: tuple[int, ...] = (8, 50, 50, 50, 1)
    m5: tuple[int, ...] = (1024, 4096, 4096, 1024)
    m6: tuple[int, ...] = (256, 256, 256, 256, 64)
    training: tuple[tuple[str, int, str, int], ...] = (
        ("M1", 32, "sgd", 128),
        ("M1", 32, "adam", 128),
        ("M1", 256, "sgd", 32),
        ("M1", 256, "adam", 32),
        ("M2", 32, "sgd", 128),
        ("M2", 32, "adam", 128),
        ("M3", 128, "adam", 12),
        ("M4", 32, "adam", 256),
        ("M5", 512, "adamw", 3),
        ("M6", 1024, "adamw", 8),
    )
    predictions: tuple[int, ...] = (1, 1024)
    gathered: tuple[int, ...] = (32,)
    samples: int = 8192
    epochs: tuple[int, ...] = (55_000,)
    alone: bool = True
    imports: bool = True
    compiled: tuple[str, ...] = ("sgd", "adam")

    def quick(self) -> Sizes:
        """Return the same with a fourth of the steps in a run, and no steps that torch compiles."""
        shorter = tuple((*case[:3], max(3, case[3] // 4)) for case in self.training)
        return replace(self, compiled=(), training=shorter)

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize

    def rounding(self, tolerance: float) -> float:
        """Return a tolerance for rounding errors, given for float32, in the type of the cases."""
        return tolerance * float(np.finfo(self.dtype).eps / np.finfo(np.float32).eps)

    def summing(self, tolerance: float, shapes: Sequence[Shape]) -> float:
        """Return a tolerance for what follows from sums over tensors.

        Rivals add float32 one after the other, so that their errors grow with the elements: torch's
        norm of ten million is off by 4e-4, XLA's of a million by 2e-4.
        """
        return self.rounding(tolerance * max(1.0, max(map(math.prod, shapes)) / 1e5))

    def _sweeps(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.swept)

    def kernels(self, name: str, rows: Sequence[tuple[int, int]] | None = None) -> list[Place]:
        """Return where a kernel comes: at ``rows`` and, if it is swept, at ``elements``."""
        shapes = {f"{n}x{c}": (n, c) for n, c in (self.rows if rows is None else rows)}
        if self._sweeps(name):
            shapes |= {count_label(n): as_rows(n) for n in self.elements}
        places = [Place(label, (s,), name, elements_of([s])) for label, s in shapes.items()]
        return sorted(places, key=lambda place: place.size)

    def steps(self, name: str) -> list[Place]:
        """Return where a step comes: at ``tensors`` and, if it is swept, at ``cuts``."""
        found = {
            label: Place(label, shapes, name, elements_of(shapes))
            for label, shapes in self.tensors.items()
        }
        if self._sweeps(name):
            places = (self._cut(name, n, tensors) for n, tensors in self.cuts)
            found |= {place.label: place for place in places}
        return sorted(found.values(), key=lambda place: (place.series, place.size))

    def _cut(self, name: str, n: int, tensors: int) -> Place:
        label, shapes = count_label(n), cut(n, tensors)
        if all(count == 1 for elements, count in self.cuts if elements == n):
            return Place(label, shapes, name, n)
        words = f"{label} in {tensors} tensor{'s' * (tensors > 1)}"
        return Place(words, shapes, f"{name} of {label} by tensors", tensors)


_MOST_STEPS = 1024  # of a training run
_CUT = 409_600  # elements, if only the number of tensors is given


def sweep(
    dtype: str = "float32",
    elements: Sequence[int] = (),
    tensors: Sequence[int] = (),
    batches: Sequence[int] = (),
) -> Sizes:
    """Return sizes with which there are cases at exactly these sizes, and no other cases.

    Parameters
    ----------
    elements : of kernels and steps
    tensors : into which steps have their elements cut
    batches : rows of training steps, predictions, products, pairs and gathered rows

    Raises
    ------
    ValueError
        If there are more tensors than elements.
    """
    usual = Sizes()
    stepped = elements or ((_CUT,) if tensors else ())
    if max(tensors, default=0) > min(stepped, default=0):
        raise ValueError(f"{min(stepped)} elements cannot be cut into {max(tensors)} tensors")
    trained: dict[tuple[str, str], int] = {}  # rows a run
    for model, batch, optimizer, steps in usual.training:
        kind = model, optimizer
        trained[kind] = max(batch * steps, trained.get(kind, 0))
    return Sizes(
        dtype=dtype,
        rows=(),
        normalized=(),
        pairs=tuple((n, usual.pairs[0][1]) for n in batches),
        tensors={},
        elements=tuple(elements),
        cuts=tuple((n, count) for n in stepped for count in tensors or (1,)),
        swept=("*",),
        products=tuple((n, *ends) for ends in _ends(usual) for n in batches),
        training=tuple(
            (model, n, optimizer, min(_MOST_STEPS, max(1, rows // n)))
            for (model, optimizer), rows in trained.items()
            for n in batches
        ),
        predictions=tuple(batches),
        gathered=tuple(batches),
        epochs=(),
        alone=False,
        imports=False,
    )


def _ends(sizes: Sizes) -> list[tuple[int, int]]:
    """Return the different inputs and outputs of the products."""
    return list(dict.fromkeys((i, o) for _, i, o in sizes.products))

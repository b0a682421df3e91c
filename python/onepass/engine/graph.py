"""Symbolic tensors and the graph of operations that calling layers on them records.

Called by layers and activations; read by ``lowering``. A node is never changed once recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from onepass.engine.operators import NotRecordedError, TensorOperators

if TYPE_CHECKING:
    from onepass.engine.ops import Op
    from onepass.layers.layer import Layer

Shape = tuple[int | None, ...]


@dataclass(eq=False)
class SymbolicTensor(TensorOperators):
    """A tensor that only has a shape yet; ``None`` as first dimension is the batch.

    Without it, which only what regularizers make of weights is, all of the tensor is there at each
    step.

    TensorOperators such as ``+`` and ``x[:, :2]`` record operations; see ``onepass.ops`` for more.
    """

    shape: Shape
    dtype: str
    name: str = ""
    node: Node | None = field(default=None, repr=False)
    made_by: LayerCall | None = field(default=None, repr=False)
    index_below: int | None = field(default=None, repr=False)  # of an input that holds indices

    @property
    def ndim(self) -> int:
        """Number of dimensions, the batch included."""
        return len(self.shape)

    @property
    def has_batch(self) -> bool:
        """Whether the first dimension is the batch."""
        return self.shape[:1] == (None,)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample; all of it where there is no batch."""
        return tuple(dim for dim in self.shape if dim is not None)

    @property
    def sample_size(self) -> int:
        """Elements of one sample."""
        return prod(self.sample_shape)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise NotRecordedError(
            "a symbolic tensor has no values: NumPy functions cannot be recorded in a model; "
            "use layers, activations and ops of onepass on it"
        )

    def __bool__(self) -> bool:
        raise NotRecordedError(
            "a symbolic tensor has no value: Python cannot branch on it while a model is recorded; "
            "choose between tensors with ops.where"
        )


@dataclass(eq=False)
class Node:
    """One operation: inputs, output and the layer whose call recorded it (for display)."""

    op: Op
    inputs: tuple[SymbolicTensor, ...]
    output: SymbolicTensor
    owner: str = ""


@dataclass(eq=False)
class LayerCall:
    """One call of a layer on symbolic tensors, from which a functional model is made.

    Arguments and outputs are tensors, or nested structures of them.
    """

    layer: Layer
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: Any = None


@dataclass
class Trace:
    """What the recording of a model knows.

    Attributes
    ----------
    training : how layers behave that are not told otherwise; None leaves it to the plan
    for_plan : whether a plan is recorded, and not only shapes found out
    calls : how often each layer was asked for a number of its own
    """

    training: bool | None = None
    for_plan: bool = False
    calls: Counter[int] = field(default_factory=Counter)

    def next_call(self, layer: Layer) -> int:
        """Return how often a layer was asked this before: its calls must draw different masks."""
        self.calls[id(layer)] += 1
        return self.calls[id(layer)] - 1


# Of this thread: models may be recorded in several at a time.
_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current_trace() -> Trace:
    """Return the recording in progress; where there is none, one that leaves all open."""
    return _trace.get() or Trace()


_records: ContextVar[bool] = ContextVar("records", default=False)


def is_recording() -> bool:
    """Whether what is done to weights is recorded: in a ``call``, a loss or a penalty."""
    return _records.get()


@contextmanager
def recording(on: bool = True) -> Iterator[None]:
    """Record meanwhile what is done to weights, or compute it at once."""
    token = _records.set(on)
    try:
        yield
    finally:
        _records.reset(token)


@contextmanager
def tracing(trace: Trace) -> Iterator[Trace]:
    """Record meanwhile as this says."""
    token = _trace.set(trace)
    try:
        yield trace
    finally:
        _trace.reset(token)


_owners: ContextVar[tuple[str, ...]] = ContextVar("owners", default=())


@contextmanager
def recording_for(owner: str) -> Iterator[None]:
    """Let the nodes recorded meanwhile carry a layer's name."""
    token = _owners.set((*_owners.get(), owner))
    try:
        yield
    finally:
        _owners.reset(token)


def record(op: Op, inputs: Sequence[SymbolicTensor]) -> SymbolicTensor:
    """Add an operation to the graph and return its output."""
    dtypes = {tensor.dtype for tensor in inputs}
    if len(dtypes) > 1:
        raise TypeError(f"{op.name}: inputs have different dtypes {sorted(dtypes)}")
    owner = _owners.get()[-1] if _owners.get() else op.name
    shape = op.output_shape([tensor.shape for tensor in inputs])
    output = SymbolicTensor(shape, inputs[0].dtype, f"{owner}:{op.name}")
    output.node = Node(op, tuple(inputs), output, owner)
    return output


def input_tensor(shape: Iterable[int | None], dtype: str, name: str) -> SymbolicTensor:
    """Start of a graph: a batch of samples of this shape."""
    return SymbolicTensor((None, *shape), dtype, name)


def nodes_between(
    inputs: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]
) -> list[Node]:
    """Nodes that lead from the inputs to the outputs, each after all that it needs.

    Raises
    ------
    ValueError
        If an output depends on a tensor that is not among the inputs.
    """
    done: set[int] = {id(tensor) for tensor in inputs}
    order: list[Node] = []
    stack: list[tuple[SymbolicTensor, bool]] = [(tensor, False) for tensor in reversed(outputs)]
    while stack:
        tensor, expanded = stack.pop()
        if id(tensor) in done:
            continue
        if tensor.node is None:
            raise ValueError(f"an output depends on {tensor.name!r}, which is not an input")
        if expanded:
            done.add(id(tensor))
            order.append(tensor.node)
        else:
            stack.append((tensor, True))
            stack.extend((source, False) for source in reversed(tensor.node.inputs))
    return order

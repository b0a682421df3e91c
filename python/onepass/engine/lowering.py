"""From a graph to plain kernel calls: forward, losses, metrics, backward with fan-in, update.

Called by ``plan``. Every call does one thing; the result is correct as it stands, only not fused.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from onepass.engine.calls import Buffer, Call
from onepass.engine.graph import Node, SymbolicTensor
from onepass.engine.storage import Floats, Variable, padded, reallocated


class Lowering:
    """Collects the calls of one plan.

    Parameters
    ----------
    nodes : the graph's nodes, each after all that it needs
    trained : variables whose gradients are wanted (none: forward only)
    training : whether layers behave as in training
    learning : whether the step is one of training, which moving statistics follow
    device : where kernels run

    Attributes
    ----------
    saved : what a node's forward call leaves to its backward call, beside values
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        trained: Sequence[Variable] = (),
        training: bool = False,
        learning: bool = False,
        device: str = "cpu",
    ) -> None:
        self.nodes = nodes
        self.training = training
        self.learning = learning
        self.device = device
        self.saved: dict[Node, Buffer] = {}
        self.calls: list[Call] = []
        self.n_sums = 0
        self._trained = {id(variable) for variable in trained}
        self._values: dict[int, Buffer] = {}
        self._gradients: dict[int, Buffer] = {}
        self._written: set[Buffer] = set()
        self._parameters: dict[int, Buffer] = {}
        self._parameter_gradients: dict[int, Buffer] = {}
        self._groups = _memory_groups(nodes, training)
        self._reached = self._tensors_with_gradient()

    # -- buffers ---------------------------------------------------------------------------------

    def value(self, tensor: SymbolicTensor) -> Buffer:
        """Return the buffer of a tensor's values."""
        return self._view_of(self._values, tensor, "")

    def gradient(self, tensor: SymbolicTensor) -> tuple[Buffer, bool]:
        """Return the buffer of a tensor's gradient and whether anything was written to it yet."""
        buffer = self._view_of(self._gradients, tensor, "d_")
        return buffer, buffer.root() in self._written

    def gradient_to_write(self, tensor: SymbolicTensor) -> tuple[Buffer, bool]:
        """As ``gradient``, for a call that adds its part: it must accumulate after the first."""
        buffer, accumulate = self.gradient(tensor)
        self._written.add(buffer.root())
        return buffer, accumulate

    def parameter(self, variable: Variable) -> Buffer:
        """Return the buffer of a variable's values."""
        if id(variable) not in self._parameters:
            self._parameters[id(variable)] = _fixed(variable.name, variable.array)
        return self._parameters[id(variable)]

    def parameter_gradient(self, variable: Variable) -> tuple[Buffer, bool]:
        """As ``gradient_to_write``, for a variable: shared layers add up."""
        if id(variable) not in self._parameter_gradients:
            buffer = _fixed(f"d_{variable.name}", variable.gradient)
            self._parameter_gradients[id(variable)] = buffer
            return buffer, False
        return self._parameter_gradients[id(variable)], True

    def constant(self, array: Floats) -> Buffer:
        """Return the buffer of a constant array."""
        on_device = array if self.device == "cpu" else reallocated([array], self.device)[0]
        return _fixed("constant", on_device)

    def has_gradient(self, variable: Variable) -> bool:
        """Whether a call writes this variable's gradient."""
        return id(variable) in self._parameter_gradients

    def rows(self, name: str, cols: int = 1, rows_per_sample: int = 1) -> Buffer:
        """Return a new gapless buffer of rows."""
        return Buffer(name, "rows", cols, cols, rows_per_sample)

    def like(self, name: str, buffer: Buffer) -> Buffer:
        """Return a new buffer of rows with another one's shape."""
        rows = buffer.rows_per_sample
        if buffer.root().kind == "table":
            return Buffer(name, "table", buffer.cols, buffer.stride, rows, rows=rows)
        return Buffer(name, "rows", buffer.cols, buffer.stride, rows)

    def table(self, name: str, rows: int, cols: int) -> Buffer:
        """Return a new buffer of as many rows, whatever the batch's."""
        return Buffer(name, "table", cols, padded(cols), rows, rows=rows)

    def square(self, name: str) -> Buffer:
        """Return a new gapless buffer of as many rows and columns as the batch has samples."""
        return Buffer(name, "square")

    def doubles(self, name: str, cols: int, rows_per_sample: int = 0) -> Buffer:
        """Return a new buffer of so many float64 numbers, or of so many a row."""
        return Buffer(name, "doubles", cols, cols, rows_per_sample)

    def index(self, name: str, rows_per_sample: int = 1) -> Buffer:
        """Return a new buffer of class indices."""
        return Buffer(name, "index", 1, 1, rows_per_sample)

    def sums(self, size: int) -> int:
        """Return where `size` new float64 sums over the steps of a pass begin."""
        self.n_sums += size
        return self.n_sums - size

    # -- what needs a gradient -------------------------------------------------------------------

    def is_trained(self, variable: Variable) -> bool:
        """Whether this variable's gradient is wanted."""
        return id(variable) in self._trained

    def needs_gradient(self, tensor: SymbolicTensor) -> bool:
        """Whether any trained variable lies before this tensor."""
        return id(tensor) in self._reached

    def _tensors_with_gradient(self) -> set[int]:
        reached: set[int] = set()
        for node in self.nodes:
            trained = any(self.is_trained(variable) for variable in node.op.variables())
            if trained or any(id(tensor) in reached for tensor in node.inputs):
                reached.add(id(node.output))
        return reached

    # -- calls -----------------------------------------------------------------------------------

    def emit(
        self,
        kernel: str,
        reads: dict[str, Buffer],
        writes: dict[str, Buffer],
        attributes: dict[str, Any] | None = None,
    ) -> None:
        """Append one call."""
        self.calls.append(Call(kernel, reads, writes, attributes or {}))

    def add(self, what: Buffer, to: Buffer) -> None:
        """Emit the addition of a buffer to another one of its shape."""
        attributes = {"activation": "linear", "hyper": [], "accumulate": True}
        self.emit("activation_backward", {"y": what, "dy": what}, {"dx": to}, attributes)

    def copy(
        self,
        x: Buffer | None,
        y: Buffer,
        *,
        x_first: int = 0,
        y_first: int = 0,
        cols: int | None = None,
        repeat: int = 1,
        scale: float = 1.0,
        mean: bool = False,
        accumulate: bool = False,
    ) -> None:
        """Emit the copy of a band of columns, ``scale`` times it.

        Parameters
        ----------
        x : its rows are repeated; a single column stands for all; without it, zeros
        cols : by default all columns of y
        mean : whether the scale is divided by the number of y's rows
        """
        attributes = {
            "repeat": repeat,
            "x_first": x_first,
            "y_first": y_first,
            "cols": y.cols if cols is None else cols,
            "scale": scale,
            "mean": mean,
            "accumulate": accumulate,
        }
        self.emit("scaled_copy", {} if x is None else {"x": x}, {"y": y}, attributes)

    def forward(self) -> None:
        """Emit all forward calls."""
        for node in self.nodes:
            node.op.forward(self, node)

    def backward(self) -> None:
        """Emit all backward calls, once the outputs' gradients were written."""
        for node in reversed(self.nodes):
            if self.needs_gradient(node.output) and self.gradient(node.output)[1]:
                node.op.backward(self, node)

    # -- shapes that share memory ----------------------------------------------------------------

    def _view_of(self, made: dict[int, Buffer], tensor: SymbolicTensor, prefix: str) -> Buffer:
        if id(tensor) not in made:
            group = self._groups.get(id(tensor))
            name = prefix + (tensor.name or "tensor")
            if group is None:
                made[id(tensor)] = _rows_buffer(name, tensor, pad=tensor.ndim == 2)
            else:
                made[id(tensor)] = self._view_in_group(made, tensor, group, name)
        return made[id(tensor)]

    def _view_in_group(
        self,
        made: dict[int, Buffer],
        tensor: SymbolicTensor,
        group: list[SymbolicTensor],
        name: str,
    ) -> Buffer:
        if id(group) not in made:
            # Padding is possible where every shape in use is one row a sample.
            flat = all(member.ndim == 2 for member in group)
            made[id(group)] = _rows_buffer(name, group[0], pad=flat)
        base = made[id(group)]
        cols, rows = _matrix_shape(tensor)
        member = any(tensor is other for other in group)  # `in` would compare values
        if not member or (base.cols, base.rows_per_sample) == (cols, rows):
            return base
        return Buffer(name, "view", cols, cols, rows, base=base)


def _rows_buffer(name: str, tensor: SymbolicTensor, pad: bool) -> Buffer:
    cols, rows = _matrix_shape(tensor)
    if not tensor.has_batch:
        return Buffer(name, "table", cols, cols, rows, rows=rows)
    return Buffer(name, "rows", cols, padded(cols) if pad else cols, rows)


def _matrix_shape(tensor: SymbolicTensor) -> tuple[int, int]:
    """Columns, and rows of one sample: the last dimension, and all between it and the batch."""
    *rows, cols = tensor.sample_shape or (1,)
    return cols, prod(rows)


def _memory_groups(nodes: Sequence[Node], training: bool) -> dict[int, list[SymbolicTensor]]:
    """Tensors that are one memory, under several shapes where they are reshaped, by tensor id.

    A tensor that only a reshape reads and no call writes (a model's input) takes on the reshape's
    shape: feeding fills one long row a sample.
    """
    groups: dict[int, list[SymbolicTensor]] = {}
    consumers: dict[int, list[Node]] = {}
    for node in nodes:
        for tensor in node.inputs:
            consumers.setdefault(id(tensor), []).append(node)
    for node in nodes:
        if not node.op.shares_memory(training):
            continue
        (source,) = node.inputs
        group = groups.get(id(source))
        if group is None:
            untouched = source.node is None and consumers[id(source)] == [node]
            group = [] if untouched else [source]
        group.append(node.output)
        groups[id(source)] = groups[id(node.output)] = group
    return groups


def _fixed(name: str, array: Any) -> Buffer:
    cols = array.shape[-1] if array.ndim else 1
    if array.ndim not in (1, 2):  # such arrays have no gaps
        array = array.reshape(-1, cols)
    stride = array.strides[0] // array.itemsize if array.ndim == 2 else cols
    return Buffer(name, "fixed", cols, stride, array=array)

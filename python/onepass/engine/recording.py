"""Recording what a model or layer does to symbolic tensors, for shapes or for one plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from onepass.engine.graph import (
    SymbolicTensor,
    Trace,
    input_tensor,
    nodes_between,
    record,
    recording,
    tracing,
)
from onepass.engine.ops import ActivationOp, IdentityOp
from onepass.engine.storage import Variable
from onepass.engine.structure import flatten, map_structure, pack_like


@dataclass(frozen=True)
class Graph:
    """Symbolic inputs and the outputs made of them: tensors, or nested structures of tensors."""

    inputs: Any
    outputs: Any

    @cached_property
    def input_list(self) -> list[SymbolicTensor]:
        """The inputs in order."""
        return flatten(self.inputs)

    @cached_property
    def output_list(self) -> list[SymbolicTensor]:
        """The outputs in order."""
        return flatten(self.outputs)

    @property
    def dtype(self) -> str:
        """Float type of all computation."""
        return self.input_list[0].dtype


def record_graph(call: Callable[[Any], Any], inputs: Any, trace: Trace) -> Graph:
    """Apply ``call`` to new inputs that are like the given ones.

    Raises
    ------
    TypeError
        If the inputs or what is returned are not tensors of one float type.
    """
    fresh = map_structure(_fresh, inputs)
    dtypes = {tensor.dtype for tensor in flatten(fresh)}
    if len(dtypes) != 1:
        raise TypeError(f"all inputs must have one float type, got {sorted(dtypes)}")
    with tracing(trace), recording():
        outputs = call(fresh)
    return Graph(fresh, _distinct(outputs, flatten(fresh)))


def _fresh(like: SymbolicTensor) -> SymbolicTensor:
    tensor = input_tensor(like.shape[1:], like.dtype, like.name)
    tensor.made_by = like.made_by
    return tensor


def _distinct(outputs: Any, inputs: Iterable[SymbolicTensor]) -> Any:
    """Let no output be an input, or come twice: each has a gradient of its own."""
    leaves = flatten(outputs)
    if not leaves:
        raise TypeError("a model must have at least one output")
    taken = {id(tensor) for tensor in inputs}
    for i, leaf in enumerate(leaves):
        if not isinstance(leaf, SymbolicTensor):
            raise TypeError(f"a model must return symbolic tensors, got {type(leaf).__name__}")
        if not leaf.has_batch:
            raise TypeError("a model's output must depend on its inputs, got one of weights alone")
        if id(leaf) in taken:
            first = all(leaf is not other for other in leaves[:i])
            copy = record(IdentityOp() if first else ActivationOp("linear", {}), [leaf])
            copy.name, copy.made_by = leaf.name, leaf.made_by
            leaves[i] = copy
        taken.add(id(leaf))
    return pack_like(outputs, leaves)


def check_weights_held(graph: Graph, held: Iterable[Variable]) -> None:
    """Raise ValueError where the graph reads a weight that is not among these."""
    known = {id(variable) for variable in held}
    for node in nodes_between(graph.input_list, graph.output_list):
        if any(id(variable) not in known for variable in node.op.variables()):
            raise ValueError(
                f"layer {node.owner!r} uses weights that it does not hold: make layers and "
                "weights in __init__ or build() and keep them as attributes"
            )

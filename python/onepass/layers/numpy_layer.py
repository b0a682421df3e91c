"""Layers that are written in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onepass.engine.graph import Shape, record, recording
from onepass.engine.ops import HostOp
from onepass.engine.storage import Floats
from onepass.engine.structure import flatten
from onepass.layers.layer import Layer


class NumpyLayer(Layer):
    """A layer whose forward and backward pass are the subclass's own NumPy code.

    The plan calls them, under Python's lock, between its kernels: for what no operation of onepass
    can say. Weights made with ``add_weight`` in ``build`` are trained with the gradients that
    ``backward`` returns; read them with ``self.weight.numpy()``.

    Examples
    --------
    >>> import numpy as np, onepass
    >>> class Sine(onepass.layers.NumpyLayer):
    ...     def forward(self, x):
    ...         return np.sin(x)
    ...     def backward(self, x, y, dy):
    ...         return dy * np.cos(x)
    >>> float(Sine()(np.zeros((1, 3)))[0, 0])
    0.0
    """

    def forward(self, *inputs: Any) -> Any:
        """Return the output, (n, ...), for inputs with the batch dimension."""
        raise NotImplementedError(f"{type(self).__name__} does not override forward()")

    def backward(self, *arguments: Any) -> Any:
        """Return the gradient of the inputs, then of the weights.

        Parameters
        ----------
        *arguments : the inputs, the output, the gradient of the output
            All (n, ...).

        Returns
        -------
        gradients : array, or tuple of one for each input and then for each weight
            Of the same shapes.
        """
        raise NotImplementedError(f"{type(self).__name__} does not override backward()")

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """Return the shape of a batch of outputs; by default found out with a sample of zeros."""
        shapes = _shapes_in(input_shape)
        zeros = [np.zeros((1, *(dim or 0 for dim in shape[1:])), self.dtype) for shape in shapes]
        with np.errstate(all="ignore"):
            output = np.asarray(self.forward(*zeros))
        if output.ndim == 0 or len(output) != 1:
            raise ValueError(
                f"layer {self.name!r}: forward must return an array of as many samples as it gets, "
                f"got shape {output.shape} for one"
            )
        batch = any(shape[0] is None for shape in shapes)  # else they are made of weights alone
        return (None if batch else shapes[0][0], *output.shape[1:])

    def call(self, inputs: Any) -> Any:
        tensors = flatten(inputs)
        shapes = [tensor.shape for tensor in tensors]
        with recording(False):
            shape = self.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
        op = HostOp(self.name, self.forward, self._gradients, shape, self._variables)
        return record(op, tensors)

    def _gradients(self, inputs: list[Floats], output: Floats, gradient: Floats) -> Sequence[Any]:
        result = self.backward(*inputs, output, gradient)
        return result if isinstance(result, (tuple, list)) else [result]


def _is_shape(value: Any) -> bool:
    return not isinstance(value, dict) and all(dim is None or isinstance(dim, int) for dim in value)


def _shapes_in(shapes: Any) -> list[Shape]:
    """Return the shapes of a list, tuple or dict of them, in the order of ``flatten``."""
    if _is_shape(shapes):
        return [shapes]
    items = [shapes[key] for key in sorted(shapes)] if isinstance(shapes, dict) else shapes
    return [shape for item in items for shape in _shapes_in(item)]

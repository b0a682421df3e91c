"""A model that is a list of layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from onepass import config
from onepass.engine.graph import SymbolicTensor, input_tensor, nodes_between
from onepass.layers.input import InputLayer
from onepass.layers.layer import Layer, sample_shape, unique_name
from onepass.models.model import Model


class Sequential(Model):
    """Layers applied one after another.

    Parameters
    ----------
    layers : sequence of Layer, optional
        The first may be ``Input(shape)`` (or carry ``input_shape=``); without either, the model is
        built when it first sees data.
    name : str, optional

    Examples
    --------
    >>> import onepass
    >>> model = onepass.Sequential([onepass.Input([8]), onepass.layers.Dense(1)])
    >>> model.count_params()
    9
    """

    def __init__(
        self,
        layers: Iterable[Layer | SymbolicTensor | InputLayer] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name or unique_name("sequential"))
        self._layers: list[Layer] = []
        self._input_tensor: SymbolicTensor | None = None
        self._recorded: tuple[SymbolicTensor, SymbolicTensor] | None = None
        if layers is not None and not isinstance(layers, Iterable):
            raise TypeError(f"Sequential: layers must be a list, got {layers!r}")
        for layer in layers or ():
            self._append(layer)
        self._record_if_possible()

    # -- layers ----------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, the input not counted."""
        return list(self._layers)

    def add(self, layer: Layer | SymbolicTensor | InputLayer) -> None:
        """Append a layer.

        Raises
        ------
        TypeError
            If it is not a layer.
        ValueError
            If its name is taken, it is an input but not first, or it does not fit the one before.
        """
        before = (list(self._layers), self._input_tensor, self._recorded)
        try:
            self._append(layer)
            self._changed()
        except BaseException:
            self._layers, self._input_tensor, self._recorded = before
            raise

    def pop(self) -> Layer:
        """Remove and return the last layer."""
        if not self._layers:
            raise ValueError("pop: the model has no layers")
        layer = self._layers.pop()
        self._changed()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, InputLayer):
            layer = input_tensor(layer.shape, layer.dtype or config.floatx(), layer.name)
        if isinstance(layer, SymbolicTensor):
            if layer.node is not None:
                raise ValueError("Sequential: add layers, not the output of calling a layer")
            if self._layers or self._input_tensor is not None:
                raise ValueError("Sequential: an input must come first, and only once")
            self._input_tensor = layer
            return
        if not isinstance(layer, Layer):
            hint = "; pass an instance, made with ()" if isinstance(layer, type) else ""
            raise TypeError(f"Sequential: expected a layer, got {layer!r}{hint}")
        if any(other.name == layer.name for other in self._layers):
            raise ValueError(f"Sequential: a layer named {layer.name!r} is there already")
        if not self._layers and self._input_tensor is None and layer.input_shape_argument:
            self._input_tensor = input_tensor(
                layer.input_shape_argument, layer.dtype, unique_name("input_layer")
            )
        self._layers.append(layer)

    def _changed(self) -> None:
        self._recorded = None
        self.forget_plans()
        self._record_if_possible()

    # -- building --------------------------------------------------------------------------------

    @property
    def built(self) -> bool:
        """Whether the shapes are known and all weights exist."""
        return self._recorded is not None

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        """Create all weights.

        Parameters
        ----------
        input_shape : sequence, optional
            With the batch dimension first, as in Keras: ``(None, 8)``. Not needed behind
            ``Input``.
        """
        if input_shape is not None:
            sample = tuple(dim if dim is not None else 0 for dim in input_shape[1:])
            if self.built and sample != self.input_shape[1:]:
                raise ValueError(
                    f"build: the model is built for inputs of shape {self.input_shape}, "
                    f"got {tuple(input_shape)}"
                )
            self.build_for(sample)
        elif not self.built:
            raise ValueError("build: give input_shape=(None, ...), or begin with Input(shape)")

    def build_for(self, sample: tuple[int, ...]) -> None:
        """Build for samples of this shape if that was not done yet."""
        if self.built:
            return
        shape = sample_shape(sample)
        dtype = self._layers[0].dtype if self._layers else config.floatx()
        self._input_tensor = input_tensor(shape, dtype, unique_name("input_layer"))
        try:
            self._record_if_possible()
        except BaseException:
            self._input_tensor = None
            raise
        if not self.built:
            raise ValueError("build: the model has no layers")

    def _record_if_possible(self) -> None:
        if self._input_tensor is None or not self._layers:
            return
        tensor: Any = self._input_tensor
        for layer in self._layers:
            if layer.dtype != tensor.dtype:
                raise TypeError(
                    f"layer {layer.name!r} computes in {layer.dtype}, its input is {tensor.dtype}; "
                    "give both the same dtype= or use config.set_floatx"
                )
            tensor = layer(tensor)
        held = {id(variable) for variable in self.variables}
        for node in nodes_between([self._input_tensor], [tensor]):
            if any(id(variable) not in held for variable in node.op.variables()):
                raise ValueError(
                    f"layer {node.owner!r} uses weights that it does not hold: make layers and "
                    "weights in __init__ or build() and keep them as attributes"
                )
        self._recorded = (self._input_tensor, tensor)

    def graph(self) -> tuple[SymbolicTensor, SymbolicTensor]:
        """Return the recorded input and output."""
        self.require_built()
        assert self._recorded is not None
        return self._recorded

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch of inputs."""
        return self.graph()[0].shape

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of a batch of outputs."""
        return self.graph()[1].shape

    def __repr__(self) -> str:
        return f"<Sequential name={self.name!r} built={self.built}>"

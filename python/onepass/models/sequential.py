"""A model that is a list of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from onepass.engine.changes import structure_changed
from onepass.engine.graph import LayerCall, SymbolicTensor
from onepass.layers.input import InputLayer
from onepass.layers.layer import Layer
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
        layers: Iterable[Layer | SymbolicTensor] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        self.__layers: list[Layer] = []
        self._recorded_calls: dict[Layer, LayerCall | None] = {}
        super().__init__(name=name, trainable=trainable)
        if layers is not None and not isinstance(layers, Iterable):
            raise TypeError(f"Sequential: layers must be a list, got {layers!r}")
        for layer in layers or ():
            self._append(layer)
        self._record_if_possible()

    # -- layers ----------------------------------------------------------------------------------

    def sublayers(self) -> Iterator[Layer]:
        return iter(self.__layers)

    def add(self, layer: Layer | SymbolicTensor) -> None:
        """Append a layer.

        Raises
        ------
        TypeError
            If it is not a layer.
        ValueError
            If its name is taken, it is an input but not first, or it does not fit the one before.
        """
        before = (list(self.__layers), self._inputs, self._graph, self.built)
        try:
            self._append(layer)
            self._changed()
        except BaseException:
            self.__layers, self._inputs, self._graph, self.built = before
            structure_changed()
            raise

    def pop(self) -> Layer:
        """Remove and return the last layer."""
        if not self.__layers:
            raise ValueError("pop: the model has no layers")
        layer = self.__layers.pop()
        self._changed()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, InputLayer):
            layer = layer.tensor()
        if isinstance(layer, SymbolicTensor):
            if layer.node is not None:
                raise ValueError("Sequential: add layers, not the output of calling a layer")
            if self.__layers or self._inputs is not None:
                raise ValueError("Sequential: an input must come first, and only once")
            self._inputs = layer
            return
        if not isinstance(layer, Layer):
            hint = "; pass an instance, made with ()" if isinstance(layer, type) else ""
            raise TypeError(f"Sequential: expected a layer, got {layer!r}{hint}")
        if any(other.name == layer.name for other in self.__layers):
            raise ValueError(f"Sequential: a layer named {layer.name!r} is there already")
        if not self.__layers and self._inputs is None:
            self._inputs = _input_of(layer)
        self.__layers.append(layer)

    def _changed(self) -> None:
        self._graph, self.built = None, False
        structure_changed()
        self.forget_plans()
        self._record_if_possible()

    # -- building --------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        for layer in self.__layers:
            inputs = layer(inputs)
        return inputs

    def build(self, input_shape: Any = None) -> None:
        if self.__layers:
            self.dtype = self.__layers[0].dtype
        super().build(input_shape)

    def check_built_for(self, input_shape: Any) -> None:
        if input_shape is None:
            return
        sample = tuple(dim if dim is not None else 0 for dim in input_shape[1:])
        if sample != self.input_shape[1:]:
            raise ValueError(
                f"build: the model is built for inputs of shape {self.input_shape}, "
                f"got {tuple(input_shape)}"
            )

    def _record_for(self, inputs: Any) -> None:
        if not self.__layers:
            raise ValueError("build: the model has no layers")
        for layer, call in self._recorded_calls.items():  # of a shorter model, on other tensors
            layer.forget_call(call)
        super()._record_for(inputs)
        self.dtype = inputs.dtype
        self._recorded_calls = {layer: layer.first_call for layer in self.__layers}

    def _record_if_possible(self) -> None:
        if self._inputs is not None and self.__layers:
            self._record_for(self._inputs)
            self.built = True


def _input_of(layer: Layer) -> Any:
    """Return the input that the first layer of a model knows of, if any."""
    if isinstance(layer, Model) and layer.built:
        (known,) = layer.inputs
        return InputLayer(known.shape[1:], dtype=known.dtype).tensor()
    if layer.input_shape_argument:
        return InputLayer(layer.input_shape_argument, dtype=layer.dtype).tensor()
    return None

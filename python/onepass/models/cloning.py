"""Models again, with new weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onepass.engine.structure import flatten, map_structure
from onepass.layers.input import InputLayer
from onepass.layers.layer import Layer
from onepass.models.model import Model
from onepass.models.sequential import Sequential


def clone_model(
    model: Model,
    input_tensors: Any = None,
    clone_function: Callable[[Layer], Layer] | None = None,
) -> Model:
    """Return a model of the same layers with new weights, not compiled.

    Parameters
    ----------
    model : Sequential or functional Model
        Layers come back from their configurations; nested models are cloned as well.
    input_tensors : symbolic tensors, optional
        Inputs of the clone, in the model's structure; by default new ones like the model's.
    clone_function : callable(Layer) -> Layer, optional
        Makes a clone's layer; by default ``type(layer).from_config(layer.get_config())``.

    Raises
    ------
    TypeError
        If the model is a subclass whose layers only its own code connects.
    """
    make = clone_function or _same_layer
    if isinstance(model, Sequential):
        return _clone_sequential(model, input_tensors, make)
    if model.network is None:
        raise TypeError(
            f"clone_model: {type(model).__name__} is a subclass; only Sequential and functional "
            "models can be cloned, make another instance instead"
        )
    inputs = input_tensors
    if inputs is None:
        inputs = map_structure(_new_input, model.network.inputs)
    clones: dict[int, Layer] = {}
    for layer in model.layers:
        if not isinstance(layer, InputLayer):
            clones[id(layer)] = make(layer)
    outputs = model.network.replayed(inputs, clones)
    return Model(inputs, outputs, name=model.name)


def _clone_sequential(
    model: Sequential, input_tensors: Any, make: Callable[[Layer], Layer]
) -> Sequential:
    clone = Sequential(name=model.name)
    if input_tensors is not None:
        (start,) = flatten(input_tensors)
        clone.add(start)
    elif model.built:
        clone.add(_new_input(model.inputs[0]))
    for layer in model.layers:
        clone.add(make(layer))
    return clone


def _same_layer(layer: Layer) -> Layer:
    if isinstance(layer, Model):
        return clone_model(layer)
    return type(layer).from_config(layer.get_config())


def _new_input(tensor: Any) -> Any:
    return InputLayer(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name).tensor()

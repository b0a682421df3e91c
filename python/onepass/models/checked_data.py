"""A user's data against what a model reads: one array for each input, target and weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onepass.engine.batching import is_stream
from onepass.engine.feeding import (
    Array,
    Samples,
    arranged,
    dense_target,
    index_target,
    input_array,
    same_length,
    sample_weights,
    samples_of,
)
from onepass.engine.structure import flatten, is_nested, map_structure
from onepass.models.building import undone_on_error
from onepass.models.compiled import NO_LOSS, Compiled
from onepass.models.objectives import output_names, per_output


class CheckedData(Compiled):
    """A model that checks what it is fed; the first data builds it."""

    def checked_samples(
        self, x: Any, y: Any, sample_weight: Any = None, prefix: str = ""
    ) -> Samples:
        """Check data to train or evaluate on; build the model if that was not done yet."""
        if is_stream(x):
            raise TypeError(
                f"{prefix}x must hold samples here, got a {type(x).__name__} of batches"
            )
        if y is None:
            _check_no_batches(x, f"{prefix}x")
            raise ValueError(f"{prefix}y is missing: this model needs targets")
        if self.loss is None:
            raise ValueError(NO_LOSS.format(self.name))
        with undone_on_error(self):  # built for good only if the data are right
            return self._checked(x, y, sample_weight, prefix)

    def _checked(self, x: Any, y: Any, sample_weight: Any, prefix: str) -> Samples:
        inputs = self.input_arrays(x, prefix + "x")
        targets = self._targets(y, prefix + "y")
        weights = self._weights(sample_weight, targets)
        samples = Samples(inputs, targets, weights)
        count = len(samples)
        if any(len(array) != count for array, _ in samples.feed.sources):
            self._refuse_lengths(samples, prefix)
        if count == 0:
            raise ValueError(f"{prefix}x holds no samples")
        return samples

    def _refuse_lengths(self, samples: Samples, prefix: str) -> None:
        names = output_names(self.graph())
        arrays: dict[str, Array | None] = {f"{prefix}x": samples.inputs[0]}
        if len(samples.inputs) > 1:
            arrays = {f"{prefix}x[{i}]": array for i, array in enumerate(samples.inputs)}
        for kind, given in ((f"{prefix}y", samples.targets), ("sample_weight", samples.weights)):
            for name, array in zip(names, given, strict=True):
                arrays[kind if len(names) == 1 else f"{kind}[{name!r}]"] = array
        same_length(**arrays)

    def class_weighted(self, samples: Samples, class_weight: Mapping[int, float]) -> Samples:
        """Return samples whose weights are multiplied by those of their classes."""
        any_label = self.objectives()[0].any_label
        return samples.class_weighted(class_weight, self.graph().output_list, any_label)

    def input_arrays(self, x: Any, name: str = "x") -> list[Array]:
        """Return an array for each input, building the model for them if need be."""
        self.prepare_for(lambda: _shapes_of(x, name))
        inputs = self.graph().inputs
        tensors = flatten(inputs)
        if len(tensors) == 1 and not isinstance(x, Mapping):
            return [input_array(x, tensors[0], name)]
        names = [tensor.name for tensor in tensors]
        arrays = arranged(x, inputs, names, name, spare=True)
        labels = [f"{name}[{i}]" for i in range(len(arrays))]
        return [
            input_array(array, tensor, label)
            for array, tensor, label in zip(arrays, tensors, labels, strict=True)
        ]

    def _targets(self, y: Any, name: str) -> list[Array | None]:
        graph, objectives = self.graph(), self.objectives()
        names = [objective.name for objective in objectives]
        if len(names) > 1:
            if isinstance(y, Mapping):  # outputs that are not trained may be left out
                unread = {own.name: None for own in objectives if not own.has_target}
                y = {**unread, **y}
            y = arranged(y, graph.outputs, names, name)
            labels = [f"{name}[{own!r}]" for own in names]
        else:
            y, labels = [y.get(names[0]) if isinstance(y, Mapping) else y], [name]
        targets: list[Array | None] = []
        for given, tensor, objective, label in zip(
            y, graph.output_list, objectives, labels, strict=True
        ):
            if not objective.has_target:
                targets.append(None)
            elif objective.sparse:
                targets.append(index_target(given, tensor, label, objective.any_label))
            else:
                targets.append(dense_target(given, tensor, label))
        return targets

    def _weights(self, sample_weight: Any, targets: list[Array | None]) -> list[Array | None]:
        if sample_weight is None:
            return [None] * len(targets)
        tensors = self.graph().output_list
        names = output_names(self.graph())
        given = [sample_weight] * len(names)
        if len(names) > 1 and isinstance(sample_weight, (list, tuple, Mapping)):
            given = per_output(sample_weight, names, "sample_weight")
        return [
            None if target is None else sample_weights(target, weight, tensor)
            for target, weight, tensor in zip(targets, given, tensors, strict=True)
        ]


def _check_no_batches(x: Any, name: str) -> None:
    """Raise TypeError for what was meant to bring batches but does not."""
    if callable(x) and not hasattr(x, "__array__"):
        kind = getattr(x, "__name__", type(x).__name__)
        raise TypeError(f"{name} is a function: call it, {kind}(), to pass on what it generates")
    items = x if isinstance(x, (list, tuple)) else ()
    if items and all(isinstance(item, tuple) and len(item) in (2, 3) for item in items):
        raise TypeError(
            f"{name} is a {type(x).__name__} of batches (x, y): pass iter(...) of it for one "
            "epoch, a generator for several, or join the batches with np.concatenate"
        )


def _shapes_of(x: Any, name: str) -> Any:
    """Return the shape of a batch, or a structure of shapes, that a model is built for."""
    if isinstance(x, Mapping) or (is_nested(x) and any(hasattr(item, "shape") for item in x)):
        return map_structure(lambda item: _batch_shape(samples_of(item, name)), x)
    return _batch_shape(samples_of(x, name))


def _batch_shape(array: Array) -> tuple[int | None, ...]:
    return (None, *(array.shape[1:] or (1,)))

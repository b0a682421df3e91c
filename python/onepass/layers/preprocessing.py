"""Layers that are adapted to data before training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from onepass.engine.batching import is_stream, unpacked
from onepass.engine.feeding import samples_of
from onepass.engine.graph import Shape
from onepass.engine.ops import BatchNormOp
from onepass.engine.storage import Floats, Variable
from onepass.layers.layer import Layer
from onepass.layers.normalization import record_by_columns
from onepass.layers.shapes import check_columns

_SMALLEST_DEVIATION = 1e-7


class Normalization(Layer):
    """``(x - mean) / deviation`` by columns, with the mean and variance of data seen before.

    Parameters
    ----------
    axis : int or None, default -1
        The last dimension, whose columns have statistics of their own; None for one mean and one
        variance of all.
    mean, variance : float or (columns,) floats, optional
        Both or neither; without them ``adapt`` finds them.
    invert : bool, default False
        Only False.
    **kwargs
        See ``Layer``.

    Attributes
    ----------
    mean, variance : (columns,) floats or None
        As they were given, or found by ``adapt``; 0 and 1 once the layer is built without either.
    adapt_mean, adapt_variance : Variable (columns,), not trainable
    count : Variable (), not trainable
        Always 0, as in Keras's layer it counts nothing any more.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Notes
    -----
    A column without variance becomes 0: a deviation is at least 1e-7.

    Examples
    --------
    >>> import numpy as np, onepass
    >>> layer = onepass.layers.Normalization()
    >>> layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> layer(np.array([[3.0, 10.0]])).tolist()
    [[1.0, -1.0]]
    """

    adapt_mean: Variable
    adapt_variance: Variable

    def __init__(
        self,
        axis: int | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, (tuple, list)) and len(axis) == 1:
            (axis,) = axis
        if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int)):
            raise TypeError(f"Normalization: axis must be an int or None, got {axis!r}")
        if invert:
            raise ValueError("Normalization: invert=True is not supported")
        if (mean is None) != (variance is None):
            raise ValueError("Normalization: give both mean and variance, or neither")
        self.axis = axis
        self._given = None
        if mean is not None:
            self._given = _statistic(mean, "mean"), _statistic(variance, "variance")
            if (self._given[1] < 0).any():
                raise ValueError(f"Normalization: variance must be at least 0, got {variance!r}")

    @property
    def mean(self) -> Floats | None:
        """What is subtracted, as it was given or found in data; None before."""
        if self._given is not None:
            return self._given[0].copy()
        return self.adapt_mean.numpy() if self.built else None

    @property
    def variance(self) -> Floats | None:
        """The variance, as it was given or found in data; None before."""
        if self._given is not None:
            return self._given[1].copy()
        return self.adapt_variance.numpy() if self.built else None

    def build(self, input_shape: Shape) -> None:
        columns = input_shape[-1]
        if len(input_shape) < 2 or columns is None:
            raise ValueError(
                f"layer {self.name!r}: Normalization needs inputs of shape (batch, ..., columns), "
                f"got {input_shape}"
            )
        if self.axis not in (None, -1, len(input_shape) - 1):
            raise ValueError(
                f"layer {self.name!r}: axis must be the last one or None, got {self.axis} for "
                f"inputs of shape {input_shape}"
            )
        if self._given is not None:
            mean, variance = self._given
            try:
                self._constants = tuple(np.broadcast_to(value, (columns,)) for value in self._given)
            except ValueError:
                raise ValueError(
                    f"layer {self.name!r}: mean and variance must be numbers or have {columns} "
                    f"columns, got shapes {mean.shape} and {variance.shape}"
                ) from None
            return
        shape = (columns,)
        self.adapt_mean = self.add_weight(shape, "zeros", "mean", trainable=False)
        self.adapt_variance = self.add_weight(shape, "ones", "variance", trainable=False)
        self.count = self.add_weight((), "zeros", "count", trainable=False)

    def adapt(self, data: Any) -> None:
        """Take the mean and variance of data, whatever the layer was adapted to before.

        Parameters
        ----------
        data : (n, ..., columns) array, or what brings batches of such arrays

        Raises
        ------
        TypeError, ValueError
            If the data are not numbers, hold no samples, or do not fit the layer.
        """
        if self._given is not None:
            raise ValueError(
                f"layer {self.name!r} was given its mean and variance: nothing to adapt"
            )
        mean, variance, shape = _statistics(data, by_column=self.axis is not None)
        if not self.built:
            self.build((None, *shape))
        columns = self.adapt_mean.shape
        if shape[-1:] != columns:
            raise ValueError(
                f"layer {self.name!r} was built for {columns[0]} columns, got data of shape "
                f"(n, {', '.join(map(str, shape))})"
            )
        self.adapt_mean.assign(np.broadcast_to(mean, columns))
        self.adapt_variance.assign(np.broadcast_to(variance, columns))

    def call(self, inputs: Any) -> Any:
        if self._given is not None:
            mean, variance = self._constants
            check_columns(self.name, len(mean), inputs.shape)
            return (inputs - mean) * (1.0 / np.maximum(np.sqrt(variance), _SMALLEST_DEVIATION))
        op = BatchNormOp(
            None,
            None,
            self.adapt_mean,
            self.adapt_variance,
            epsilon=_SMALLEST_DEVIATION**2,
            momentum=1.0,
            training=False,
        )
        return record_by_columns(op, inputs, self.name)

    def get_config(self) -> dict[str, Any]:
        mean, variance = self._given or (None, None)
        given = {
            name: None if value is None else value.tolist()
            for name, value in (("mean", mean), ("variance", variance))
        }
        return {**super().get_config(), "axis": self.axis, "invert": False, **given}


def _statistic(value: Any, name: str) -> Floats:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.ndim > 1:
        raise TypeError(
            f"Normalization: {name} must be a number or a row of numbers, got {value!r}"
        )
    return array.astype(np.float64)


def _batches(data: Any) -> Iterator[Any]:
    """Yield data in arrays: what a stream brings, or parts that need little memory in float64."""
    if is_stream(data):
        items: Iterable[Any] = data
        for item in items:
            yield samples_of(unpacked(item)[0], "data")
        return
    array = samples_of(data, "data")
    array = array[:, None] if array.ndim == 1 else array
    rows = max(1, (1 << 22) // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def _statistics(data: Any, by_column: bool) -> tuple[Floats, Floats, tuple[int, ...]]:
    """Return mean, variance and the shape of a sample; by Chan's rule for joining parts.

    Chan, Golub and LeVeque, Algorithms for Computing the Sample Variance, 1983.
    """
    count = 0
    mean = spread = np.zeros(())  # spread: sum of squared distances from the mean
    shape: tuple[int, ...] = ()
    for array in _batches(data):
        part = np.asarray(array, np.float64)
        if part.size == 0:
            continue
        axes = tuple(range(part.ndim - 1)) if by_column else tuple(range(part.ndim))
        own = part.mean(axis=axes)
        own_count = part.size // own.size
        distance, total = own - mean, count + own_count
        spread = (
            spread + ((part - own) ** 2).sum(axis=axes) + distance**2 * (count * own_count / total)
        )
        mean = mean + distance * (own_count / total)
        count, shape = total, part.shape[1:]
    if count == 0:
        raise ValueError("adapt: the data hold no samples")
    return mean, spread / count, shape

"""What a metric of the user's own keeps from batch to batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from onepass import initializers


class MetricVariable(NDArrayOperatorsMixin):
    """An array that is overwritten in place, as Keras's variables are; NumPy takes it as an array.

    Made by ``Metric.add_weight``.

    Attributes
    ----------
    array : the values themselves
    """

    def __init__(self, shape: Any, initializer: Any, dtype: str, name: str) -> None:
        size = (shape,) if isinstance(shape, int) else tuple(shape)
        values = initializers.get(initializer)(size, dtype="float64")
        self.array = np.array(np.broadcast_to(np.asarray(values), size), dtype)
        self.name = name

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the values."""
        return self.array.shape

    @property
    def dtype(self) -> str:
        """Name of the values' type."""
        return self.array.dtype.name

    @property
    def value(self) -> Any:
        """A copy of the values."""
        return self.numpy()

    def numpy(self) -> Any:
        """Return a copy of the values, a NumPy number where the shape is ()."""
        return self.array.copy()[()]

    def assign(self, value: Any) -> MetricVariable:
        """Overwrite the values.

        Raises
        ------
        ValueError
            If the value has another shape.
        """
        self.array[...] = self._fitting(value)
        return self

    def assign_add(self, value: Any) -> MetricVariable:
        """Add to the values."""
        return self.assign(self.array + self._fitting(value))

    def assign_sub(self, value: Any) -> MetricVariable:
        """Subtract from the values."""
        return self.assign(self.array - self._fitting(value))

    def _fitting(self, value: Any) -> Any:
        given = np.asarray(value)
        if given.shape not in ((), self.shape):
            raise ValueError(
                f"metric variable {self.name!r} has shape {self.shape}, got a value of shape "
                f"{given.shape}"
            )
        return given

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.array, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [x.array if isinstance(x, MetricVariable) else x for x in inputs]
        targets = kwargs.get("out", ())
        if targets:
            kwargs["out"] = tuple(x.array if isinstance(x, MetricVariable) else x for x in targets)
        result = getattr(ufunc, method)(*plain, **kwargs)
        return targets[0] if len(targets) == 1 else result

    def __getitem__(self, key: Any) -> Any:
        return self.array[key]

    def __len__(self) -> int:
        return len(self.array)

    def __float__(self) -> float:
        return float(self.array)

    def __int__(self) -> int:
        return int(self.array)

    def __bool__(self) -> bool:
        return bool(self.array)

    def __repr__(self) -> str:
        return f"<MetricVariable {self.name!r} value={self.array}>"

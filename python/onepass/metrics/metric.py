"""What all metrics share: sums that batches are added to, in a model's plan or one of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from onepass import _checks, config
from onepass._names import to_snake_case
from onepass.engine.measuring import add_rows, metric_plan
from onepass.layers.layer import unique_name
from onepass.metrics.state import MetricVariable

if TYPE_CHECKING:
    from onepass.engine.lowering import Lowering
    from onepass.engine.objective import ObjectiveBuffers
    from onepass.engine.plan import Plan
    from onepass.engine.storage import Floats

_DTYPES = ("float32", "float64")


class Metric:
    """A number, or a few, that batches of targets and predictions are summed up for.

    A subclass of one's own overrides ``update_state`` and ``result`` with NumPy, and keeps what it
    counts in variables made by ``add_weight``, which ``reset_state`` sets to 0. In a model it is
    called with each batch under Python's lock, and reset in front of each epoch and evaluation.

    Those of the library say how many float64 sums they need, emit the calls that add a batch to
    them, and say what they mean. A model in which they are listed has sums of its own; called on
    arrays, they make the same calls.

    Parameters
    ----------
    dtype : {"float32", "float64"}, optional
        What predictions are converted to that are neither; by default ``config.floatx()``. When
        given, all are.
    name : str, optional
        Key in logs; by default the class's name with a number.

    Attributes
    ----------
    reads_index : bool
        Whether targets are class indices, not rows like the prediction.
    elementwise : bool
        Whether each element of a prediction of one dimension is a sample, rather than all a row.

    Examples
    --------
    >>> import numpy as np, onepass
    >>> class Worst(onepass.metrics.Metric):
    ...     def __init__(self, name="worst", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self.worst = self.add_weight(name="worst", initializer="zeros")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.worst.assign(max(self.worst, np.abs(y_true - y_pred).max()))
    ...     def result(self):
    ...         return self.worst
    >>> float(Worst()(np.array([1.0, 2.0]), np.array([1.5, 2.0])))
    0.5
    """

    _direction: Literal["up", "down"] | None = None  # which way is better, as in Keras
    reads_index = False
    any_label = False
    elementwise = False

    def __init__(self, dtype: str | None = None, name: str | None = None) -> None:
        if dtype not in (None, *_DTYPES):
            raise ValueError(
                f"{type(self).__name__}: dtype must be 'float32' or 'float64', got {dtype!r}"
            )
        if name is not None and not isinstance(name, str):
            raise TypeError(
                f"{type(self).__name__}: name must be a string, got {type(name).__name__}"
            )
        self.name = name or unique_name(to_snake_case(type(self).__name__))
        self._dtype = dtype
        self._sums: Floats | None = None
        self._plans: dict[tuple[int, bool, bool], Plan] = {}
        self._own: list[MetricVariable] = []

    # -- what a subclass says ----------------------------------------------------------------------

    def state_size_for(self, cols: int) -> int:
        """Return how many sums there are for an output of so many columns."""
        return 2

    def lower(self, low: Lowering, at: ObjectiveBuffers, sums: int) -> None:
        """Emit the calls that add a batch to the sums, which begin at number ``sums``."""
        raise NotImplementedError(
            f"metric {self.name!r} of class {type(self).__name__} must override "
            "update_state(y_true, y_pred, sample_weight=None) and result()"
        )

    def result_of(self, sums: Floats) -> Any:
        """Return the metric's value, a number or an array, given its sums."""
        raise NotImplementedError(f"{type(self).__name__} must define result_of or result")

    @property
    def on_host(self) -> bool:
        """Whether a subclass's own Python counts, and not the calls that ``lower`` emits."""
        order = type(self).__mro__
        own = next(i for i, cls in enumerate(order) if "lower" in vars(cls))
        return any(name in vars(cls) for cls in order[:own] for name in ("update_state", "result"))

    # -- on arrays ---------------------------------------------------------------------------------

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch.

        Parameters
        ----------
        y_true : shape of y_pred, or without its last dimension where that is 1 or where targets are
            class indices
        y_pred : (n, ..., c) numbers; (n,) or (c,) too, see ``elementwise``
        sample_weight : a number, (n,) or one number a row of y_pred, optional

        Raises
        ------
        TypeError, ValueError, IndexError
            If something is no array of numbers, shapes do not fit or a class does not exist; the
            state is as before.
        """
        given = self._prediction(y_pred)
        target = self._target(y_true, given)
        prediction = given
        if given.ndim == 1:
            prediction = given[:, None] if self.elementwise else given[None]
        rows = prediction.shape[:-1]
        weights = _row_weights(sample_weight, rows)
        cols = prediction.shape[-1]
        size = self.state_size_for(cols)
        if self._sums is not None and self._sums.size != size:
            raise ValueError(
                f"metric {self.name!r} has counted rows of another length than the {cols} of "
                "y_pred; call reset_state() first"
            )
        key = (cols, prediction.dtype == np.float64, weights is not None)
        if key not in self._plans:
            self._plans[key] = metric_plan(self, *key)
        if self._sums is None:
            self._sums = np.zeros(size)
        flat = target.reshape(-1) if self.reads_index else target.reshape(-1, cols)
        arrays = [flat, prediction.reshape(-1, cols)]
        if weights is not None:
            arrays.append(weights.reshape(-1))
        add_rows(self._plans[key], [np.ascontiguousarray(a) for a in arrays], self._sums)

    def result(self) -> Any:
        """Return the value for all batches since the last ``reset_state``.

        Returns
        -------
        value : NumPy float64, or an array of them for a metric of several numbers
        """
        sums = np.zeros(self.state_size_for(1)) if self._sums is None else self._sums
        value = self.result_of(sums)
        return value if isinstance(value, np.ndarray) and value.ndim else np.float64(value)

    def reset_state(self) -> None:
        """Forget all batches: variables become 0."""
        self._sums = None
        for variable in self._own:
            variable.assign(0)

    # -- variables of one's own --------------------------------------------------------------------

    def add_variable(
        self,
        shape: int | Sequence[int],
        initializer: Any = "zeros",
        dtype: str | None = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> MetricVariable:
        """Return a new variable, which ``reset_state`` sets to 0.

        Parameters
        ----------
        shape : int or sequence of int
        initializer : str, dict or callable, default "zeros"
        dtype : str, optional
            Default float64, whatever the metric's: sums of many batches need it.
        aggregation : Keras's, without effect
        name : str, optional
        """
        name = name or f"variable_{len(self._own)}"
        self._own.append(MetricVariable(shape, initializer, dtype or "float64", name))
        return self._own[-1]

    def add_weight(
        self,
        shape: int | Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: str | None = None,
        name: str | None = None,
    ) -> MetricVariable:
        """Return a new variable, by default one number; see ``add_variable``."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[MetricVariable]:
        """What ``add_weight`` and ``add_variable`` made, in order."""
        return list(self._own)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch, as ``update_state``, and return the value for all so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def _prediction(self, y_pred: Any) -> Floats:
        array: Floats = _numbers(y_pred, "y_pred")
        if self._dtype is not None or array.dtype.name not in _DTYPES:
            array = array.astype(self.dtype)
        if array.ndim == 0:
            raise ValueError("y_pred must have a batch dimension, got a single number")
        return array

    def _target(self, y_true: Any, prediction: Floats) -> Any:
        array = _numbers(y_true, "y_true")
        if self.reads_index:
            return _indices(array, prediction, self.any_label)
        if _fits(array.shape, prediction.shape):
            return array.astype(prediction.dtype, copy=False)
        raise ValueError(
            f"y_true must have the shape {prediction.shape} of y_pred, got {array.shape}"
        )

    # -- configuration -----------------------------------------------------------------------------

    @property
    def dtype(self) -> str:
        """The float type that was given, or the default one."""
        return self._dtype or config.floatx()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self._dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a metric with these constructor's arguments."""
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_plans": {}}  # recorded anew

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _numbers(value: Any, name: str) -> Any:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def _fits(given: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether the shapes are equal, but for a last dimension of 1."""
    return given == wanted or (*given, 1) == wanted or given == (*wanted, 1)


def _indices(array: Any, prediction: Floats, any_label: bool) -> Any:
    shape = prediction.shape[:-1]
    if array.ndim == prediction.ndim and array.shape[-1] == 1:
        array = array[..., 0]
    if array.shape != shape:
        raise ValueError(
            f"y_true must hold class indices of shape {shape} for y_pred of shape "
            f"{prediction.shape}, got shape {array.shape}"
        )
    if array.dtype.kind == "f" and not np.array_equal(array, np.floor(array)):
        raise ValueError("y_true must hold whole class indices, got fractions or NaN")
    if any_label:
        _checks.in_int32(array, "y_true")
    else:
        _checks.in_range(array.astype(np.int64), "y_true", prediction.shape[-1])
    return array.astype(np.int32)


def _row_weights(given: Any, rows: tuple[int, ...]) -> Any:
    """Return one float64 weight a row."""
    if given is None:
        return None
    array = _numbers(given, "sample_weight").astype(np.float64)
    if array.ndim == len(rows) + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.shape not in ((), rows, rows[:1]):
        raise ValueError(
            f"sample_weight must be a number or of shape {rows[:1]}, one number a sample, "
            f"got shape {array.shape}"
        )
    shaped = array.reshape(array.shape + (1,) * (len(rows) - array.ndim))
    return np.broadcast_to(shaped, rows)


def ratio(numerator: Any, denominator: Any) -> Any:
    """Return numerator / denominator, 0 where that is 0."""
    top, bottom = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    nothing = bottom == 0.0
    return np.where(nothing, 0.0, top / np.where(nothing, 1.0, bottom))[()]

"""Calls the hooks of several callbacks; the fit loop asks it what is wanted at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from onepass.callbacks.callback import Callback, Logs

Mode = Literal["train", "test", "predict"]

_HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class CallbackList(Callback):
    """Callbacks, called one after another in order.

    Parameters
    ----------
    callbacks : Callback, iterable of Callback, or None
    model : model or None
    params : mapping or None
        Passed on to every callback.

    Raises
    ------
    TypeError
        If something is not a Callback; the message names its place.

    Notes
    -----
    Which hooks a callback overrides is looked up once, when it joins the list.
    """

    def __init__(
        self,
        callbacks: Callback | Iterable[Callback] | None = None,
        model: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.callbacks: list[Callback] = []
        self._hooks: dict[str, list[Callable[..., None]]] = {name: [] for name in _HOOKS}
        for i, callback in enumerate(_listed(callbacks)):
            self._join(callback, f"callbacks[{i}]")
        self.set_params(params)
        self.set_model(model)

    def append(self, callback: Callback) -> None:
        """Add a callback at the end, with the list's model and params."""
        self._join(callback, "callback")
        self._introduce(callback)

    def _join(self, callback: object, name: str) -> None:
        if isinstance(callback, type) and issubclass(callback, Callback):
            raise TypeError(
                f"{name} is the class {callback.__name__}; pass an instance of it, made with ()"
            )
        if not isinstance(callback, Callback):
            raise TypeError(
                f"{name} must be a onepass.callbacks.Callback, got {type(callback).__name__}"
            )
        self.callbacks.append(callback)
        for hook in _HOOKS:
            if _overrides(callback, hook):
                self._hooks[hook].append(getattr(callback, hook))

    def _introduce(self, callback: Callback) -> None:
        if self.params is not None:
            callback.set_params(self.params)
        if self.model is not None:
            callback.set_model(self.model)

    def set_params(self, params: Mapping[str, Any] | None) -> None:
        """Pass the parameters on to every callback, unless they are None."""
        super().set_params(params)
        if params is not None:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Pass the model on to every callback, unless it is None."""
        super().set_model(model)
        if model is not None:
            for callback in self.callbacks:
                callback.set_model(model)

    def __iter__(self) -> Iterator[Callback]:
        return iter(self.callbacks)

    def __len__(self) -> int:
        return len(self.callbacks)

    def wants(self, hook: str) -> bool:
        """Whether any callback overrides the hook of this name."""
        return bool(self._hooks[hook])

    def needs_batches(self, mode: Mode) -> bool:
        """Whether any callback overrides a batch hook of "train", "test" or "predict"."""
        return self.wants(f"on_{mode}_batch_begin") or self.wants(f"on_{mode}_batch_end")

    def batch_hooks(self, mode: Mode) -> tuple[Callable[..., None], Callable[..., None]]:
        """Return what to call at the begin and at the end of a batch."""
        return getattr(self, f"on_{mode}_batch_begin"), getattr(self, f"on_{mode}_batch_end")

    def _call(self, hook: str, *place: int, logs: Logs | None) -> None:
        methods = self._hooks[hook]
        if methods:
            logs = {} if logs is None else logs
            for method in methods:
                method(*place, logs)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._call("on_train_begin", logs=logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._call("on_train_end", logs=logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._call("on_epoch_end", epoch, logs=logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_begin", batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_train_batch_end", batch, logs=logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_batch_begin", batch, logs=logs)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_batch_end", batch, logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._call("on_test_begin", logs=logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._call("on_test_end", logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_begin", batch, logs=logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_test_batch_end", batch, logs=logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._call("on_predict_begin", logs=logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._call("on_predict_end", logs=logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_begin", batch, logs=logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._call("on_predict_batch_end", batch, logs=logs)


def _listed(callbacks: object) -> list[object]:
    if callbacks is None:
        return []
    if isinstance(callbacks, CallbackList):
        return list(callbacks.callbacks)
    if isinstance(callbacks, Callback) or not isinstance(callbacks, Iterable):
        return [callbacks]
    return list(callbacks)


# on_train_batch_begin and _end call these where they are not overridden themselves.
_FORWARDS = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


def _overrides(callback: Callback, hook: str) -> bool:
    """Whether the class, or the instance by an attribute, has a hook of its own."""
    own = hook in vars(callback) or getattr(type(callback), hook) is not getattr(Callback, hook)
    return own or (hook in _FORWARDS and _overrides(callback, _FORWARDS[hook]))

"""Steps on arrays of a GPU, and in CUDA graphs that a user captures.

A graph launches the same step again and again and tells nobody. So captured steps find their
number and learning rate on the GPU, and count themselves there; whoever asks how many steps were
done waits for the GPU and reads that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from onepass import _core
from onepass.optimizers._arrays import Array, Memory
from onepass.optimizers._places import Host, OnGpu


class StepResult(NamedTuple):
    """What a call reports.

    ``global_norm`` is the norm of all gradients before clipping, or None when nothing needed it;
    ``skipped`` says that a gradient was not finite and nothing has changed.
    """

    global_norm: float | None
    skipped: bool


STEPPED = StepResult(None, False)  # the one result of all steps without norms


class GpuSteps(ABC):
    """The part of an optimizer on arrays that knows of the GPU."""

    zero_grads: bool
    _reports: bool
    _learning_rate: float | Callable[..., float]
    _calls: int
    _stepped: bool  # with norms, since it was bound
    _native: _core.Optimizer | None = None
    _memory: Memory
    _place: Host
    _given: list[Any]  # arrays or tensors
    _parameters: list[Array]  # the same as arrays; on a GPU nobody may touch their elements

    @abstractmethod
    def _learning_rate_at(self, step: int) -> float:
        """Return the learning rate of the step behind so many others."""

    @abstractmethod
    def _result(self) -> StepResult:
        """Return the norm and whether the call was skipped, which is then not counted."""

    def _apply_on_gpu(self, grads: list[Any], place: OnGpu) -> StepResult:
        """Start a step, or put it into the graph that is captured."""
        native = self._native
        assert native is not None
        known, stream = self._learning_rate, place.stream()
        captured = _core.captures(stream)
        if not captured:
            self._catch_up()
        elif callable(known):
            raise RuntimeError(
                f"a step cannot be captured in a CUDA graph while learning_rate is {known!r}, "
                "which a graph cannot ask: set it to a number, which may change between launches"
            )
        rate = self._learning_rate_at(self._calls)
        pairs = list(zip(self._given, self._parameters, strict=True))
        taken = place.taken(pairs, grads, self._memory, self.zero_grads)
        place.put(native, taken, rate, self._calls + 1, stream, captured)
        place.note_writes(self._given, taken, self.zero_grads)
        if captured:
            return STEPPED
        self._calls += 1
        return self._result() if self._reports else STEPPED

    @property
    def _captured(self) -> bool:
        """Whether graphs may do steps."""
        return self._native is not None and self._native.captured

    def _catch_up(self) -> None:
        """Count the steps that graphs have done."""
        if self._captured:
            self._refuse_within_capture("asked how many steps were done")
            assert self._native is not None
            self._calls = self._native.steps_done()

    def _check_rate(self, rate: float | Callable[..., float]) -> None:
        if not self._captured:
            return
        if callable(rate):
            raise TypeError(
                "learning_rate must be a number, as steps were captured in a CUDA graph, which "
                f"cannot ask a callable; got {rate!r}"
            )
        self._refuse_within_capture("given another learning rate")

    def _refuse_within_capture(self, what: str) -> None:
        """Refuse what would spoil a capture, or be repeated by each launch of the graph."""
        assert isinstance(self._place, OnGpu)
        if _core.captures(self._place.stream()):
            raise RuntimeError(
                f"{type(self).__name__} cannot be {what} while its stream is captured in a CUDA "
                "graph"
            )

    def _pass_rate_on(self) -> None:
        """Tell captured steps a new learning rate, behind the launches so far on this stream."""
        if self._captured:
            assert self._native is not None
            assert isinstance(self._place, OnGpu)
            self._native.set_rates([self._learning_rate_at(0)], self._place.stream())

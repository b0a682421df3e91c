"""What all optimizers of `onepass.torch` share: torch's manners around a native optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch.optim import optimizer as torch_optimizer

from onepass import _core, optimizers
from onepass.optimizers._arguments import clip, number
from onepass.optimizers._torch_tensors import flat
from onepass.torch.binding import Binding
from onepass.torch.graphs import refuse_first_step
from onepass.torch.part import Part
from onepass.torch.states import state_type

Tensor = Any
Group = dict[str, Any]
Number = Any  # a number, or a tensor of one element
Betas = tuple[Number, Number]
NativeRule = tuple[int, bool, list[float], float, bool, bool]

_Shape = tuple[int, ...]
_NOT_DEFAULTS = {"self", "params", "max_grad_norm", "__class__"}


class Optimizer(torch.optim.Optimizer):
    """Base class: a subclass says how torch names its rule's hyper-parameters and states.

    Parameters
    ----------
    params : iterable
        Of tensors, of pairs of names and tensors, or of dictionaries (parameter groups).
    defaults : dict
        The other arguments of the subclass's constructor by their names, as ``locals()`` has them.

    Raises
    ------
    TypeError, ValueError
        For hyper-parameters out of their range; then nothing has changed.
    """

    # The class of `onepass.optimizers` that has the rule, and what of a group it is made from.
    rule_class: ClassVar[type[optimizers.Optimizer]]
    hypers: ClassVar[tuple[str, ...]]
    # What these are called in `onepass.optimizers`, where that is something else.
    renamed: ClassVar[Mapping[str, str]] = {"eps": "epsilon"}
    # What torch calls the states, in the rule's order.
    slots: ClassVar[tuple[str, ...]] = ()
    counts_steps: ClassVar[bool] = True  # whether ``step`` is among a parameter's states
    eager: ClassVar[bool] = False  # whether states are made at construction
    decoupled: ClassVar[bool] = False  # whether weight decay is not part of the gradient
    learns_rate: ClassVar[bool] = False  # whether steps change ``lr``
    lowest_rate: ClassVar[float] = 0.0

    def __init__(self, params: Any, defaults: Mapping[str, Any]) -> None:
        self._binding: Binding | None = None
        self._in_graphs: list[Part] = []  # of earlier bindings
        self._max_grad_norm = clip("max_grad_norm", defaults.get("max_grad_norm"))
        self._norm: float | _core.Optimizer | None = None
        known = {name: value for name, value in defaults.items() if name not in _NOT_DEFAULTS}
        self.watched = _watched(known)
        super().__init__(params, known)
        if self.eager:
            self._bind()

    # What a subclass may say differently.

    def arguments(self, group: Group) -> dict[str, Any]:
        """Return a group's hyper-parameters as arguments of ``rule_class``."""
        given: dict[str, Any] = {}
        for name in self.hypers:
            value = group[name]
            if name == "betas":
                if not isinstance(value, Sequence) or len(value) != 2:
                    raise ValueError(f"betas must be a pair of numbers, got {value!r}")
                given["beta_1"], given["beta_2"] = map(plain, value)
            else:
                given[self.renamed.get(name, name)] = plain(value)
        return given

    def keys(self, rule: optimizers.Optimizer) -> tuple[str, ...]:
        """Return what torch calls the states that this rule keeps."""
        return self.slots[: rule.rule.states]

    def state_shapes(self, rule: optimizers.Optimizer, shape: _Shape) -> dict[str, _Shape]:
        """Return the states of a parameter of this shape, in order, with their shapes."""
        return dict.fromkeys(self.keys(rule), shape)

    def as_swept(self, p: Tensor, name: str, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return a dense parameter as a contiguous tensor over its memory, and states to match."""
        return flat(p), [flat(state) for state in states]

    def packed(self, group: Group, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a parameter's state as torch's class has it."""
        return state

    def unpacked(self, state: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """Return what is kept of a state of torch's class."""
        return state

    # The rules of groups.

    def rule(self, group: Group) -> optimizers.Optimizer:
        """Return the optimizer of `onepass.optimizers` that steps as a group says.

        Raises
        ------
        TypeError, ValueError
            If a hyper-parameter is out of its range.
        """
        if group.get("differentiable"):
            raise ValueError(
                "differentiable=True is not supported: no operation of torch does a step"
            )
        try:
            rate = number("learning_rate", plain(group["lr"]), low=self.lowest_rate)
            return self.rule_class(
                learning_rate=max(rate, 0.0),  # only where states may start at it
                convention="torch",
                **self.arguments(group),
            )
        except (TypeError, ValueError) as error:
            raise type(error)(self._in_torch_names(str(error))) from None

    def names(self) -> dict[str, str]:
        """Return torch's names of the arguments of ``rule_class``."""
        theirs = {"learning_rate": "lr", "beta_1": "betas[0]", "beta_2": "betas[1]"}
        return theirs | {self.renamed.get(name, name): name for name in self.hypers}

    def _in_torch_names(self, message: str) -> str:
        """Return a message, which begins with the name of an argument, under torch's name."""
        name, space, rest = message.partition(" ")
        return self.names().get(name, name) + space + rest

    def native_rule(self, group: Group, rule: optimizers.Optimizer) -> NativeRule:
        """Return a group's rule as a group of a native optimizer takes it."""
        *head, decoupled = rule.native_rule()
        decoupled = decoupled or self.decoupled or bool(group.get("decoupled_weight_decay"))
        return (*head, decoupled, bool(group.get("maximize")))  # type: ignore[return-value]

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, whose hyper-parameters are the defaults or its own."""
        if isinstance(param_group, dict):
            self.rule({**self.defaults, **param_group})
        super().add_param_group(param_group)
        self._expire()

    # Clipping.

    @property
    def max_grad_norm(self) -> float | None:
        """Largest norm of all gradients together, or None. May be set at any time."""
        return self._max_grad_norm

    @max_grad_norm.setter
    def max_grad_norm(self, value: float | None) -> None:
        before, self._max_grad_norm = self._max_grad_norm, clip("max_grad_norm", value)
        if self._max_grad_norm != before:
            self._expire()

    @property
    def grad_norm(self) -> float | None:
        """Norm of all gradients at the last step, before clipping; None without ``max_grad_norm``.

        Of parameters on a GPU it waits for the step, also for one that a CUDA graph has done.

        Raises
        ------
        RuntimeError
            While a CUDA graph is captured.
        """
        self._refuse_within_capture("asked for grad_norm")
        self._catch_up("asked for grad_norm")
        if isinstance(self._norm, _core.Optimizer):
            self._norm = self._norm.global_norm
        return self._norm

    # Steps.

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Do one step; parameters whose ``grad`` is None are left alone.

        While torch's stream is captured in a CUDA graph, nothing is done yet: each replay of the
        graph does the next step, from the gradients where they are now.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients; called first, its value is returned.

        Raises
        ------
        TypeError, ValueError
            If a parameter, gradient or state cannot be stepped; then nothing has changed.
        RuntimeError
            If parameters are on a GPU that onepass cannot use, or no graph can do the step: it says
            what is missing, or why.
        """
        if self._is_watched():  # hooks are told the arguments that were given
            return self._watched_step() if closure is None else self._watched_step(closure)
        return self._step(closure)

    # torch wraps each class's step to call hooks and the profiler, which takes 5 us even where
    # there are none: `step` does it where there are.
    step.hooked = True  # type: ignore[attr-defined]

    def _is_watched(self) -> bool:
        return bool(
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or torch_optimizer._global_optimizer_pre_hooks
            or torch_optimizer._global_optimizer_post_hooks
            or torch.autograd._profiler_enabled()
        )

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        binding = self._binding
        if binding is None or not binding.gather(self):
            binding = self._bind()
            if not binding.gather(self):
                raise RuntimeError("parameters or states changed during a step")
        if binding.captured:
            binding.capture()
        else:
            self._norm = binding.step()
        return loss

    _watched_step = torch.optim.Optimizer.profile_hook_step(_step)

    def _bind(self) -> Binding:
        refuse_first_step(p for group in self.param_groups for p in group["params"])
        self._catch_up("stepped")
        binding = Binding(self)  # where that fails, graphs and other steps still count as one
        self._let_go()
        self._binding = binding
        return binding

    def _expire(self) -> None:
        """Let the native side be made anew before the next step."""
        if self._binding is not None:
            self._binding.stale = True

    def _let_go(self) -> None:
        """Forget the native side, but for what graphs may launch."""
        if self._binding is not None:
            self._in_graphs += self._binding.in_graphs
        self._binding = None

    # Steps of CUDA graphs.

    def _refuse_within_capture(self, what: str) -> None:
        if self._binding is not None and self._binding.within_capture():
            raise RuntimeError(
                f"{type(self).__name__} cannot be {what} while torch's stream is captured in a "
                "CUDA graph, which must not be waited for"
            )

    def _catch_up(self, what: str) -> None:
        """Count the steps that graphs have done, if there are graphs; it waits for them."""
        binding = self._binding
        if binding is None or not binding.in_graphs:
            return
        self._refuse_within_capture(what)
        norm = binding.catch_up()
        if norm is not None:
            self._norm = norm

    # States.

    def state_dict(self) -> dict[str, Any]:
        """Return the state as torch's class has it, with the steps that CUDA graphs have done.

        Raises
        ------
        RuntimeError
            While a CUDA graph is captured, if others may have done steps.
        """
        self._catch_up("asked for its state")

        def pack(_: Any, whole: dict[str, Any]) -> None:
            states = whole["state"]
            for group in whole["param_groups"]:
                for key in group["params"]:
                    if states.get(key):
                        states[key] = self.packed(group, states[key])

        # Before hooks of the user, who see what torch's class would show them.
        hook = self.register_state_dict_post_hook(pack, prepend=True)
        try:
            whole: dict[str, Any] = super().state_dict()
        finally:
            hook.remove()
        return whole

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state that this class's or torch's `state_dict` returned.

        Parameters
        ----------
        state_dict : dict
            Its tensors are copied.

        Raises
        ------
        ValueError
            If it is of other groups; then nothing has changed.
        RuntimeError
            While a CUDA graph is captured, if others may have done steps.

        Notes
        -----
        CUDA graphs that were captured before go on with the states that they had.
        """
        self._catch_up("given another state")
        seen: list[Mapping[str, Any]] = []

        def look(_: Any, given: Mapping[str, Any]) -> None:
            for group in given["param_groups"]:
                self.rule({**self.defaults, **group})
            seen.append(given)

        def take(_: Any) -> None:
            self._take_states(seen[-1])

        # Behind and before hooks of the user, who may change what is loaded or look at it.
        hooks = (
            self.register_load_state_dict_pre_hook(look),
            self.register_load_state_dict_post_hook(take, prepend=True),
        )
        try:
            super().load_state_dict(state_dict)
        finally:
            for hook in hooks:
                hook.remove()

    def _take_states(self, given: Mapping[str, Any]) -> None:
        """Copy the states: torch's loading shares them, and rounds them to the parameters' type."""
        for saved, group in zip(given["param_groups"], self.param_groups, strict=True):
            for key, p in zip(saved["params"], group["params"], strict=True):
                if key in given["state"]:
                    self.state[p] = self.unpacked(_copied(given["state"][key], p), p)

    def __getstate__(self) -> dict[str, Any]:
        self._catch_up("copied")
        return {**super().__getstate__(), "_max_grad_norm": self._max_grad_norm}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for name, value in (("_binding", None), ("_in_graphs", []), ("_norm", None)):
            self.__dict__.setdefault(name, value)
        self._let_go()
        self.watched = _watched(self.defaults)
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)


def _watched(names: Iterable[str]) -> tuple[str, ...]:
    """Return what of a group says how to step: not what chooses one of torch's implementations."""
    return tuple(name for name in names if name not in ("lr", "foreach", "fused"))


def plain(value: Any) -> Any:
    """Return the number of a tensor of one element; anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.numel() != 1:
        raise ValueError(f"a hyper-parameter must have one element, got {tuple(value.shape)}")
    return value.item()


def _copied(state: Mapping[str, Any], p: Tensor) -> dict[str, Any]:
    """Return a copy of a parameter's state, of the type and at the place where it is kept."""
    copy: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, torch.Tensor):
            counts = value.dim() == 0 and key == "step"
            kind = value.dtype if counts else state_type(p)
            value = value.detach().to("cpu" if counts else p.device, kind, copy=True)
        copy[key] = value
    return copy

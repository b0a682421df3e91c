"""The other rules under torch's names, with the arguments of torch's classes.

What a rule computes, and where it comes from, stands with its class in `onepass.optimizers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from onepass import _core, optimizers
from onepass.torch.optimizer import Betas, Group, Number, Optimizer, Tensor
from onepass.torch.states import state_type


class SGD(Optimizer):
    """`torch.optim.SGD`: gradient descent, with momentum, dampening and Nesterov's form.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr, momentum, dampening, weight_decay, nesterov, maximize
        As torch's; ``momentum`` and ``dampening`` at most 1.
    foreach, fused
        Accepted, without effect.
    differentiable
        Accepted at False.
    max_grad_norm : float > 0, optional
        Largest norm of all gradients together.
    """

    rule_class = optimizers.SGD
    hypers = ("momentum", "dampening", "weight_decay", "nesterov")
    slots = ("momentum_buffer",)
    counts_steps = False

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Number = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        max_grad_norm: float | None = None,
    ) -> None:
        if nesterov and not momentum:
            raise ValueError(f"nesterov needs momentum > 0, got momentum={momentum}")
        super().__init__(params, locals())

    def arguments(self, group: Group) -> dict[str, Any]:
        """Return the hyper-parameters; without momentum the others of it mean nothing."""
        given = super().arguments(group)
        return given if given["momentum"] else {"weight_decay": given["weight_decay"]}


class RMSprop(Optimizer):
    """`torch.optim.RMSprop`, plain, centered, with momentum, or both.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr, alpha, eps, weight_decay, momentum, centered, maximize
        As torch's.
    foreach, capturable, differentiable, max_grad_norm
        As in :class:`Adam`.
    """

    rule_class = optimizers.RMSprop
    hypers = ("alpha", "eps", "weight_decay", "momentum", "centered")
    renamed: ClassVar[Mapping[str, str]] = {"eps": "epsilon", "alpha": "rho"}

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        *,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())

    def keys(self, rule: optimizers.Optimizer) -> tuple[str, ...]:
        """Return what torch calls the states of this variant."""
        assert isinstance(rule, optimizers.RMSprop)
        centered = ("grad_avg",) if rule.centered else ()
        return ("square_avg", *centered, *(("momentum_buffer",) if rule.momentum else ()))


class Adagrad(Optimizer):
    """`torch.optim.Adagrad`: gradients divided by the root of the sum of all their squares.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr, lr_decay, weight_decay, initial_accumulator_value, eps, maximize
        As torch's.
    foreach, fused, differentiable, max_grad_norm
        As in :class:`Adam`.
    """

    rule_class = optimizers.Adagrad
    hypers = ("lr_decay", "weight_decay", "initial_accumulator_value", "eps")
    slots = ("sum",)
    eager = True

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())


class Adadelta(Optimizer):
    """`torch.optim.Adadelta`: steps in the unit of earlier steps.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr, rho, eps, weight_decay, maximize
        As torch's.
    foreach, capturable, differentiable, max_grad_norm
        As in :class:`Adam`.
    """

    rule_class = optimizers.Adadelta
    hypers = ("rho", "eps", "weight_decay")
    slots = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Any,
        lr: Number = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())


class Rprop(Optimizer):
    """`torch.optim.Rprop`: each weight has its step, which grows while the gradient keeps its sign.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr, etas, step_sizes, maximize
        As torch's.
    foreach, capturable, differentiable, max_grad_norm
        As in :class:`Adam`.
    """

    rule_class = optimizers.Rprop
    hypers = ("etas", "step_sizes")
    slots = ("prev", "step_size")

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())


class ASGD(Optimizer):
    """`torch.optim.ASGD`: gradient descent with a falling rate, and the parameters' average.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr, lambd, alpha, t0, weight_decay, maximize
        As torch's.
    foreach, differentiable, capturable, max_grad_norm
        As in :class:`Adam`.

    Notes
    -----
    The average is ``state[p]["ax"]``. ``state[p]["eta"]``, the rate of the next step, has the
    parameter's shape, and the average's next weight is computed from ``t0`` and the count: in state
    dictionaries both, ``eta`` and ``mu``, are the single numbers that torch has. Of float64
    parameters torch rounds them to its default type.
    """

    rule_class = optimizers.ASGD
    hypers = ("lambd", "alpha", "t0", "weight_decay")
    slots = ("ax", "eta")

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        *,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())

    def packed(self, group: Group, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a parameter's state as torch's class has it."""
        rule = self.rule(group)
        id_, torch_convention, options, *_ = rule.native_rule()
        step, rate = int(state["step"]), float(rule.learning_rate)
        _, mu, _, *_ = _core.rule_numbers(id_, torch_convention, options, rate, step + 1)
        _, _, eta, *_ = _core.rule_numbers(id_, torch_convention, options, rate, step)
        if state["eta"].numel():  # the step's rate may have been another
            eta = state["eta"].reshape(-1)[0].item()
        numbers = {"eta": eta, "mu": mu}
        return {**state, **{name: state["step"].new_tensor(x) for name, x in numbers.items()}}

    def unpacked(self, state: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """Return what is kept of a state of torch's class."""
        state.pop("mu", None)
        if "eta" in state:
            eta = float(state["eta"])
            state["eta"] = torch.full_like(p, eta, dtype=state_type(p)).detach()
        return state


class Lion(Optimizer):
    """Lion: steps of the learning rate in the sign of an averaged gradient.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr : float >= 0, default 1e-4
    betas : pair of floats, default (0.9, 0.99)
    weight_decay : float >= 0, default 0
        Not part of the gradient, as in the paper.
    maximize : bool, default False
    max_grad_norm : float > 0, optional
        Largest norm of all gradients together.

    Notes
    -----
    torch has no Lion: arguments, defaults and the state's name are those of its authors' class.

    References
    ----------
    Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, Algorithm 2.
    """

    rule_class = optimizers.Lion
    hypers = ("betas", "weight_decay")
    slots = ("exp_avg",)
    counts_steps = False
    decoupled = True

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-4,
        betas: Betas = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())


class Ftrl(Optimizer):
    """Ftrl: follow the regularized leader, for sparse linear models.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr : float >= 0, default 1e-3
    learning_rate_power, initial_accumulator_value, l1_regularization_strength, \
l2_regularization_strength, l2_shrinkage_regularization_strength, beta
        As in `onepass.optimizers.Ftrl`; torch has no Ftrl.
    weight_decay : float >= 0, default 0
        Added to the gradient.
    maximize : bool, default False
    max_grad_norm : float > 0, optional
        Largest norm of all gradients together.
    """

    rule_class = optimizers.Ftrl
    hypers = (
        "learning_rate_power",
        "initial_accumulator_value",
        "l1_regularization_strength",
        "l2_regularization_strength",
        "l2_shrinkage_regularization_strength",
        "beta",
        "weight_decay",
    )
    slots = ("accumulator", "linear")
    counts_steps = False

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())

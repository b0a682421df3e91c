"""Adam and its relatives under torch's names, with the arguments of torch's classes.

What a rule computes, and where it comes from, stands with its class in `onepass.optimizers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onepass import _core, optimizers
from onepass.torch.optimizer import Betas, Group, Number, Optimizer, Tensor


class Adam(Optimizer):
    """`torch.optim.Adam`, and with ``amsgrad=True`` AMSGrad.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay
        As torch's.
    foreach, fused
        Accepted, without effect.
    capturable
        Without effect on a GPU, where CUDA graphs may always capture steps; a step of parameters on
        the CPU is refused, as by torch.
    differentiable
        Accepted at False.
    max_grad_norm : float > 0, optional
        Largest norm of all gradients together.
    """

    rule_class = optimizers.Adam
    hypers = ("betas", "eps", "weight_decay", "amsgrad")
    slots = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())


class AdamW(Adam):
    """`torch.optim.AdamW`: Adam with a weight decay that is not part of the gradient.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr, betas, eps, weight_decay, amsgrad, maximize
        As torch's.
    foreach, fused, capturable, differentiable, max_grad_norm
        As in :class:`Adam`.
    """

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
            max_grad_norm=max_grad_norm,
        )


class Adamax(Optimizer):
    """`torch.optim.Adamax`: Adam with the largest magnitude of the gradients below.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr, betas, eps, weight_decay, maximize
        As torch's.
    foreach, capturable, differentiable, max_grad_norm
        As in :class:`Adam`.
    """

    rule_class = optimizers.Adamax
    hypers = ("betas", "eps", "weight_decay")
    slots = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Any,
        lr: Number = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())


class NAdam(Optimizer):
    """`torch.optim.NAdam`: Adam with Nesterov's momentum.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay, maximize
        As torch's.
    foreach, capturable, differentiable, max_grad_norm
        As in :class:`Adam`.

    Notes
    -----
    The product of all momenta is computed from the present ``betas`` and ``momentum_decay``. torch
    keeps it as ``mu_product`` and so remembers earlier ones, if they changed. It is in state
    dictionaries, for torch, but not in ``state``.
    """

    rule_class = optimizers.Nadam
    hypers = ("betas", "eps", "weight_decay", "momentum_decay")
    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Number = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())

    def packed(self, group: Group, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a parameter's state as torch's class has it."""
        given = self.arguments(group)
        product = _core.nadam_momentum_product(
            given["beta_1"], given["momentum_decay"], int(state["step"])
        )
        return {**state, "mu_product": state["step"].new_tensor(product)}

    def unpacked(self, state: dict[str, Any], p: Tensor) -> dict[str, Any]:
        """Return what is kept of a state of torch's class."""
        state.pop("mu_product", None)
        return state


class RAdam(Optimizer):
    """`torch.optim.RAdam`: Adam whose first steps go without its denominator.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr, betas, eps, weight_decay, decoupled_weight_decay, maximize
        As torch's.
    foreach, capturable, differentiable, max_grad_norm
        As in :class:`Adam`.
    """

    rule_class = optimizers.RAdam
    hypers = ("betas", "eps", "weight_decay")
    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())


class ScheduleFreeAdamW(Optimizer):
    """Schedule-free AdamW, as `onepass.optimizers.ScheduleFreeAdamW` and Keras have it.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr : float >= 0, default 0.0025
    betas : pair of floats, default (0.9, 0.999)
    eps : float >= 0, default 1e-8
    weight_decay : float >= 0, default 0
        Not part of the gradient.
    warmup_steps : int >= 0, default 0
    maximize : bool, default False
    max_grad_norm : float > 0, optional
        Largest norm of all gradients together.

    Notes
    -----
    torch does not have it. Parameters always hold the points where gradients are taken: there is
    no ``train`` and ``eval``.
    """

    rule_class = optimizers.ScheduleFreeAdamW
    hypers = ("betas", "eps", "weight_decay", "warmup_steps")
    slots = ("z", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Number = 0.0025,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        *,
        maximize: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())

"""Rules that learn their learning rate, with the arguments of their authors' classes for torch.

What a rule computes, and where it comes from, stands with its class in `onepass.optimizers`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from onepass import optimizers
from onepass.optimizers._arguments import number
from onepass.torch.optimizer import Betas, Group, Number, Optimizer, plain


class HypergradientOptimizer(Optimizer):
    """Base class: each step adds what it learned to ``lr`` of the group, where it may be read.

    So schedulers and assignments go on from there, and state dictionaries have it.
    """

    renamed: ClassVar[Mapping[str, str]] = {
        "eps": "epsilon",
        "hypergrad_lr": "hypergradient_learning_rate",
    }
    learns_rate = True
    lowest_rate = -sys.float_info.max  # what is learned may be negative

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, which learns a rate of its own."""
        if isinstance(param_group, dict):
            number("lr", plain({**self.defaults, **param_group}["lr"]))
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        if isinstance(group["lr"], torch.Tensor):  # which all groups would share, and write into
            rate = group["lr"].detach().clone()
            group["lr"] = rate if rate.is_floating_point() else rate.to(torch.get_default_dtype())


class SGDHD(HypergradientOptimizer):
    """SGD-HD: gradient descent that learns its learning rate.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr : float >= 0, default 1e-3
        Where it starts.
    hypergrad_lr : float >= 0, default 1e-6
    weight_decay : float >= 0, default 0
        Added to the gradient.
    maximize : bool, default False
    max_grad_norm : float > 0, optional
        Largest norm of all gradients together.

    Notes
    -----
    torch does not have it: arguments and the state's name are those of its authors' class, but for
    momentum, and with groups, of which each learns its own ``lr``. The parameters of a group must
    be all float64 or none.
    """

    rule_class = optimizers.SGDHD
    hypers = ("hypergrad_lr", "weight_decay")
    slots = ("grad_prev",)
    counts_steps = False

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        hypergrad_lr: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())


class AdamHD(HypergradientOptimizer):
    """Adam-HD: Adam that learns its learning rate.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr : float >= 0, default 1e-3
        Where it starts.
    betas : pair of floats, default (0.9, 0.999)
    eps : float >= 0, default 1e-8
        As in torch's Adam.
    weight_decay : float >= 0, default 0
        Added to the gradient.
    hypergrad_lr : float >= 0, default 1e-8
    maximize : bool, default False
    max_grad_norm : float > 0, optional
        Largest norm of all gradients together.

    Notes
    -----
    torch does not have it: the arguments are those of its authors' class, which changes ``lr``
    between the parameters of a group; here, as in the paper, it changes before all of them. Each
    group learns its own. The parameters of a group must be all float64 or none.
    """

    rule_class = optimizers.AdamHD
    hypers = ("betas", "eps", "weight_decay", "hypergrad_lr")
    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        hypergrad_lr: float = 1e-8,
        *,
        maximize: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())

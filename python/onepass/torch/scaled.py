"""Rules that look at whole tensors, under torch's names where torch has them.

What a rule computes, and where it comes from, stands with its class in `onepass.optimizers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from onepass import optimizers
from onepass.optimizers._torch_tensors import flat
from onepass.torch.optimizer import Betas, Group, Number, Optimizer, Tensor, plain


class Adafactor(Optimizer):
    """`torch.optim.Adafactor`: gradients divided by roots of means over rows and columns.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
        Contiguous; or, in a matrix, transposed.
    lr, beta2_decay, eps, d, weight_decay, maximize
        As torch's; ``d`` may be below 1.
    foreach, max_grad_norm
        As in :class:`Adam`.
    """

    rule_class = optimizers.Adafactor
    hypers = ("beta2_decay", "eps", "d", "weight_decay")
    renamed: ClassVar[Mapping[str, str]] = {
        "beta2_decay": "beta_2_decay",
        "eps": "epsilon",
        "d": "clip_threshold",
    }

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())

    def arguments(self, group: Group) -> dict[str, Any]:
        """Return a group's hyper-parameters as arguments of ``rule_class``."""
        given = super().arguments(group)
        eps = given.pop("epsilon")
        if not isinstance(eps, Sequence) or len(eps) != 2:
            raise ValueError(f"eps must be a pair, got {eps!r}")
        return {**given, "epsilon_1": plain(eps[0]), "epsilon_2": plain(eps[1])}

    def names(self) -> dict[str, str]:
        """Return torch's names of the arguments of ``rule_class``."""
        return super().names() | {"epsilon_1": "eps[0]", "epsilon_2": "eps[1]"}

    def state_shapes(
        self, rule: optimizers.Optimizer, shape: tuple[int, ...]
    ) -> dict[str, tuple[int, ...]]:
        """Return the states of a parameter of this shape, in order, with their shapes."""
        if len(shape) < 2:
            return {"variance": shape}
        return {"row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])}

    def as_swept(self, p: Tensor, name: str, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return a parameter as a contiguous tensor over its memory, and states to match.

        Raises
        ------
        ValueError
            If its matrices lie in memory neither row by row nor column by column.
        """
        if p.dim() < 2:
            return super().as_swept(p, name, states)
        if p.is_contiguous():
            return p.detach(), [flat(state) for state in states]
        turned = p.detach().transpose(-1, -2)
        if not turned.is_contiguous():
            raise ValueError(
                f"{name} must be contiguous, but for its last two dimensions, for Adafactor, got "
                f"shape {tuple(p.shape)} with strides {p.stride()}"
            )
        return turned, [flat(state) for state in states[::-1]]


class Lamb(Optimizer):
    """Lamb: Adam's direction, each tensor's step as long as a fixed part of its norm.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr : float >= 0, default 1e-3
    betas : pair of floats, default (0.9, 0.999)
    eps : float >= 0, default 1e-7
    weight_decay : float >= 0, default 0
        Not part of the gradient, nor of the norms.
    maximize : bool, default False
    max_grad_norm : float > 0, optional
        Largest norm of all gradients together.

    Notes
    -----
    torch has no Lamb: formula and defaults are those of `onepass.optimizers.Lamb`, and Keras's.
    """

    rule_class = optimizers.Lamb
    hypers = ("betas", "eps", "weight_decay")
    slots = ("exp_avg", "exp_avg_sq")
    decoupled = True

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-7,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())


class LARS(Optimizer):
    """LARS: gradient descent whose steps are a fixed part of each tensor's norm.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
    lr : float >= 0, default 1
    momentum : float in [0, 1], default 0.9
    trust_coefficient : float >= 0, default 0.001
    weight_decay : float >= 0, default 0
        As in the formula of `onepass.optimizers.LARS`; torch has no LARS.
    maximize : bool, default False
    max_grad_norm : float > 0, optional
        Largest norm of all gradients together.
    """

    rule_class = optimizers.LARS
    hypers = ("momentum", "trust_coefficient", "weight_decay")
    slots = ("momentum_buffer",)
    counts_steps = False

    def __init__(
        self,
        params: Any,
        lr: Number = 1.0,
        momentum: float = 0.9,
        trust_coefficient: float = 1e-3,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())

"""Muon under torch's name, with torch's arguments.

What it computes, and where that comes from, stands with its class in `onepass.optimizers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onepass import optimizers
from onepass.optimizers._torch_tensors import require_plain
from onepass.torch.optimizer import Group, Number, Optimizer, Tensor, plain

_RMS_RATES = {None: None, "original": None, "match_rms_adamw": 0.2}


class Muon(Optimizer):
    """`torch.optim.Muon`: momentum whose matrices are made nearly orthogonal.

    Parameters
    ----------
    params : iterable of tensors, of (name, tensor) or of groups
        Contiguous, of two dimensions.
    lr, weight_decay, momentum, nesterov, ns_coefficients, eps, ns_steps, adjust_lr_fn
        As torch's; ``momentum`` at most 1.
    max_grad_norm : float > 0, optional
        Largest norm of all gradients together.

    Notes
    -----
    Products are computed in float32, or float64 for parameters of that type, while torch computes
    them in bfloat16: updates differ by 1 to 2% of their norm, of small matrices by 3% and more.
    """

    rule_class = optimizers.Muon
    hypers = (
        *("weight_decay", "momentum", "nesterov", "ns_coefficients", "eps", "ns_steps"),
        "adjust_lr_fn",
    )
    slots = ("momentum_buffer",)
    counts_steps = False

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        max_grad_norm: float | None = None,
    ) -> None:
        super().__init__(params, locals())

    def arguments(self, group: Group) -> dict[str, Any]:
        """Return the hyper-parameters as arguments of `onepass.optimizers.Muon`."""
        given = super().arguments(group)
        adjusts = given.pop("adjust_lr_fn")
        if adjusts not in _RMS_RATES:
            raise ValueError(
                f"adjust_lr_fn must be 'original', 'match_rms_adamw' or None, got {adjusts!r}"
            )
        coefficients = given.pop("ns_coefficients")
        if not isinstance(coefficients, Sequence) or len(coefficients) != 3:
            raise ValueError(f"ns_coefficients must be three numbers, got {coefficients!r}")
        given["muon_a"], given["muon_b"], given["muon_c"] = map(plain, coefficients)
        given["norm_epsilon"] = given.pop("epsilon")
        return {**given, "rms_rate": _RMS_RATES[adjusts]}

    def names(self) -> dict[str, str]:
        """Return torch's names of arguments of `onepass.optimizers.Muon`."""
        coefficients = {f"muon_{k}": f"ns_coefficients[{i}]" for i, k in enumerate("abc")}
        return super().names() | coefficients | {"norm_epsilon": "eps"}

    def as_swept(self, p: Tensor, name: str, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return a parameter, whose shape matters, and its states.

        Raises
        ------
        ValueError
            If it is not contiguous.
        """
        require_plain(p, name)
        return p.detach(), states

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, whose hyper-parameters are the defaults or its own."""
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            if p.ndim != 2:
                self.param_groups.pop()
                raise ValueError(
                    "Muon takes parameters of 2 dimensions only, got one of shape "
                    f"{tuple(p.shape)}: give others to another optimizer, AdamW for example"
                )

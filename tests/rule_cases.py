"""Every update rule: the class and the arguments that choose it. New rules are added here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onepass.optimizers import (
    ASGD,
    LARS,
    SGD,
    SGDHD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamHD,
    AdamW,
    Ftrl,
    Lamb,
    Lion,
    Muon,
    Nadam,
    Optimizer,
    RAdam,
    RMSprop,
    Rprop,
    ScheduleFreeAdamW,
)
from reference.rules import Numbers, Stepper
from strategies import Array

BETAS = {"beta_1": 0.85, "beta_2": 0.99, "epsilon": 1e-3}
MEANS = {"rho": 0.8, "epsilon": 1e-3}
PENALTIES = {
    "l1_regularization_strength": 0.02,
    "l2_regularization_strength": 0.03,
    "l2_shrinkage_regularization_strength": 0.04,
    "beta": 0.5,
}
CASES: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "sgd": (SGD, {}),
    "momentum": (SGD, {"momentum": 0.9}),
    "nesterov": (SGD, {"momentum": 0.8, "nesterov": True}),
    "adam": (Adam, BETAS),
    "adamw": (AdamW, BETAS),
    "amsgrad": (Adam, {"amsgrad": True, **BETAS}),
    "adamax": (Adamax, BETAS),
    "nadam": (Nadam, BETAS),
    "radam": (RAdam, BETAS),
    "schedule_free_adamw": (ScheduleFreeAdamW, {"warmup_steps": 3, **BETAS}),
    "rmsprop": (RMSprop, MEANS),
    "rmsprop_centered": (RMSprop, {"centered": True, **MEANS}),
    "rmsprop_momentum": (RMSprop, {"momentum": 0.9, **MEANS}),
    "rmsprop_centered_momentum": (RMSprop, {"momentum": 0.9, "centered": True, **MEANS}),
    "adagrad": (Adagrad, {"epsilon": 1e-3}),
    "adadelta": (Adadelta, MEANS),
    "lion": (Lion, {"beta_1": 0.8, "beta_2": 0.9}),
    "ftrl": (Ftrl, PENALTIES),
    "ftrl_power": (Ftrl, {"learning_rate_power": -0.7, **PENALTIES}),
    "rprop": (Rprop, {"etas": (0.4, 1.3), "step_sizes": (1e-3, 0.5)}),
    "asgd": (ASGD, {"lambd": 0.01, "t0": 3.0}),
    "muon": (Muon, {"momentum": 0.9, "adam_weight_decay": 0.0, "adam_lr_ratio": 0.5}),
    "lars": (LARS, {"momentum": 0.8, "trust_coefficient": 0.5}),
    "lamb": (Lamb, BETAS),
    "adafactor": (Adafactor, {"beta_2_decay": -0.6, "epsilon_1": 1e-4, "clip_threshold": 0.9}),
    "sgd_hd": (SGDHD, {"hypergradient_learning_rate": 1e-6}),
    "adam_hd": (AdamHD, {"hypergradient_learning_rate": 1e-6, **BETAS}),
}
SCALED = ("lars", "lamb", "adafactor", "muon")  # by norms of whole tensors
LEARNED = ("sgd_hd", "adam_hd")  # rates, by sums over all tensors
LOOKING = (*SCALED, *LEARNED)  # at more than an element
PRODUCTS = ("muon",)  # which round differently on other instruction sets, and take their time
SIGNS = ("lion", "rprop")  # what only looks at signs keeps infinities from the parameters


def specification_of(optimizer: Optimizer) -> dict[str, Any]:
    """Return the arguments of a reference that does what this optimizer should do from now on."""
    accumulated = getattr(optimizer, "initial_accumulator_value", 0.0)
    starts = {
        "adagrad": {"a": accumulated},
        "ftrl": {"n": accumulated},
        "ftrl_power": {"n": accumulated},
        "asgd": {"eta": optimizer.learning_rate},
        "rprop": {"size": optimizer.learning_rate},
    }
    others = None
    if isinstance(optimizer, Muon):
        options = {
            "beta_1": optimizer.adam_beta_1,
            "beta_2": optimizer.adam_beta_2,
            "epsilon": optimizer.epsilon,
        }
        decay = optimizer.adam_weight_decay or 0.0
        others = Numbers("adamw", options, decay, optimizer.adam_lr_ratio)
    decoupled = isinstance(optimizer, AdamW) or getattr(optimizer, "decoupled_weight_decay", False)
    return {
        "rule": optimizer.rule.name,
        "convention": optimizer.convention,
        "options": dict(optimizer._options()),
        "weight_decay": optimizer.weight_decay or 0.0,
        "decoupled": decoupled,
        "clipvalue": optimizer.clipvalue,
        "clipnorm": optimizer.clipnorm,
        "global_clipnorm": optimizer.global_clipnorm,
        "start": starts.get(optimizer.rule.name, {}),
        "others": others,
    }


def stepper_of(optimizer: Optimizer, start: Sequence[Array]) -> Stepper:
    """Return the reference of an optimizer on these tensors."""
    return Stepper(params=list(start), **specification_of(optimizer))

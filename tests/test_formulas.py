"""Completeness: formulas have references, hyper-parameters an effect, kernels documentation."""

import inspect

import numpy as np
import pytest

from onepass import _checks, _core, _formulas, kernels
from reference.activations import ACTIVATIONS
from reference.losses import LOSSES
from reference.rules import RULES, SLOTS, Stepper

RANGES = _checks.HYPER_RANGES
SECTIONS = ("Parameters\n----------", "Returns\n-------", "Raises\n------")


def test_every_formula_has_a_reference() -> None:
    assert list(ACTIVATIONS) == list(_formulas.ACTIVATIONS)
    assert list(LOSSES) == list(_formulas.LOSSES)
    assert list(RULES) == list(_formulas.RULES)
    assert {name: len(SLOTS[name]) for name in RULES} == {
        rule.name: rule.states for rule in _formulas.RULES.values()
    }


def test_ids_are_places_in_the_lists() -> None:
    for formulas in (_formulas.ACTIVATIONS, _formulas.LOSSES, _formulas.RULES):
        assert [f.id for f in formulas.values()] == list(range(len(formulas)))
        assert [f.name for f in formulas.values()] == list(formulas)
    assert next(iter(_formulas.ACTIVATIONS)) == "linear"


def test_every_hyper_parameter_has_a_default_in_its_range() -> None:
    formulas = [*_formulas.ACTIVATIONS.values(), *_formulas.LOSSES.values()]
    assert {h for f in formulas for h in f.hyper} == set(RANGES)
    for span in RANGES.values():
        assert span.low <= span.default <= span.high


def others(name: str) -> float:
    """Return a value of the hyper-parameter that is not its default."""
    return RANGES[name].default + 0.25


@pytest.mark.parametrize(
    ("name", "hyper"), [(f.name, h) for f in _formulas.ACTIVATIONS.values() for h in f.hyper]
)
def test_hyper_parameter_of_an_activation_changes_it(name, hyper) -> None:
    entry = _formulas.ACTIVATIONS[name]
    x, one = np.linspace(-3, 3, 50), np.ones(50)
    given_x = x if entry.needs_input else None
    results = []
    for given in ({}, {hyper: others(hyper)}):
        y = kernels.activation_forward(x, name, **given)
        dx = kernels.activation_backward(y, one, name, x=given_x, **given)
        results.append((y, dx))
        filled = {h: RANGES[h].default for h in entry.hyper} | given
        np.testing.assert_allclose(y, ACTIVATIONS[name].value(x, **filled), rtol=1e-14)
    values, slopes = zip(*results, strict=True)
    assert (values[0] != values[1]).any()
    # a constant has none
    assert (slopes[0] != slopes[1]).any() == (hyper != "default_value")


@pytest.mark.parametrize(
    ("name", "hyper"), [(f.name, h) for f in _formulas.LOSSES.values() for h in f.hyper]
)
def test_hyper_parameter_of_a_loss_changes_it(name, hyper) -> None:
    rng = np.random.default_rng(0)
    target, prediction = rng.random((6, 4)), rng.uniform(0.1, 0.9, (6, 4))
    if _formulas.LOSSES[name].prediction == "linear":
        target *= 8.0  # far from the prediction too
    defaults = {key: RANGES[key].default for key in _formulas.LOSSES[name].hyper}
    results = []
    for given in ({}, {hyper: others(hyper)}):
        results.append(kernels.loss(target, prediction, name, **given))
        expected = LOSSES[name](target, prediction, **defaults | given)
        np.testing.assert_allclose(results[-1][0], expected[0], rtol=1e-12)
    for default, other in zip(*results, strict=True):
        assert (default != other).any(axis=-1).all()


OPTIONS = {
    **{"momentum": 0.9, "dampening": 0.1, "beta_1": 0.9, "beta_2": 0.9, "rho": 0.9, "epsilon": 0.1},
    **{"epsilon_inside_sqrt": 0.0, "momentum_decay": 1.0, "warmup_steps": 0.0, "lr_decay": 0.0},
    **{"l1_regularization_strength": 0.0, "l2_regularization_strength": 0.0, "beta": 0.0},
    **{"trust_coefficient": 0.01, "lambd": 0.01, "alpha": 0.75, "t0": 0.0},
    **{"beta_2_decay": -0.8, "epsilon_1": 1e-30, "epsilon_2": 1e-3, "clip_threshold": 1.0},
    **{"l2_shrinkage_regularization_strength": 0.0, "learning_rate_power": -0.7},
    **{"hypergradient_learning_rate": 1e-3},
    **{"nesterov": 1.0, "muon_a": 3.0, "muon_b": -4.0, "muon_c": 1.5, "ns_steps": 3.0},
    **{"rms_rate": -1.0, "norm_epsilon": 1e-3},
    **{"eta_minus": 0.4, "eta_plus": 1.2, "smallest": 1e-6, "largest": 0.016},
}
LARGER = {"beta_2_decay": -0.5, "epsilon_1": 3.0, "epsilon_2": 2.0}
MUON = {"nesterov": 0.0, "ns_steps": 2.0, "norm_epsilon": 100.0}
OTHERS = {
    **MUON,
    "warmup_steps": 20.0,
    "learning_rate_power": -0.25,
    **LARGER,
}  # 0.5 where nothing is said


def has_an_effect(name: str, option: str, convention: str) -> bool:
    """Keras has no dampening, and its epsilon is inside these roots anyway."""
    inside = name == "adagrad" or name.startswith("rmsprop")
    if option == "t0":  # of the average alone
        return False
    without = {"dampening", "epsilon_inside_sqrt" if inside else ""}
    return convention == "torch" or option not in without


@pytest.mark.parametrize("convention", ["keras", "torch"])
@pytest.mark.parametrize("name", list(RULES))
def test_every_option_changes_the_reference_of_a_rule(name, convention) -> None:
    def after(**changed: float) -> np.ndarray:
        around = {k: changed.pop(k) for k in list(changed) if k not in OPTIONS}
        mine = {k: changed.get(k, OPTIONS[k]) for k in _formulas.RULES[name].options}
        start = {"rprop": {"size": 0.015}, "asgd": {"eta": 0.01}}.get(name, {})
        ones = np.ones((1, 3))
        stepper = Stepper(name, [ones], convention, mine, start=start, **around)
        for t in range(8):
            turn = -1.0 if t % 4 > 1 else 1.0
            stepper.step([turn * np.arange(1.0, 4.0)[None] + t / 8], 0.01)
        return stepper.params[0]

    plain = after()
    for option in _formulas.RULES[name].options:
        changes = (after(**{option: OTHERS.get(option, 0.5)}) != plain).any()
        assert changes == has_an_effect(name, option, convention), option
    for around in ("weight_decay", "clipvalue", "clipnorm", "global_clipnorm"):
        if name not in ("sgd", "momentum", "nesterov") and around != "weight_decay":
            continue  # scaling all gradients alike moves others by little; clips have own tests
        if convention == "keras" or name not in ("lion", "rprop"):
            assert (after(**{around: 0.5}) != plain).any()


@pytest.mark.parametrize("name", kernels.__all__)
def test_docstring(name) -> None:
    function = getattr(kernels, name)
    doc = inspect.getdoc(function)  # without indentation, as Python 3.13 has it at once
    first = doc.splitlines()[0]
    assert first.endswith((".", ":"))
    signature = inspect.signature(function)
    for section in SECTIONS:
        if not (section.startswith("Returns") and signature.return_annotation == "None"):
            assert section in doc
    described = doc.split(SECTIONS[0])[1].split("\n\n")[0]
    heads = [line.split(" : ")[0] for line in described.splitlines() if line[:1] not in ("", " ")]
    names = {name for head in heads for name in head.split(", ")}
    for parameter in signature.parameters.values():
        prefix = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        assert prefix + parameter.name in names


def test_all_names_the_public_functions() -> None:
    functions = {n for n, f in vars(kernels).items() if inspect.isfunction(f) and n[0] != "_"}
    assert functions == set(kernels.__all__)
    assert kernels.__all__ == sorted(kernels.__all__)


def test_every_native_kernel_has_its_function() -> None:
    not_kernels = {"isa", "set_isa", "available_isas", "compiled_isas", "threads", "set_threads"}
    not_kernels |= {"flush_denormals", "set_flush_denormals", "aligned_zeros"}
    not_kernels |= {"copied_to", "bring_gpu", "captures"}
    not_kernels |= {
        "activations",
        "functions",
        "binary",
        "losses",
        "rules",
        "accuracies",
        "mean_divisors",
        "column_sum_kinds",
        "constraints",
    }
    not_kernels |= {"half_depth", "philox", "set_team_thresholds", "nadam_momentum_product"}
    not_kernels |= {"rule_numbers"}
    native = {n for n, f in vars(_core).items() if inspect.isbuiltin(f) and n[0] != "_"}
    native = {name for name in native if not name.startswith("limits_")}  # of the machine
    # Behind global_norm and the clips, the norms of rows, the layers of noise, and those in place.
    composed = {"sum_of_squares", "scale_clip", "row_norm", "row_norm_backward", "gaussian"}
    public = {name.removesuffix("_") for name in kernels.__all__}
    assert native - not_kernels - composed <= public

"""The benchmarks' cases: results equal to the rivals', names, sizes and types; nothing is timed."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import onepass
from onepass import _core, kernels
from onepass._formulas import ACTIVATIONS, LOSSES, RULES
from onepass.bench import cli, rivals
from onepass.bench.cases import (
    HEADLINES,
    Case,
    Contender,
    Prepared,
    Selection,
    all_cases,
    compare,
)
from onepass.bench.families.networks import Network, OurTraining
from onepass.bench.sizes import Sizes, as_rows, count_label, cut, elements_of, sweep

TINY = Sizes(
    products=((5, 7, 3), (4, 33, 70)),
    rows=((4, 17),),
    normalized=((4, 17), (9, 5)),
    pairs=((4, 17),),
    tensors={"tiny": ((3, 5), (5,)), "odd": ((67,),)},
    elements=(110,),
    cuts=((110, 1), (55, 3)),
    swept=("*",),
    m1=(12, 9, 6, 4),
    m2=(12, 9, 6, 4),
    m3=(12, 9, 7, 4),
    m4=(3, 5, 1),
    m5=(7, 9, 6),
    m6=(8, 12, 4),  # Keras has 1 / 5 in float32 in a mean of float64
    training=(
        ("M1", 4, "sgd", 3),
        ("M1", 4, "adam", 4),
        ("M2", 8, "sgd", 3),
        ("M2", 8, "adam", 3),
        ("M3", 8, "adam", 3),
        ("M4", 4, "adam", 5),
        ("M5", 8, "adamw", 3),
        ("M6", 8, "adamw", 3),
    ),
    predictions=(1, 5),
    gathered=(5,),
    samples=64,
    epochs=(100,),
    compiled=(),
    imports=False,
)

# Less of it: JAX and Keras compile each of these for seconds.
TINY64 = replace(
    TINY,
    dtype="float64",
    swept=(),
    training=(("M1", 4, "adam", 4), ("M2", 8, "sgd", 3), ("M6", 8, "adamw", 3)),
    predictions=(5,),
    epochs=(),
)
CASES = [case for sizes in (TINY, TINY64) for case in all_cases(sizes)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name} {case.dtype}")
def test_results_are_equal_to_the_rivals(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "_dtype", case.dtype)
    prepared = case.prepare()
    errors, missing = compare(prepared)
    assert not missing
    for rival, error in errors.items():
        assert error <= case.tolerance, f"{rival} differs by {error}"
    contenders = [prepared.ours, *prepared.rivals]
    for run in [*(c.run for c in contenders), *prepared.parts.values()]:
        run()  # what is timed works, for several sets of data
        run()


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("rule", list(RULES)),
        ("activation", list(ACTIVATIONS)),
        ("loss", list(LOSSES)),
        ("kernel", kernels.__all__),
    ],
)
def test_everything_compiled_has_a_case(kind: str, names: list[str]) -> None:
    covered = {what for case in all_cases() for what in case.covers}
    assert not {f"{kind}:{name}" for name in names} - covered


def test_every_stream_is_known_to_the_native_code() -> None:
    for stream in {phase.stream for case in all_cases() for phase in case.work}:
        assert _core.limits_stream(*stream, 8, 1, 0.0) > 0.0


def test_every_headline_is_a_case() -> None:
    names = [case.name for case in Selection(headlines=True).cases()]
    for pattern in HEADLINES:
        assert any(fnmatch.fnmatchcase(name, pattern) for name in names), pattern
    assert len(names) < 20


def test_without_rivals_cases_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "_ignored", True)
    for case in all_cases(TINY):
        if case.family in ("training", "prediction"):
            prepared = case.prepare()
            assert not prepared.rivals
            prepared.ours.run()


def prepared_by_name(sizes: Sizes, name: str) -> Prepared:
    (case,) = [case for case in all_cases(sizes) if case.name == name]
    return case.prepare()


@pytest.mark.parametrize(
    "sizes",
    [
        Sizes(),
        Sizes(dtype="float64"),
        TINY,
        sweep(elements=[7, 50, 1000], tensors=[1, 3], batches=[5, 16]),
        sweep(tensors=[4, 1]),
        sweep("float64", batches=[1, 32]),
    ],
    ids=["usual", "float64", "tiny", "all", "tensors", "batch"],
)
def test_names_of_cases_differ(sizes: Sizes) -> None:
    cases = list(all_cases(sizes))
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    assert {case.dtype for case in cases} == {sizes.dtype}
    places = [(case.series, case.size) for case in cases if case.series is not None]
    assert len(set(places)) == len(places)


def test_every_rule_comes_at_three_sizes() -> None:
    sizes: dict[str | None, set[int | None]] = {}
    for case in all_cases():
        sizes.setdefault(case.series, set()).add(case.size)
    for rule in RULES:
        if rule != "muon":  # which leaves vectors to AdamW
            assert sizes[f"{rule} step"] >= {1000, 266_610, 1 << 24}
    swept = {10**n for n in range(2, 8)}
    for name in ("sgd step", "adam step", "relu forward", "softmax forward", "global_norm"):
        assert sizes[name] >= swept


@pytest.mark.parametrize(
    ("n", "label"),
    [(1, "1"), (100, "1e2"), (110, "110"), (1024, "1024"), (25_000, "2.5e4"), (10**7, "1e7")],
)
def test_labels_of_counts(n: int, label: str) -> None:
    assert count_label(n) == label
    assert n < 100 or int(float(label)) == n


@pytest.mark.parametrize(("n", "tensors"), [(1, 1), (7, 3), (1000, 1), (409_600, 4096), (10, 10)])
def test_cuts_have_as_many_elements_and_tensors(n: int, tensors: int) -> None:
    shapes = cut(n, tensors)
    assert (len(shapes), elements_of(shapes)) == (tensors, n)
    assert elements_of([as_rows(n)]) == n


def test_swept_cases_have_exactly_these_sizes() -> None:
    sizes = sweep(elements=[90, 7], tensors=[3], batches=[6])
    for case in all_cases(sizes):
        assert case.size in (90, 7, 3, 6), case.name
    (forward,) = prepared_by_name(sizes, "relu forward 90").ours.result()
    assert forward.size == 90
    changes = prepared_by_name(sizes, "adam step 90 in 3 tensors").ours.result()
    assert [change.size for change in changes] == [30, 30, 30]
    (product,) = prepared_by_name(sizes, "dense_forward 6x300x100").ours.result()
    assert product.shape == (6, 100)
    (shares,) = prepared_by_name(sizes, "M1 predict 6").ours.result()
    assert shares.shape == (6, 10)


OF_EACH_KIND = (
    "dense_forward 5x7x3",
    "adam step tiny",
    "relu backward 4x17",
    "mean_squared_error 4x17",
    "batch_norm forward 4x17",
    "add 4x17",
    "circle 4x17",
    "gather_rows 5x12 from uint8",
    "M1 train b4 adam",
    "M1 predict 5",
    "onepass.torch adam step of 6 tiny tensors",
)


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everybody_computes_in_the_type_of_the_run(
    name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "torch" in name:
        pytest.importorskip("torch")
    monkeypatch.setattr(rivals, "_dtype", dtype)
    prepared = prepared_by_name(TINY if dtype == "float32" else TINY64, name)
    for contender in (prepared.ours, *prepared.rivals):
        arrays = [found for found in contender.result() if np.ndim(found)]
        assert arrays
        assert {array.dtype.name for array in arrays} == {dtype}, contender.name


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--elements", "1.5"], "argument --elements: must be a whole number from 1"),
        (["--elements", "0"], "argument --elements"),
        (["--elements", "1e12"], "argument --elements"),
        (["--tensors", "many"], "argument --tensors: must be a whole number"),
        (["--elements", "10", "--tensors", "100"], "argument --tensors: 10 elements cannot"),
        (["--batch", "-3"], "argument --batch"),
        (["--dtype", "float16"], "argument --dtype: invalid choice"),
        (["--device", "cuda"], "argument --device: this build has no CUDA benchmarks"),
        (["--device", "tpu"], "argument --device: must be cpu"),
        (["--quick", "--batch", "3"], "argument --quick"),
        (["M1 predict", "--elements", "10"], "no case at these sizes contains M1 predict"),
        (["nothing such"], "no case contains nothing such"),
    ],
)
def test_bad_sizes_name_the_option(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.run(given)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["relu forward", "--elements", "1e5", "100000", "64"], ["64", "1e5"]),
        (["sgd step", "--tensors", "2"], ["409600 in 2 tensors"]),
        (["M1 predict", "--batch", "3", "1"], ["3", "1"]),
    ],
)
def test_sizes_on_the_command_line(
    given: list[str], names: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*given, "--list"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if line.startswith(given[0])] == [
        f"{given[0]} {n}" for n in names
    ]


@pytest.mark.parametrize("normalizes", [False, True])
def test_no_hidden_unit_is_near_the_corner_of_relu(normalizes: bool) -> None:
    network = Network((12, 200, 100, 50, 5), normalizes=normalizes)
    x, y = network.data(256)
    training = OurTraining(network, x, y, "adam", 64)
    training.result()  # some steps further
    model = training.model
    rows = x[training.orders[0][:64]]
    inner = [layer for layer in model.layers[:-1] if isinstance(layer, onepass.layers.Dense)]
    on = []
    for layer in model.layers[:-1]:
        if layer in inner:
            kernel, bias = layer.get_weights()
            z = rows @ kernel + bias
            assert np.abs(z).min() > 0.05
            on.append((z > 0).mean())
        rows = np.asarray(layer(rows, training=True))
    assert np.all(np.abs(np.array(on) - 0.5) < 0.1)  # and both sides are there


def test_a_rival_that_may_fail_is_named_as_missing() -> None:
    def fail() -> Any:
        raise RuntimeError("no compiler")

    ours = Contender("onepass", list, lambda: [1.0])
    others = [
        Contender("compiled", list, fail, optional=True),
        Contender("in another convention", list, lambda: [3.0], reference=lambda: [4.0]),
    ]
    errors, missing = compare(Prepared(ours, others))
    assert errors == {"in another convention": 0.25}
    assert missing == {"compiled": "RuntimeError: no compiler"}
    with pytest.raises(RuntimeError, match="no compiler"):
        compare(Prepared(ours, [replace(others[0], optional=False)]))


def test_an_import_is_that_of_this_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "_ignored", True)
    prepared = prepared_by_name(Sizes(), "import")
    assert not prepared.rivals
    (right,) = prepared.ours.result()
    assert right == [1.0]

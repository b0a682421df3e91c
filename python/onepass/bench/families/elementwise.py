"""Activations, softmax and losses by the compiled lists, beside torch.

All are called as a user would: results are new arrays on both sides. Backward passes of torch go
through autograd, whose graph is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from onepass import kernels
from onepass._checks import HYPER_RANGES
from onepass._formulas import ACTIVATIONS, LOSSES, Activation, Loss
from onepass.bench import rivals
from onepass.bench.cases import Array, Case, Contender, Prepared
from onepass.bench.families.data import (
    Draw,
    contender,
    drawn,
    in_turn,
    sets_for,
    streaming,
    tensors,
)
from onepass.bench.limits import COPY, TRIAD, Stream
from onepass.bench.sizes import Sizes

Function = Callable[..., Any]
Shape = tuple[int, int]

# Where torch.nn.functional has another name, or the same name for something else.
_OTHER_NAMES = {
    "linear": "clone",
    "exponential": "exp",
    "hard_sigmoid": "hardsigmoid",
    "hard_silu": "hardswish",
    "hard_tanh": "hardtanh",
    "hard_shrink": "hardshrink",
    "soft_shrink": "softshrink",
    "tanh_shrink": "tanhshrink",
    "log_sigmoid": "logsigmoid",
    "heaviside": "",  # torch's wants the value at 0 as a tensor
}
_FLOAT32_DERIVATIVES = ("hard_sigmoid",)  # torch's has 1/6 in float32 for float64, too


def _torch_activation(entry: Activation) -> Function | None:
    torch = rivals.torch()
    if torch is None:
        return None
    name = _OTHER_NAMES.get(entry.name, entry.name)
    function = getattr(torch.nn.functional, name, None) or getattr(torch, name, None)
    if function is None:
        return None
    hyper = [HYPER_RANGES[key].default for key in entry.hyper]  # torch has the same order
    return lambda x: function(x, *hyper)


def _torch_loss(entry: Loss) -> Function | None:
    """Return loss(prediction, target), the mean over rows, as torch spells it."""
    torch = rivals.torch()
    if torch is None:
        return None
    functional = torch.nn.functional

    def from_probabilities(p: Any, t: Any) -> Any:
        shares = p / p.sum(-1, keepdim=True)
        return -(t * shares.clamp(1e-7, 1 - 1e-7).log()).sum(-1).mean()

    return {
        "mean_squared_error": functional.mse_loss,
        "mean_absolute_error": functional.l1_loss,
        "binary_crossentropy": functional.binary_cross_entropy,
        "binary_crossentropy_from_logits": functional.binary_cross_entropy_with_logits,
        "categorical_crossentropy": from_probabilities,
        "categorical_crossentropy_from_logits": functional.cross_entropy,
    }.get(entry.name)


def _forward(draw: Draw, ours: Function, theirs: Function | None, shape: Shape) -> Prepared:
    sets = [(draw.normal(*shape),) for _ in range(sets_for(*shape))]
    own = contender("onepass", ours, sets)
    if theirs is None:
        return Prepared(own)
    return Prepared(own, [contender("torch", theirs, tensors(sets))])


def _autograd(theirs: Function, inputs: Sequence[tuple[Array, Array]]) -> Contender:
    """Return torch's gradients, for pairs of an input and the gradient of the value."""
    graphs = []
    for leaf, dy in tensors(inputs):
        graphs.append((theirs(leaf.requires_grad_()), leaf, dy))

    def gradient(y: Any, x: Any, dy: Any) -> Any:
        return rivals.torch().autograd.grad(y, x, dy, retain_graph=True)

    return contender("torch", gradient, graphs)


def _backward(
    draw: Draw, forward: Function, ours: Function, theirs: Function | None, shape: Shape
) -> Prepared:
    """``ours(y, dy, x)`` beside autograd through ``theirs(x)``."""
    inputs = [(draw.normal(*shape), draw.normal(*shape)) for _ in range(sets_for(*shape))]
    own = contender("onepass", ours, [(forward(x), dy, x) for x, dy in inputs])
    return Prepared(own, [] if theirs is None else [_autograd(theirs, inputs)])


def _activation(draw: Draw, entry: Activation, shape: Shape, backward: bool) -> Prepared:
    def forward(x: Array) -> Array:
        return kernels.activation_forward(x, entry.name)

    def derivative(y: Array, dy: Array, x: Array) -> Array:
        given = x if entry.needs_input else None
        return kernels.activation_backward(y, dy, entry.name, x=given)

    theirs = _torch_activation(entry)
    if backward and entry.name == "linear" and (torch := rivals.torch()) is not None:
        # Through autograd nothing would be done at all; ours makes a new array.
        sets = [(x, x, x) for x in (draw.normal(*shape) for _ in range(sets_for(*shape)))]
        copied = contender("torch", torch.clone, [whole[:1] for whole in tensors(sets)])
        return Prepared(contender("onepass", derivative, sets), [copied])
    if backward:
        return _backward(draw, forward, derivative, theirs, shape)
    return _forward(draw, forward, theirs, shape)


def _rowwise(draw: Draw, name: str, shape: Shape, backward: bool) -> Prepared:
    torch = rivals.torch()
    function = getattr(torch, name, None)  # torch has no sparsemax
    theirs = None if function is None else lambda x: function(x, -1)
    forward, derivative = getattr(kernels, name), getattr(kernels, f"{name}_backward")
    if backward:
        return _backward(draw, forward, lambda y, dy, x: derivative(y, dy), theirs, shape)
    return _forward(draw, forward, theirs, shape)


def _glu(draw: Draw, shape: Shape, backward: bool) -> Prepared:
    """Of rows of twice as many columns."""
    torch = rivals.torch()
    rows, cols = shape
    theirs = None if torch is None else torch.nn.functional.glu
    if not backward:
        return _forward(draw, kernels.glu, theirs, (rows, 2 * cols))
    inputs = [
        (draw.normal(rows, 2 * cols), draw.normal(rows, cols)) for _ in range(sets_for(*shape))
    ]
    own = contender("onepass", kernels.glu_backward, inputs)
    return Prepared(own, [] if theirs is None else [_autograd(theirs, inputs)])


def _dropout(draw: Draw, shape: Shape) -> Prepared:
    """Masks are everybody's own: what must be equal is the share that is kept, and the mean."""
    sets = [(draw.uniform(*shape) + 0.5,) for _ in range(sets_for(*shape))]

    def dropping(name: str, function: Function, sets: Sequence[tuple[Any, ...]]) -> Contender:
        def result() -> list[Array]:
            found = np.asarray(function(*sets[0]))
            kept = np.count_nonzero(found) / max(1, found.size)
            return [np.array([kept, found.mean() if found.size else 0.0])]

        return Contender(name, in_turn(function, sets), result)

    own = dropping("onepass", lambda x: kernels.dropout(x, 0.2, (1, 2)), sets)
    torch = rivals.torch()
    if torch is None:
        return Prepared(own)
    return Prepared(own, [dropping("torch", lambda x: torch.dropout(x, 0.2, True), tensors(sets))])


def _loss_data(draw: Draw, entry: Loss, shape: Shape) -> list[tuple[Array, Array]]:
    """Sets of (prediction, target) of the kind that the loss reads."""
    sets = []
    for _ in range(sets_for(*shape)):
        prediction = draw.normal(*shape)
        target = draw.normal(*shape) if entry.prediction == "linear" else None
        if entry.prediction == "probability":
            prediction = kernels.activation_forward(prediction, "sigmoid")
        if entry.prediction == "positive":
            prediction = np.abs(prediction)
        if entry.row_wise:
            if entry.prediction == "probability":
                prediction = prediction / prediction.sum(-1, keepdims=True)
            target = draw.one_hot(*shape)
        elif target is None:
            target = draw.coins(*shape)
        sets.append((prediction, target))
    return sets


def _loss(draw: Draw, entry: Loss, shape: Shape) -> Prepared:
    sets = _loss_data(draw, entry, shape)
    scale = 1.0 / shape[0]

    def ours(prediction: Array, target: Array) -> tuple[Array, Array]:
        values, gradient = kernels.loss(target, prediction, entry.name, scale=scale)
        return values.mean(), gradient

    own = contender("onepass", ours, sets)
    theirs = _torch_loss(entry)
    if theirs is None:
        return Prepared(own)
    torch = rivals.torch()

    def value_and_gradient(prediction: Any, target: Any) -> tuple[Any, Any]:
        value = theirs(prediction, target)
        return value, *torch.autograd.grad(value, prediction)

    their_sets = [(prediction.requires_grad_(), target) for prediction, target in tensors(sets)]
    return Prepared(own, [contender("torch", value_and_gradient, their_sets)])


# Name, stream, what is covered, prepare(draw, shape) and tolerance; None where masks differ.
Kind = tuple[str, Stream, tuple[str, ...], Callable[..., Prepared], float | None]


def _passes(sizes: Sizes, backward: bool) -> Iterator[Kind]:
    """Yield what there is in one direction."""
    direction, suffix = ("backward", "_backward") if backward else ("forward", "")
    usual = sizes.rounding(1e-5)
    for entry in ACTIVATIONS.values():
        stream = Stream(3, 0, 1) if backward and entry.needs_input else TRIAD
        moved = backward and entry.name != "linear"  # which is a copy, both ways
        single = backward and entry.name in _FLOAT32_DERIVATIVES
        yield (
            f"{entry.name} {direction}",
            stream if moved else COPY,
            (f"activation:{entry.name}", f"kernel:activation_{direction}"),
            partial(_activation, entry=entry, backward=backward),
            1e-5 if single else usual,
        )
    for name in ("softmax", "log_softmax", "sparsemax"):
        prepare = partial(_rowwise, name=name, backward=backward)
        stream = TRIAD if backward else COPY
        yield f"{name} {direction}", stream, (f"kernel:{name}{suffix}",), prepare, usual
    stream = Stream(3, 0, 1) if backward else Stream(2, 0, 1)
    prepare = partial(_glu, backward=backward)
    yield f"glu {direction}", stream, (f"kernel:glu{suffix}",), prepare, usual


def _losses(sizes: Sizes) -> Iterator[Kind]:
    for loss in LOSSES.values():
        covers = f"loss:{loss.name}", "kernel:loss"
        yield loss.name, TRIAD, covers, partial(_loss, entry=loss), sizes.rounding(2e-5)


def cases(sizes: Sizes) -> Iterator[Case]:
    """Forward and backward of each activation, value with gradient of each loss."""
    dropping: Kind = ("dropout", COPY, ("kernel:dropout",), _dropout, None)
    kinds = *_passes(sizes, False), *_passes(sizes, True), dropping, *_losses(sizes)
    for name, stream, covers, prepare, tolerance in kinds:
        for place in sizes.kernels(name):
            deviations = 5.0 / math.sqrt(max(1, place.size))  # 7 of the share that is kept
            yield Case(
                f"{name} {place.label}",
                "elementwise",
                covers,
                streaming(sizes, stream, *place.shape),
                drawn(sizes.dtype, prepare, shape=place.shape),
                deviations if tolerance is None else tolerance,
                series=place.series,
                size=place.size,
            )

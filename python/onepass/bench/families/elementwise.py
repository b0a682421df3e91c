"""Activations, softmax and losses by the compiled lists, beside torch.

All are called as a user would: results are new arrays on both sides. Backward passes of torch go
through autograd, whose graph is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from onepass import kernels
from onepass._checks import HYPER_RANGES
from onepass._formulas import ACTIVATIONS, LOSSES, Activation, Loss
from onepass.bench import rivals
from onepass.bench.cases import Array, Case, Contender, Prepared, Work
from onepass.bench.families.data import SETS, Draw, contender, drawn, in_turn, tensors
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
    sets = [(draw.normal(*shape),) for _ in range(SETS)]
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
    inputs = [(draw.normal(*shape), draw.normal(*shape)) for _ in range(SETS)]
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
        sets = [(x, x, x) for x in (draw.normal(*shape) for _ in range(SETS))]
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
    inputs = [(draw.normal(rows, 2 * cols), draw.normal(rows, cols)) for _ in range(SETS)]
    own = contender("onepass", kernels.glu_backward, inputs)
    return Prepared(own, [] if theirs is None else [_autograd(theirs, inputs)])


def _dropout(draw: Draw, shape: Shape) -> Prepared:
    """Masks are everybody's own: what must be equal is the share that is kept, and the mean."""
    sets = [(draw.uniform(*shape) + 0.5,) for _ in range(SETS)]

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
    for _ in range(SETS):
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


def cases(sizes: Sizes) -> Iterator[Case]:
    """Forward and backward of each activation, value with gradient of each loss."""
    shape = sizes.rows
    array = sizes.itemsize * shape[0] * shape[1]
    label = f"{shape[0]}x{shape[1]}"

    def work(stream: Stream) -> tuple[Work, ...]:
        return (Work(0.0, stream.accesses * array, SETS * stream.arrays * array, stream),)

    for backward in (False, True):
        kernel = "activation_backward" if backward else "activation_forward"
        for entry in ACTIVATIONS.values():
            stream = Stream(3, 0, 1) if backward and entry.needs_input else TRIAD
            moved = backward and entry.name != "linear"  # which is a copy, both ways
            yield Case(
                f"{entry.name} {'backward' if backward else 'forward'} {label}",
                "elementwise",
                (f"activation:{entry.name}", f"kernel:{kernel}"),
                work(stream if moved else COPY),
                drawn(sizes.dtype, _activation, entry, shape, backward),
                1e-5 if backward and entry.name in _FLOAT32_DERIVATIVES else sizes.rounding(1e-5),
            )
        direction, suffix = ("backward", "_backward") if backward else ("forward", "")
        for name in ("softmax", "log_softmax", "sparsemax"):
            yield Case(
                f"{name} {direction} {label}",
                "elementwise",
                (f"kernel:{name}{suffix}",),
                work(TRIAD if backward else COPY),
                drawn(sizes.dtype, _rowwise, name, shape, backward),
                sizes.rounding(1e-5),
            )
        yield Case(
            f"glu {direction} {label}",
            "elementwise",
            (f"kernel:glu{suffix}",),
            work(Stream(3, 0, 1) if backward else Stream(2, 0, 1)),
            drawn(sizes.dtype, _glu, shape, backward),
            sizes.rounding(1e-5),
        )
    yield Case(
        f"dropout {label}",
        "elementwise",
        ("kernel:dropout",),
        work(COPY),
        drawn(sizes.dtype, _dropout, shape),
        tolerance=5.0 / math.sqrt(max(1, shape[0] * shape[1])),  # 7 standard deviations
    )
    for loss in LOSSES.values():
        yield Case(
            f"{loss.name} {label}",
            "elementwise",
            (f"loss:{loss.name}", "kernel:loss"),
            work(TRIAD),
            drawn(sizes.dtype, _loss, loss, shape),
            tolerance=sizes.rounding(2e-5),
        )

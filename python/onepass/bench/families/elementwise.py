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
from onepass.bench.cases import FLOAT, Array, Case, Contender, Prepared, Work
from onepass.bench.families.data import SETS, generator, in_turn, normal
from onepass.bench.limits import COPY, TRIAD, Stream
from onepass.bench.sizes import Sizes

Function = Callable[..., Any]

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


def _pair(function: Function, sets: Sequence[tuple[Any, ...]], name: str = "onepass") -> Contender:
    def result() -> list[Array]:
        found = function(*sets[-1])
        values = found if isinstance(found, tuple | list) else [found]
        return [np.asarray(v.detach() if hasattr(v, "detach") else v) for v in values]

    return Contender(name, in_turn(function, sets), result)


def _forward(ours: Function, theirs: Function | None, shape: tuple[int, int]) -> Prepared:
    rng = generator()
    sets = [(normal(rng, *shape),) for _ in range(SETS)]
    if theirs is None:
        return Prepared(_pair(ours, sets))
    torch = rivals.torch()
    tensors = [(torch.from_numpy(x),) for (x,) in sets]
    return Prepared(_pair(ours, sets), [_pair(theirs, tensors, "torch")])


def _backward(
    forward: Function, ours: Function, theirs: Function | None, shape: tuple[int, int]
) -> Prepared:
    """``ours(y, dy, x)`` beside autograd through ``theirs(x)``."""
    rng = generator()
    inputs = [(normal(rng, *shape), normal(rng, *shape)) for _ in range(SETS)]
    own = _pair(ours, [(forward(x), dy, x) for x, dy in inputs])
    if theirs is None:
        return Prepared(own)
    torch = rivals.torch()
    graphs = []
    for x, dy in inputs:
        leaf = torch.from_numpy(x).requires_grad_()
        graphs.append((theirs(leaf), leaf, torch.from_numpy(dy)))

    def gradient(y: Any, x: Any, dy: Any) -> Any:
        return torch.autograd.grad(y, x, dy, retain_graph=True)

    return Prepared(own, [_pair(gradient, graphs, "torch")])


def _activation(entry: Activation, shape: tuple[int, int], backward: bool) -> Prepared:
    def forward(x: Array) -> Array:
        return kernels.activation_forward(x, entry.name)

    def derivative(y: Array, dy: Array, x: Array) -> Array:
        given = x if entry.needs_input else None
        return kernels.activation_backward(y, dy, entry.name, x=given)

    theirs = _torch_activation(entry)
    if backward and entry.name == "linear" and (torch := rivals.torch()) is not None:
        # Through autograd nothing would be done at all; ours makes a new array.
        sets = [(x, x, x) for x in (normal(generator(), *shape) for _ in range(SETS))]
        tensors = [(torch.from_numpy(x),) for x, _, _ in sets]
        return Prepared(_pair(derivative, sets), [_pair(torch.clone, tensors, "torch")])
    if backward:
        return _backward(forward, derivative, theirs, shape)
    return _forward(forward, theirs, shape)


def _rowwise(name: str, shape: tuple[int, int], backward: bool) -> Prepared:
    torch = rivals.torch()
    function = getattr(torch, name, None)  # torch has no sparsemax
    theirs = None if function is None else lambda x: function(x, -1)
    forward, derivative = getattr(kernels, name), getattr(kernels, f"{name}_backward")
    if backward:
        return _backward(forward, lambda y, dy, x: derivative(y, dy), theirs, shape)
    return _forward(forward, theirs, shape)


def _glu(shape: tuple[int, int], backward: bool) -> Prepared:
    """Of rows of twice as many columns."""
    torch = rivals.torch()
    rows, cols = shape
    theirs = None if torch is None else torch.nn.functional.glu
    if not backward:
        return _forward(kernels.glu, theirs, (rows, 2 * cols))
    rng = generator()
    inputs = [(normal(rng, rows, 2 * cols), normal(rng, rows, cols)) for _ in range(SETS)]
    own = _pair(kernels.glu_backward, inputs)
    if torch is None:
        return Prepared(own)
    graphs = []
    for x, dy in inputs:
        leaf = torch.from_numpy(x).requires_grad_()
        graphs.append((torch.nn.functional.glu(leaf), leaf, torch.from_numpy(dy)))

    def gradient(y: Any, x: Any, dy: Any) -> Any:
        return torch.autograd.grad(y, x, dy, retain_graph=True)

    return Prepared(own, [_pair(gradient, graphs, "torch")])


def _dropout(shape: tuple[int, int]) -> Prepared:
    """Masks are everybody's own: what must be equal is the share that is kept, and the mean."""
    rng = generator()
    sets = [(rng.random(shape, np.float32) + 0.5,) for _ in range(SETS)]

    def contender(function: Function, sets: Sequence[tuple[Any, ...]], name: str) -> Contender:
        def result() -> list[Array]:
            found = np.asarray(function(*sets[0]))
            kept = np.count_nonzero(found) / max(1, found.size)
            return [np.array([kept, found.mean() if found.size else 0.0])]

        return Contender(name, in_turn(function, sets), result)

    own = contender(lambda x: kernels.dropout(x, 0.2, (1, 2)), sets, "onepass")
    torch = rivals.torch()
    if torch is None:
        return Prepared(own)
    tensors = [(torch.from_numpy(x),) for (x,) in sets]
    return Prepared(own, [contender(lambda x: torch.dropout(x, 0.2, True), tensors, "torch")])


def _loss_data(entry: Loss, shape: tuple[int, int]) -> list[tuple[Array, Array]]:
    """Sets of (prediction, target) of the kind that the loss reads."""
    rng = generator()
    sets = []
    for _ in range(SETS):
        prediction = normal(rng, *shape)
        target = normal(rng, *shape) if entry.prediction == "linear" else None
        if entry.prediction == "probability":
            prediction = kernels.activation_forward(prediction, "sigmoid")
        if entry.prediction == "positive":
            prediction = np.abs(prediction)
        if entry.row_wise:
            if entry.prediction == "probability":
                prediction = prediction / prediction.sum(-1, keepdims=True)
            target = np.zeros(shape, np.float32)
            target[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] = 1.0
        elif target is None:
            target = (rng.random(shape) < 0.5).astype(np.float32)
        sets.append((prediction, target))
    return sets


def _loss(entry: Loss, shape: tuple[int, int]) -> Prepared:
    sets = _loss_data(entry, shape)
    scale = 1.0 / shape[0]

    def ours(prediction: Array, target: Array) -> tuple[Array, Array]:
        values, gradient = kernels.loss(target, prediction, entry.name, scale=scale)
        return values.mean(), gradient

    own = _pair(ours, sets)
    theirs = _torch_loss(entry)
    if theirs is None:
        return Prepared(own)
    torch = rivals.torch()
    tensors = [(torch.from_numpy(p).requires_grad_(), torch.from_numpy(t)) for p, t in sets]

    def value_and_gradient(prediction: Any, target: Any) -> tuple[Any, Any]:
        value = theirs(prediction, target)
        return value, *torch.autograd.grad(value, prediction)

    return Prepared(own, [_pair(value_and_gradient, tensors, "torch")])


def cases(sizes: Sizes) -> Iterator[Case]:
    """Forward and backward of each activation, value with gradient of each loss."""
    shape = sizes.rows
    array = FLOAT * shape[0] * shape[1]
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
                partial(_activation, entry, shape, backward),
            )
        direction, suffix = ("backward", "_backward") if backward else ("forward", "")
        for name in ("softmax", "log_softmax", "sparsemax"):
            yield Case(
                f"{name} {direction} {label}",
                "elementwise",
                (f"kernel:{name}{suffix}",),
                work(TRIAD if backward else COPY),
                partial(_rowwise, name, shape, backward),
            )
        yield Case(
            f"glu {direction} {label}",
            "elementwise",
            (f"kernel:glu{suffix}",),
            work(Stream(3, 0, 1) if backward else Stream(2, 0, 1)),
            partial(_glu, shape, backward),
        )
    yield Case(
        f"dropout {label}",
        "elementwise",
        ("kernel:dropout",),
        work(COPY),
        partial(_dropout, shape),
        tolerance=5.0 / math.sqrt(max(1, shape[0] * shape[1])),  # 7 standard deviations
    )
    for loss in LOSSES.values():
        yield Case(
            f"{loss.name} {label}",
            "elementwise",
            (f"loss:{loss.name}", "kernel:loss"),
            work(TRIAD),
            partial(_loss, loss, shape),
            tolerance=2e-5,
        )

"""The rivals' training: the same weights, rows, orders and settings; torch's and JAX's loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, pairwise
from typing import Any, Protocol

import numpy as np

from onepass.bench import rivals
from onepass.bench.cases import Array, Contender
from onepass.bench.families.data import Draw
from onepass.bench.families.networks import CHECKED_STEPS, CLASSES, OPTIONS, RATES, Network, changes
from onepass.bench.families.rival_estimators import KerasTraining, SklearnTraining

_TORCH_ACTIVATIONS = {"relu": "ReLU", "gelu": "GELU"}
_TORCH_OPTIONS = {"epsilon": "eps"}  # where the name differs
_BETAS = (0.9, 0.999)  # everybody's default


def torch_module(network: Network, weights: Sequence[Array]) -> Any:
    """Return torch's module with our weights; its output is logits where it classifies."""
    torch = rivals.torch()
    layers: list[Any] = []
    for inputs, outputs in pairwise(network.widths):
        if network.normalizes:
            layers.append(torch.nn.BatchNorm1d(inputs, eps=1e-3, momentum=0.01))
        if network.drops:
            layers.append(torch.nn.Dropout(network.drops))
        layer = torch.nn.Linear(inputs, outputs)
        layers += [layer, getattr(torch.nn, _TORCH_ACTIVATIONS[network.activation])()]
    module = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(weight.T.copy()))
    return module


class TorchTraining:
    """The usual eager loop; its optimizer is torch's default one or the fused one.

    ``device`` is torch's name of where all lies; ``how`` goes to the optimizer.
    """

    def __init__(
        self,
        network: Network,
        x: Array,
        y: Array,
        optimizer: str,
        batch: int,
        initial: Sequence[Array],
        *,
        fused: bool,
        device: str = "cpu",
        **how: bool,
    ) -> None:
        torch = rivals.torch()
        self._initial, self._device = initial, device
        self._module = torch_module(network, initial).to(device)
        self._x = torch.from_numpy(x).to(device)
        self._y = torch.from_numpy(y.astype(np.int64) if network.classifies else y).to(device)
        self._loss = torch.nn.CrossEntropyLoss() if network.classifies else torch.nn.MSELoss()
        self._batch = batch
        cls = getattr(torch.optim, CLASSES[optimizer].__name__)
        options = {_TORCH_OPTIONS.get(k, k): v for k, v in OPTIONS[optimizer].items()}
        if fused:
            how["fused"] = True
        self._optimizer = cls(self._module.parameters(), lr=RATES[optimizer], **options, **how)

    def given(self, order: Array) -> Any:
        """Return an order as `train` wants it."""
        return rivals.torch().from_numpy(order).to(self._device)

    def loss(self, rows: Any) -> Any:
        """Return the loss of a batch."""
        return self._loss(self._module(self._x[rows]), self._y[rows])

    def step(self, rows: Any) -> None:
        """Train on a batch."""
        self._optimizer.zero_grad()
        self.loss(rows).backward()
        self._optimizer.step()

    def train(self, order: Any) -> None:
        """Train on the rows of an order, batch by batch, and wait for the result."""
        for rows in order.split(self._batch):
            self.step(rows)
        if self._device != "cpu":
            rivals.torch().cuda.synchronize()

    def changed(self) -> list[Array]:
        """Return what training has changed, in our layout."""
        after = [p.detach().cpu().numpy() for p in self._module.parameters()]
        return changes([a.T if a.ndim == 2 else a for a in after], self._initial)


def _jax_dropout(rate: float, key: Any, at: int, x: Any) -> Any:
    jax = rivals.jax()
    kept = jax.random.bernoulli(jax.random.fold_in(key, at), 1.0 - rate, x.shape)
    return jax.numpy.where(kept, x / (1.0 - rate), 0.0)


def jax_forward(network: Network, parameters: Sequence[Any], x: Any, key: Any = None) -> Any:
    """Return the network's output in JAX; logits where it classifies. A key drops elements."""
    nn = rivals.jax().nn
    activations = {"relu": nn.relu, "gelu": partial(nn.gelu, approximate=False)}
    last = len(parameters) // 2 - 1
    for at in range(last + 1):
        if network.drops and key is not None:
            x = _jax_dropout(network.drops, key, at, x)
        x = x @ parameters[2 * at] + parameters[2 * at + 1]
        if at < last:
            x = activations[network.activation](x)
    return x


def _jax_loss(network: Network, parameters: Any, x: Any, y: Any, step: Any) -> Any:
    jax = rivals.jax()
    key = jax.random.fold_in(jax.random.key(0), step) if network.drops else None
    output = jax_forward(network, parameters, x, key)
    if not network.classifies:
        return ((output - y) ** 2).mean()
    logarithms = jax.nn.log_softmax(output)
    return -jax.numpy.take_along_axis(logarithms, y[:, None], axis=1).mean()


def _jax_adam(optimizer: str, step: Any, p: Any, g: Any, m: Any, v: Any) -> tuple[Any, Any, Any]:
    """Return a tensor and its moments after Adam's step, or AdamW's, by torch's formula."""
    (b1, b2), rate, options = _BETAS, RATES[optimizer], OPTIONS[optimizer]
    step = step.astype(p.dtype)  # a power of a whole number has the default float type
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    root = rivals.jax().numpy.sqrt(v / (1 - b2**step)) + options["epsilon"]
    decayed = p * (1 - rate * options.get("weight_decay", 0.0))
    return decayed - rate / (1 - b1**step) * m / root, m, v


class JaxTraining:
    """A jitted step called batch by batch, or one call that scans all batches of an order.

    Parameters and states are donated, so that XLA may update them in place.
    """

    def __init__(
        self,
        network: Network,
        x: Array,
        y: Array,
        optimizer: str,
        batch: int,
        initial: Sequence[Array],
        *,
        scanned: bool,
    ) -> None:
        jax = rivals.jax()
        self._initial, self._batch, self._scanned = initial, batch, scanned
        self._data = jax.numpy.array(x), jax.numpy.array(y)
        zeros = [jax.numpy.zeros_like(p) for p in initial]
        moments = () if optimizer == "sgd" else (zeros, [z.copy() for z in zeros])
        self._carry = ([jax.numpy.array(p) for p in initial], moments, jax.numpy.int32(0))
        gradient = jax.grad(partial(_jax_loss, network))

        def step(carry: Any, data: Any, rows: Any) -> Any:
            parameters, moments, done = carry
            gradients = gradient(parameters, data[0][rows], data[1][rows], done)
            if not moments:
                pairs = zip(parameters, gradients, strict=True)
                return [p - RATES[optimizer] * g for p, g in pairs], moments, done + 1
            tensors = zip(parameters, gradients, *moments, strict=True)
            after = [_jax_adam(optimizer, done + 1, *tensor) for tensor in tensors]
            parameters, *moments = (list(part) for part in zip(*after, strict=True))
            return parameters, tuple(moments), done + 1

        def steps(carry: Any, data: Any, rows: Any) -> Any:
            return jax.lax.scan(lambda now, some: (step(now, data, some), None), carry, rows)[0]

        self._step = jax.jit(step, donate_argnums=0)
        self._steps = jax.jit(steps, donate_argnums=0)

    def given(self, order: Array) -> list[Any]:
        """Return an order as `train` wants it: one array a call, of one batch or of many."""
        whole = len(order) // self._batch * self._batch
        batches = order[:whole].reshape(-1, self._batch).astype(np.int32)
        calls = [batches] if self._scanned else [*batches]
        if whole < len(order):
            calls.append(order[whole:].astype(np.int32))
        return [rivals.jax().numpy.array(rows) for rows in calls]

    def train(self, order: list[Any]) -> None:
        """Train on the rows of an order and wait for the result."""
        for rows in order:
            advance = self._step if rows.ndim == 1 else self._steps
            self._carry = advance(self._carry, self._data, rows)
        rivals.jax().block_until_ready(self._carry)

    def changed(self) -> list[Array]:
        """Return what training has changed."""
        return changes([np.asarray(p) for p in self._carry[0]], self._initial)


class Training(Protocol):
    """A rival's training of one model."""

    def given(self, order: Array) -> Any:
        """Return an order of rows as `train` wants it."""

    def train(self, order: Any) -> None:
        """Train on these rows."""

    def changed(self) -> list[Array]:
        """Return what training has changed, in our layout."""


def _installed(network: Network, optimizer: str) -> Iterator[tuple[str, Callable[..., Training]]]:
    if rivals.torch() is not None:
        yield "torch eager", partial(TorchTraining, fused=False)
        yield "torch fused", partial(TorchTraining, fused=True)
    if rivals.jax() is not None and not network.normalizes:
        yield "JAX jit", partial(JaxTraining, scanned=False)
        yield "JAX scan", partial(JaxTraining, scanned=True)
    keras = rivals.keras()
    # Its batch norm computes float64 in float32.
    if keras is not None and not (network.normalizes and network.dtype == "float64"):
        yield f"Keras {keras.backend.backend()}", KerasTraining
    if SklearnTraining.knows(network, optimizer):
        yield "scikit-learn", SklearnTraining


def trainings(
    network: Network,
    x: Array,
    y: Array,
    optimizer: str,
    batch: int,
    initial: Sequence[Array],
    orders: Sequence[Array] | None,
    keras_result: Callable[[], Sequence[Array]] | None = None,
) -> list[Contender]:
    """Return all rivals' training.

    Parameters
    ----------
    orders : rows in the orders that runs take in turn; None: each run shuffles all samples anew,
        which is then a part of its time, and the result is of the first rows
    keras_result : our result in Keras's convention, if that is another one
    """
    first = np.arange(len(x)) if orders is None else orders[0]
    checked = first[: CHECKED_STEPS * batch]
    found = []
    for name, make in _installed(network, optimizer):
        training = make(network, x, y, optimizer, batch, initial)
        run = _epochs(training, len(x)) if orders is None else passes(training, orders)
        own_loop = isinstance(training, KerasTraining | SklearnTraining)
        result = partial(result_of, training, checked)
        found.append(Contender(name, run, result, keras_result if own_loop else None))
    return found


def passes(training: Training, orders: Sequence[Array]) -> Callable[[], None]:
    """Return a call that trains on the rows of the next order, which lie ready."""
    following = cycle([training.given(order) for order in orders]).__next__
    return lambda: training.train(following())


def _epochs(training: Training, samples: int) -> Callable[[], None]:
    """Return a call that shuffles all rows and trains on them."""
    if isinstance(training, KerasTraining):
        return training.epoch
    draw = Draw("float32", 3)
    return lambda: training.train(training.given(draw.order(samples)))


def result_of(training: Training, checked: Array) -> list[Array]:
    """Return what training on these rows changes."""
    training.train(training.given(checked))
    return training.changed()

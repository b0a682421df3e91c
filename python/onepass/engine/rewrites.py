"""Fusion: explicit rewrites of a list of calls.

Each takes a list and returns a new one that computes the same; ``tolerance`` is the relative error
it may introduce, 0 where the results stay bitwise equal. Tests hold each against the plain list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from onepass import _core
from onepass._formulas import ACTIVATIONS
from onepass.engine.calls import Buffer, Call
from onepass.engine.storage import padded

Calls = list[Call]


@dataclass(frozen=True)
class Rewrite:
    """A fusion and the relative error that it may introduce."""

    apply: Callable[[Calls], Calls]
    tolerance: float

    @property
    def name(self) -> str:
        """The function's name."""
        return self.apply.__name__


def _writer(calls: Calls, buffer: Buffer, kernel: str) -> Call | None:
    """Return the call of this kernel that writes exactly this buffer, if it is the only writer."""
    writers = [call for call in calls if call.writes_to(buffer)]
    if len(writers) == 1 and writers[0].kernel == kernel:
        (writer,) = writers
        if any(written is buffer for written in writer.writes.values()):
            return writer
    return None


def _others(calls: Calls, buffer: Buffer, *known: Call | None) -> Calls:
    """Calls that touch the buffer beside the known ones."""
    return [call for call in calls if call not in known and call.touches(buffer)]


def _without(calls: Calls, *removed: Call | None) -> Calls:
    return [call for call in calls if call not in removed]


def _replaced(calls: Calls, old: Call, new: Call, *removed: Call | None) -> Calls:
    return [new if call is old else call for call in _without(calls, *removed)]


_FUSED_LOSSES = {
    "categorical_crossentropy": ("softmax", "softmax_backward"),
    "binary_crossentropy": ("activation_forward", "activation_backward"),
    "binary_focal_crossentropy": ("activation_forward", "activation_backward"),
}


def _is_output_of(loss: Call, activation: Call) -> bool:
    return activation.kernel == "softmax" or activation.attributes["activation"] == "sigmoid"


def _gradient_chain(calls: Calls, loss: Call, kernel: str) -> tuple[bool, Call | None]:
    """Return whether the loss's gradient can go past the activation, and the call that goes."""
    gradient = loss.writes.get("gradient")
    if gradient is None:
        return True, None
    users = _others(calls, gradient, loss)
    if len(users) != 1 or users[0].kernel != kernel or users[0].attributes.get("accumulate"):
        return False, None
    return True, users[0]


def fuse_output_loss(calls: Calls) -> Calls:
    """Softmax or sigmoid with its cross-entropy: loss and gradient from the logits."""
    for loss in [call for call in calls if call.kernel == "loss"]:
        kernels = _FUSED_LOSSES.get(loss.attributes["loss"])
        prediction = loss.reads["prediction"]
        if kernels is None:
            continue
        activation = _writer(calls, prediction, kernels[0])
        if activation is None or not _is_output_of(loss, activation):
            continue
        possible, backward = _gradient_chain(calls, loss, kernels[1])
        readers = _others(calls, prediction, activation, loss, backward)
        early = any(calls.index(reader) < calls.index(loss) for reader in readers)
        if not possible or early:
            continue
        writes = dict(loss.writes)
        if backward is not None:
            writes["gradient"] = backward.writes["dx"]
        if readers:
            writes["probabilities"] = prediction
        fused = replace(
            loss,
            reads={**loss.reads, "prediction": activation.reads["x"]},
            writes=writes,
            attributes={**loss.attributes, "loss": loss.attributes["loss"] + "_from_logits"},
        )
        calls = _replaced(calls, loss, fused, activation, backward)
    return calls


_ACTIVATING = ("dense_forward", "batch_norm_forward", "batch_norm_inference")


def _activations(calls: Calls, kernel: str) -> Calls:
    """Calls of an elementwise kernel whose function another kernel can take on."""
    return [
        call
        for call in calls
        if call.kernel == kernel and call.attributes["activation"] in ACTIVATIONS
    ]


def fuse_activation(calls: Calls) -> Calls:
    """The activation at the end of the product or batch norm before it."""
    for activation in _activations(calls, "activation_forward"):
        source = activation.reads["x"]
        writers = [_writer(calls, source, kernel) for kernel in _ACTIVATING]
        before = next((writer for writer in writers if writer is not None), None)
        if before is None or before.attributes["activation"] != "linear":
            continue
        writes = {**before.writes, "y": activation.writes["y"]}
        if _others(calls, source, before, activation):  # the derivative reads the input
            writes["z"] = source
        fused = replace(
            before, writes=writes, attributes={**before.attributes, **activation.attributes}
        )
        calls = _replaced(calls, before, fused, activation)
    return calls


def fuse_dropout(calls: Calls) -> Calls:
    """Dropout behind a product that ends with relu, forward and backward.

    Where the stored output is above 0, the element was kept and relu's slope is 1: the epilogue of
    the input-gradient product needs no mask, and relu's own output is stored nowhere.
    """
    for drop in [call for call in calls if call.kernel == "dropout"]:
        relu, dropped = drop.reads["x"], drop.writes["y"]
        product = _writer(calls, relu, "dense_forward")
        if product is None or not _drops_behind_relu(product, drop):
            continue
        slopes = _others(calls, relu, product, drop)
        chains = [_dropped_gradient(calls, drop, slope) for slope in slopes]
        if any(chain is None for chain in chains):
            continue
        rate = drop.attributes["rate"]
        attributes = {"dropout_rate": rate, "dropout_key": drop.attributes["key"]}
        fused = replace(
            product,
            writes={**product.writes, "y": dropped},
            attributes={**product.attributes, **attributes},
        )
        calls = _replaced(calls, product, fused, drop)
        for behind, mask, slope in filter(None, chains):
            gradient = replace(
                behind,
                reads={**behind.reads, "y": dropped},
                writes={"dx": slope.writes["dx"]},
                attributes={**slope.attributes, "gain": 1.0 / (1.0 - rate)},
            )
            calls = _replaced(calls, behind, gradient, mask, slope)
    return calls


def _drops_behind_relu(product: Call, drop: Call) -> bool:
    """Whether what is dropped and what relu zeroed are the zeros of the output."""
    plain = not drop.attributes["gradient"] and not drop.attributes["alpha"]
    ends_with_relu = product.attributes["activation"] == "relu" and "z" not in product.writes
    return plain and ends_with_relu and drop.attributes["rate"] < 1.0


def _dropped_gradient(calls: Calls, drop: Call, slope: Call) -> tuple[Call, Call, Call] | None:
    """Return the input-gradient product, the mask and relu's slope where nothing else uses them."""
    if slope.kernel != "activation_backward" or slope.attributes["accumulate"]:
        return None
    mask = _writer(calls, slope.reads["dy"], "dropout")
    if mask is None or mask.attributes["key"] != drop.attributes["key"]:
        return None
    product = _writer(calls, mask.reads["x"], "dense_backward_input")
    if product is None or product.attributes["activation"] != "linear":
        return None
    used = _others(calls, mask.writes["y"], mask, slope) + _others(
        calls, mask.reads["x"], product, mask
    )
    return None if used or product.attributes["accumulate"] else (product, mask, slope)


def fuse_activation_backward(calls: Calls) -> Calls:
    """The activation's derivative in the epilogue of the input-gradient product behind it."""
    for activation in _activations(calls, "activation_backward"):
        dy = activation.reads["dy"]
        product = _writer(calls, dy, "dense_backward_input")
        if product is None or product.attributes["activation"] != "linear":
            continue
        if _others(calls, dy, product, activation):
            continue
        if product.attributes["accumulate"] or activation.attributes["accumulate"]:
            continue
        reads = {**product.reads, "y": activation.reads["y"]}
        if "x" in activation.reads:
            reads["z"] = activation.reads["x"]
        fused = replace(
            product,
            reads=reads,
            writes={**product.writes, "dx": activation.writes["dx"]},
            attributes={**product.attributes, **activation.attributes},
        )
        calls = _replaced(calls, product, fused, activation)
    return calls


def fuse_update(calls: Calls) -> Calls:
    """The update of a dense layer, and its penalties, behind each stripe of its weight gradient."""
    for update in [call for call in calls if call.kernel == "update"]:
        if not update.attributes["optimizer"].elementwise:
            continue
        left = update
        for product in [call for call in calls if call.kernel == "dense_backward_weights"]:
            tensors = _tensors_of(calls, product, left)
            if not tensors:
                continue
            parameters = {role[1]: left.writes[f"p{i}"] for role, i in tensors.items()}
            attributes = {
                "optimizer": update.attributes["optimizer"],
                "tensors": list(tensors.values()),
            }
            penalties = [_penalty_on(calls, product.writes[role]) for role in tensors]
            if any(penalties):
                attributes["penalties"] = [_factors(penalty) for penalty in penalties]
            fused = Call(
                "dense_update", product.reads, {**product.writes, **parameters}, attributes
            )
            rest = _update_without(left, set(tensors.values()))
            calls = _replaced(_replaced(calls, product, fused), left, rest)
            for penalty in filter(None, penalties):
                calls = _replaced(calls, penalty, _without_gradient(penalty))
            left = rest
        if not left.reads:
            calls = _without(calls, left)
    return calls


def _tensors_of(calls: Calls, product: Call, update: Call) -> dict[str, int]:
    """Return the update's tensors by the product's roles; none unless it can take them all."""
    if "dw" not in product.writes or product.attributes.get("accumulate"):
        return {}
    tensors = {}
    for role, gradient in product.writes.items():
        used = _others(calls, gradient, product, update, _penalty_on(calls, gradient))
        found = [name for name, buffer in update.reads.items() if buffer is gradient]
        if used or not found:
            return {}
        tensors[role] = int(found[0].removeprefix("g"))
    return tensors


def _penalty_on(calls: Calls, gradient: Buffer) -> Call | None:
    """Return a penalty on a parameter that adds to this gradient."""
    for call in calls:
        if call.kernel == "penalty" and call.writes.get("gradient") is gradient:
            return call if call.attributes["accumulate"] else None
    return None


def _factors(penalty: Call | None) -> tuple[float, float]:
    return (0.0, 0.0) if penalty is None else (penalty.attributes["l1"], penalty.attributes["l2"])


def _without_gradient(penalty: Call) -> Call:
    """Return the penalty's value alone."""
    return replace(
        penalty,
        writes={"values": penalty.writes["values"]},
        attributes={**penalty.attributes, "accumulate": False},
    )


def _update_without(update: Call, tensors: set[int]) -> Call:
    """Return the update of the other tensors."""
    kept = [int(name[1:]) for name in update.reads if int(name[1:]) not in tensors]
    return replace(
        update,
        reads={f"g{i}": update.reads[f"g{i}"] for i in kept},
        writes={f"p{i}": update.writes[f"p{i}"] for i in kept},
        attributes={**update.attributes, "tensors": kept},
    )


_NORM_ROLES = ("norm_x", "statistics", "gamma", "beta", "sums", "dgamma", "dbeta")
DENSE_UPDATE_ROLES = ("x", "dz", "dw", "db", *_NORM_ROLES)  # that the native call is told


def fuse_input_norm(calls: Calls) -> Calls:
    """Gradients of a batch norm on a model's input within the update of the layer behind it.

    They follow from that layer's weights and their gradient: no product is needed for them.
    """
    for norm in [call for call in calls if call.kernel == "batch_norm_backward"]:
        product = _writer(calls, norm.reads["dy"], "dense_backward_input")
        if "dx" in norm.writes or product is None or not _only_leads_to(calls, product, norm):
            continue
        made = next(c for c in calls if norm.reads["statistics"] in c.writes.values())
        dense = _update_behind(calls, product, made)
        if dense is None:
            continue
        cols = dense.writes["dw"].cols
        sums = Buffer("column_sums", "table", cols, padded(cols), rows=1)
        add_up = Call(
            "dense_backward_weights",
            {"x": dense.reads["x"], "dz": dense.reads["dz"]},
            {"db": sums},
            {"accumulate": False},
        )
        reads = {"norm_x": norm.reads["x"], "statistics": norm.reads["statistics"], "sums": sums}
        reads |= {role: made.reads[role] for role in ("gamma", "beta") if role in made.reads}
        fused = replace(
            dense, reads={**dense.reads, **reads}, writes={**dense.writes, **norm.writes}
        )
        calls = _replaced(_replaced(calls, dense, fused), norm, add_up, product)
    return calls


def _only_leads_to(calls: Calls, product: Call, norm: Call) -> bool:
    """Whether the product's result is that norm's gradient alone, and whose own go to updates."""
    added = ("accumulate", "accumulate_gamma", "accumulate_beta")
    if product.attributes["activation"] != "linear" or product.attributes["accumulate"]:
        return False
    if any(norm.attributes[name] for name in added):
        return False
    if _others(calls, norm.reads["dy"], product, norm):
        return False
    users = [other for buffer in norm.writes.values() for other in _others(calls, buffer, norm)]
    return all(user.kernel == "update" for user in users)


def _update_behind(calls: Calls, product: Call, made: Call) -> Call | None:
    """Return the update of the product's layer, where its input is what that norm made."""
    if made.attributes["activation"] != "linear":
        return None
    for call in calls:
        if (
            call.kernel == "dense_update"
            and call.reads["dz"] is product.reads["dz"]
            and call.reads["x"] is made.writes["y"]
            and call.writes["w"] is product.reads["w"]
            and 2 <= call.writes["dw"].cols <= _core.most_norm_units
        ):
            return call
    return None


REWRITES = (
    # From the logits nothing is clipped or rounded on the way through the probabilities.
    Rewrite(fuse_output_loss, 1e-5),
    Rewrite(fuse_activation, 0.0),
    Rewrite(fuse_dropout, 0.0),
    Rewrite(fuse_activation_backward, 0.0),
    Rewrite(fuse_update, 0.0),
    # By other sums of the same products; divided by gamma where that keeps their digits.
    Rewrite(fuse_input_norm, 1e-5),
)


def rewrite(calls: Calls, rewrites: tuple[Rewrite, ...] = REWRITES) -> Calls:
    """Apply the rewrites in order."""
    for step in rewrites:
        calls = step.apply(calls)
    return calls

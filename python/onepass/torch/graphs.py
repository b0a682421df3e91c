"""Steps in CUDA graphs that a user captures (`torch.cuda.graph`).

A graph launches the same step again and again and tells nobody. So captured steps count themselves
on the GPU; whoever asks how many were done waits and reads that. A learning rate that is a number
stays in the graph as it is, as in torch; one that is a tensor on the GPU is read at each launch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import torch

from onepass import _core, _gpu
from onepass.optimizers._gpu_arrays import check_gpu, library_of

Tensor = Any


def cannot_capture(why: str) -> RuntimeError:
    """Return the refusal of a step in a graph."""
    return RuntimeError(f"a step cannot be captured in a CUDA graph: {why}")


def refuse_first_step(parameters: Iterable[Tensor]) -> None:
    """Refuse to make states while torch's stream is captured: they would only be part of the graph.

    Raises
    ------
    RuntimeError
    """
    library = next(filter(None, map(library_of, parameters)), None)
    if library is None:
        return
    _gpu.bring()
    if _core.captures(library.stream()):
        raise cannot_capture(
            "it is the first one with these parameters, states and groups, and what it would make "
            "would be part of the graph; do such a step before the capture"
        )


def require_gpu(i: int, group: Mapping[str, Any]) -> None:
    """Refuse a group with ``capturable=True`` that has parameters on the CPU, as torch does.

    Raises
    ------
    ValueError
    """
    if group.get("capturable") and not all(p.is_cuda for p in group["params"]):
        raise ValueError(
            f"capturable=True needs parameters on a GPU, group {i} has some on the CPU: "
            "set capturable=False"
        )


def single(values: Iterable[Any]) -> Iterable[Any]:
    """Return numbers of a group without the tuples or lists that some of them are in."""
    return chain.from_iterable(v if isinstance(v, (tuple, list)) else (v,) for v in values)


def on_gpu(value: Any) -> bool:
    """Whether a number of a group is where only a GPU can read it without a wait."""
    return isinstance(value, torch.Tensor) and value.is_cuda


def refuse_tensors(i: int, names: Sequence[str], values: Sequence[Any]) -> None:
    """Refuse numbers of a group, but for ``lr``, that only the GPU knows.

    Raises
    ------
    RuntimeError
    """
    for name, value in zip(names, values, strict=True):
        if any(map(on_gpu, single((value,)))):
            raise cannot_capture(
                f"{name} of group {i} is a tensor on the GPU, which only lr may be; "
                "give it as a number"
            )


def check_rate(i: int, lr: Tensor) -> None:
    """Refuse a tensor on a GPU that is no learning rate which launches can read.

    Raises
    ------
    ValueError
    """
    if lr.numel() != 1:
        raise ValueError(f"lr of group {i} must have one element, got {tuple(lr.shape)}")
    check_gpu(lr.device.index, f"lr of group {i}")


def rates_there(rates: Sequence[float], followed: Mapping[int, Tensor], device: Any) -> Tensor:
    """Return a tensor on the GPU into which each launch copies the learning rates of the groups.

    Parameters
    ----------
    rates : sequence of floats
        One a group.
    followed : mapping
        Tensors that are read in place of some of them, by their groups.
    device
        Where the graph runs.
    """
    there = torch.empty(len(rates), dtype=torch.float64, device=device)
    for i, rate in enumerate(rates):
        lr = followed.get(i)
        if lr is None:
            there[i].fill_(rate)
        else:
            there[i].copy_(lr.detach().reshape(()))
    return there

"""Tensors that torch takes for CUDA's, over the memory of the GPU that queues of fibers play.

As in `fake_cupy` the host dies where it touches this memory. torch itself says that these tensors
are on ``cuda:0``, keeps their addresses, strides and versions, and hands every operation on them to
`_run`, which does it on copies: so the calls of the code under test are made as on a GPU, but for
the few that `on_this_gpu` replaces. While the stream is captured, operations become part of the
graph instead, and each replay does them (`fake_torch_graph`).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

import fake_cupy
import fake_torch_graph
from fake_cupy import BUILT  # noqa: F401

GPU = torch.device("cuda", 0)
aten = torch.ops.aten
ran: list[str] = []  # operations of torch on the GPU
waits: list[str] = []  # those for which a real GPU's host would wait


class GpuTensor(torch.Tensor):
    """A tensor in the GPU's memory."""

    gpu = GPU
    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})

    def __repr__(self) -> str:  # type: ignore[override]
        return f"<{self.dtype} of shape {tuple(self.shape)} on the GPU>"

    # As torch's own, which first make the GPU the thread's, for which there is no driver.
    def copy_(self, src: torch.Tensor, non_blocking: bool = False) -> Any:
        return aten.copy_(self, src, non_blocking)

    def __getitem__(self, key: int) -> Any:
        return aten.select(self, 0, key)

    def __setitem__(self, mask: torch.Tensor, value: float) -> None:
        aten.masked_fill_(self, mask, value)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __deepcopy__(self, memo: dict[int, Any]) -> GpuTensor:
        if id(self) not in memo:
            grad = None if self.grad is None else self.grad.clone()
            memo[id(self)] = _again(self.detach().clone(), self.requires_grad, grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _again, (self.detach().cpu(), self.requires_grad, None)


def _again(values: Any, requires_grad: bool, grad: Any) -> Any:
    """Return what a copy or a pickle of a tensor on the GPU makes."""
    made = on_gpu(values)
    if requires_grad:
        made = torch.nn.Parameter(made)
        made.grad = grad
    return made


def on_gpu(values: torch.Tensor) -> Any:
    """Return a copy on the GPU, of the same strides."""
    return values.detach().to(GPU, copy=True)


class OtherGpuTensor(GpuTensor):
    """A tensor that says it is on another GPU."""

    gpu = torch.device("cuda", 1)


def on_other_gpu(values: torch.Tensor) -> Any:
    """Return a copy that says it is on another GPU."""
    copy = on_gpu(values)
    return _wrap(_over(copy.untyped_storage(), copy, 0), OtherGpuTensor)


def _wrap(plain: torch.Tensor, kind: type[GpuTensor] = GpuTensor) -> Any:
    return torch.Tensor._make_subclass(
        kind, plain, False, dispatch_device=True, device_for_backend_keys=kind.gpu
    )


def _over(storage: Any, like: torch.Tensor, offset: int) -> torch.Tensor:
    """Return a tensor of the CPU over a storage, that says the same as another."""
    return torch.empty(0, dtype=like.dtype).set_(storage, offset, like.shape, like.stride())


def _copied_to_gpu(host: torch.Tensor) -> Any:
    """Return a tensor in new memory of the GPU, laid out as one of the CPU."""
    made = _like_on_gpu(host)
    spread = host.untyped_storage()
    _copy(made.untyped_storage().data_ptr(), spread.data_ptr(), spread.nbytes())
    return made


def _like_on_gpu(host: torch.Tensor) -> Any:
    """Return a tensor in new memory of the GPU, whatever is there, laid out as one of the CPU."""
    spread = host.untyped_storage()
    memory = fake_torch_graph.pooled(fake_cupy.Memory(max(spread.nbytes(), 1)))
    kind = type("Block", (ctypes.c_char * max(spread.nbytes(), 1),), {})
    block = kind.from_address(memory.ptr)
    block.memory = memory
    storage = torch.frombuffer(block, dtype=torch.uint8).untyped_storage()
    return _wrap(_over(storage, host, host.storage_offset()))


def _copy(to: int, start: int, size: int) -> None:
    if size:
        fake_cupy._fibers.onepass_fibers_copy(
            ctypes.c_void_p(to),
            ctypes.c_void_p(start),
            ctypes.c_size_t(size),
            ctypes.c_void_p(fake_cupy._stream),
        )


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Do an operation on copies of what lies on the GPU, and copy back what it changed."""
    if func is torch.ops.prim.device.default:
        return args[0].gpu
    copies: dict[int, Any] = {}  # of storages by their addresses
    mine: dict[int, Any] = {}  # tensors of the GPU by their copies' ids
    hosts: list[Any] = []
    plain: list[Any] = []  # the CPU's

    def to_host(value: Any) -> Any:
        if not isinstance(value, GpuTensor):
            if isinstance(value, torch.Tensor):
                plain.append(value)
            return value
        storage = value.untyped_storage()
        address = storage.data_ptr()
        if address not in copies:
            copies[address] = torch.empty(storage.nbytes(), dtype=torch.uint8)
            _copy(copies[address].data_ptr(), address, storage.nbytes())
        host = _over(copies[address].untyped_storage(), value, value.storage_offset())
        mine[id(host)] = value
        hosts.append(host)
        return host

    args, kwargs = tree_map(to_host, args), tree_map(to_host, kwargs)
    wanted = kwargs.get("device")
    there = bool(hosts) if wanted is None else torch.device(wanted).type == "cuda"
    if there and wanted is not None:
        assert torch.device(wanted).index in (None, 0)
        kwargs["device"] = torch.device("cpu")
    if hosts or there:
        _note(func, bool(hosts), there, any(t.dim() for t in plain))
    if (hosts or there) and fake_torch_graph.is_captured() and not is_view(func):
        return _recorded(func, args, kwargs, mine)
    result = func(*args, **kwargs)
    if func._schema.is_mutable:
        for address, copy in copies.items():
            _copy(address, copy.data_ptr(), copy.nbytes)
    storages = {copy.untyped_storage().data_ptr(): address for address, copy in copies.items()}

    def to_gpu(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not there:
            return value
        if id(value) in mine:
            return mine[id(value)]
        if any(value is given for given in plain):
            return value
        address = storages.get(value.untyped_storage().data_ptr())
        if address is None or not value.untyped_storage().nbytes():
            return _copied_to_gpu(value)
        of = next(t for t in mine.values() if t.untyped_storage().data_ptr() == address)
        return _wrap(_over(of.untyped_storage(), value, value.storage_offset()), type(of))

    return tree_map(to_gpu, result)


def is_view(func: Any) -> bool:
    """Whether an operation says the same of memory that there is."""
    aliases = any(of.alias_info is not None for of in func._schema.arguments)
    return aliases and not func._schema.is_mutable


def _recorded(func: Any, args: Any, kwargs: dict[str, Any], mine: dict[int, Any]) -> Any:
    """Put an operation into the graph that is captured; return what it will have made."""
    operation = fake_torch_graph.Operation(func, args, kwargs, mine)
    if func._schema.is_mutable:
        operation.record(None)
        return mine[id(args[0])]
    made = _like_on_gpu(func(*args, **kwargs))
    if "empty" not in str(func):
        operation.record(made)
    return made


def _note(func: Any, had: bool, there: bool, plain: bool) -> None:
    """Write down an operation; refuse what torch refuses."""
    copies = func in (aten.copy_.default, aten._to_copy.default)
    if had and plain and func is not aten.copy_.default:
        raise RuntimeError("Expected all tensors to be on the same device, cuda:0 and cpu!")
    ran.append(str(func))
    if (copies and (plain or had != there)) or func in _READS:
        waits.append(str(func))
        fake_torch_graph.refuse_to_wait()


_READS = (aten._local_scalar_dense.default, aten.equal.default, aten.nonzero.default)


class _Factories(TorchDispatchMode):
    """Lets also what makes tensors out of nothing make them on the GPU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


@contextmanager
def on_this_gpu() -> Iterator[None]:
    """Let torch believe in this GPU."""
    torch._C._ensureCUDADeviceGuardSet()
    stream = SimpleNamespace(cuda_stream=fake_cupy._stream)
    with (
        mock.patch.object(torch.cuda, "_lazy_init"),
        mock.patch.object(torch.cuda, "current_stream", return_value=stream),
        mock.patch.object(torch.cuda, "CUDAGraph", fake_torch_graph.CUDAGraph),
        mock.patch.object(torch.cuda, "graph", fake_torch_graph.graph),
        _Factories(),
    ):
        yield

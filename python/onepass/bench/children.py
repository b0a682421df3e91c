"""Processes of their own for figures: each is held to its number of cores from its start."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")


@contextmanager
def held_to(threads: int) -> Iterator[None]:
    """Hold this thread, and threads and processes that start within, to so many cores.

    XLA and some others take their number of threads from the cores that they may use (XLA from
    NPROC, too) when they are imported, and cannot be told later. And JAX's caller runs ahead of
    its pool: a pool of one thread alone would leave it two cores.
    """
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    # OpenBLAS's threads spin 0.1 s after a product, long into the next contender's sample; now
    # 2^22 cycles, which still reaches from call to call.
    wanted = {"NPROC": str(threads), "OPENBLAS_THREAD_TIMEOUT": "22"}
    given = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    if affinity:  # the last cores: interrupts are mostly served by the first
        os.sched_setaffinity(0, sorted(affinity)[-threads:])
    try:
        yield
    finally:
        if affinity:
            os.sched_setaffinity(0, affinity)
        for name, value in given.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _send_all(sending: Connection, function: Callable[..., Iterable[Any]], given: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    for item in function(*given):
        sending.send(item)
    sending.send(StopIteration())


def in_child(threads: int, function: Callable[..., Iterable[T]], *given: Any) -> Iterator[T]:
    """Yield what ``function(*given)`` yields in a new process, held to so many cores.

    Raises
    ------
    RuntimeError
        If the process ended before it was done; what it raised is on stderr.
    """
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    child = context.Process(target=_send_all, args=(sending, function, given))
    with held_to(threads):
        child.start()
    sending.close()
    try:
        while not isinstance(item := receiving.recv(), StopIteration):
            yield item
    except (KeyboardInterrupt, GeneratorExit):
        child.terminate()
        raise
    except EOFError:
        child.join()
        raise RuntimeError(f"the process for {threads} threads ended: {child.exitcode}") from None
    finally:
        receiving.close()
        child.join()

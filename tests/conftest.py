"""Settings of all tests: Hypothesis profiles, and a backend that no failed test leaves changed."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from onepass import _core, _gpu, config

settings.register_profile("local", deadline=None, max_examples=40)
settings.register_profile("ci", deadline=None, max_examples=40, derandomize=True)
settings.register_profile("sanitize", deadline=None, max_examples=15, derandomize=True)
settings.register_profile("quick", deadline=None, max_examples=5, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=1000)
# What a shell runs in the background ignores interrupts, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Real teams at every size: by default small work is done by one thread, which would prove little.
_core.set_team_thresholds(0, 0)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "local"))
# All models on a GPU: onepass._cuda's, or onepass._cuda_fibers' on the CPU.
if gpu_module := os.environ.get("ONEPASS_TEST_GPU"):
    _gpu.MODULE = gpu_module
    config.set_device("cuda")


@pytest.fixture(autouse=True)
def same_backend_after() -> Iterator[None]:
    isa, threads, flush = _core.isa(), _core.threads(), _core.flush_denormals()
    device = config.device()
    yield
    config.set_device(device)
    _core.set_isa(isa)
    _core.set_threads(threads)
    _core.set_flush_denormals(flush)

"""Environment of the libraries that onepass is compared with; read when they are imported."""

import os
import warnings

import pytest

os.environ["KERAS_BACKEND"] = "jax"  # its NumPy backend computes in float32 whatever is asked
os.environ["JAX_ENABLE_X64"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")


@pytest.fixture(scope="module")
def keras():
    """Keras on JAX, computing in float64."""
    pytest.importorskip("jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        library = pytest.importorskip("keras")
    if library.backend.backend() != "jax":
        pytest.skip("keras was imported with another backend before")
    before = library.config.floatx()
    library.config.set_floatx("float64")
    yield library
    library.config.set_floatx(before)

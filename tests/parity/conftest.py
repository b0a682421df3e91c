"""Environment of the libraries that onepass is compared with; read when they are imported."""

import os

os.environ["KERAS_BACKEND"] = "jax"  # its NumPy backend computes in float32 whatever is asked
os.environ["JAX_ENABLE_X64"] = "1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

"""The sizes that cases come in: the real ones by default, other ones for tests and sweeps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Sizes:
    """Sizes and number type of all cases."""

    dtype: str = "float32"

    products: tuple[tuple[int, int, int], ...] = (
        (32, 784, 300),
        (256, 784, 300),
        (32, 300, 100),
        (512, 1024, 4096),
        (512, 4096, 4096),
        (1024, 256, 256),
    )
    tensors: dict[str, tuple[tuple[int, ...], ...]] = field(
        default_factory=lambda: {
            "266k": ((784, 300), (300,), (300, 100), (100,), (100, 10), (10,)),
            "16x1M": ((1 << 20,),) * 16,
        }
    )
    # As many elements in one tensor and in thousands, for a few rules.
    pieces: dict[str, tuple[tuple[int, ...], ...]] = field(
        default_factory=lambda: {"1x409600": ((409_600,),), "4096x100": ((100,),) * 4096}
    )
    rules_of_pieces: tuple[str, ...] = ("sgd", "adam")
    rows: tuple[int, int] = (256, 1024)
    normalized: tuple[tuple[int, int], ...] = ((32, 300), (256, 1024))
    m1: tuple[int, ...] = (784, 300, 100, 10)
    m2: tuple[int, ...] = (784, 300, 100, 10)  # with batch norm on the input and hidden layers
    m3: tuple[int, ...] = (784, 1024, 1024, 1024, 10)  # with dropout before each layer
    m4: tuple[int, ...] = (8, 50, 50, 50, 1)
    m5: tuple[int, ...] = (1024, 4096, 4096, 1024)
    m6: tuple[int, ...] = (256, 256, 256, 256, 64)
    training: tuple[tuple[str, int, str, int], ...] = (  # model, batch, optimizer, steps a run
        ("M1", 32, "sgd", 128),
        ("M1", 32, "adam", 128),
        ("M1", 256, "sgd", 32),
        ("M1", 256, "adam", 32),
        ("M2", 32, "sgd", 128),
        ("M2", 32, "adam", 128),
        ("M3", 128, "adam", 12),
        ("M4", 32, "adam", 1024),
        ("M5", 512, "adamw", 3),
        ("M6", 1024, "adamw", 8),
    )
    predictions: tuple[int, ...] = (1, 1024)
    samples: int = 8192
    epoch: int = 55_000

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize

    def rounding(self, tolerance: float) -> float:
        """Return a tolerance for rounding errors, given for float32, in the type of the cases."""
        return tolerance * float(np.finfo(self.dtype).eps / np.finfo(np.float32).eps)

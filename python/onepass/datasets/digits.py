"""The UCI 8x8 handwritten digits: 1,797 real images that ship inside the package.

Called by users, examples and tests; it needs no download. The split is part of the file, so it
is the same everywhere.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository, 1998, doi 10.24432/C50P49. Licence: CC BY 4.0. See DIGITS-LICENSE.md in this folder,
which also tells how ``digits.npz`` was made.
"""

import io

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_data"]

Split = tuple[NDArray[np.uint8], NDArray[np.uint8]]

TRAIN_COUNT = 1437
"""The file holds the training rows first; the 360 after them are the test rows."""


def load_data() -> tuple[Split, Split]:
    """Load the digits, split in a fixed and stratified way.

    Each class has a fifth of its images, to within one, in the test split. The same people
    wrote the digits of both splits, so test accuracy says nothing about unseen writers.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuples of ndarray
        uint8 arrays of shapes (1437, 8, 8), (1437,), (360, 8, 8) and (360,). Pixels are 0 to
        16 (not 255), labels 0 to 9. The arrays are new at each call.
    """
    from importlib import resources  # late: it imports much

    raw = resources.files("onepass.datasets").joinpath("digits.npz").read_bytes()
    with np.load(io.BytesIO(raw), allow_pickle=False) as file:
        images: NDArray[np.uint8] = file["images"]
        labels: NDArray[np.uint8] = file["labels"]
    return (
        (images[:TRAIN_COUNT], labels[:TRAIN_COUNT]),
        (images[TRAIN_COUNT:], labels[TRAIN_COUNT:]),
    )

"""MNIST: 70,000 grey 28x28 images of handwritten digits.

Called by users and examples as ``onepass.datasets.mnist``. The data is read from local files
only. Source: Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits.
"""

import os

from onepass.datasets import _idx

__all__ = ["load_data"]


def load_data(path: str | os.PathLike[str] | None = None) -> tuple[_idx.Split, _idx.Split]:
    """Load MNIST from its four IDX files, as ``keras.datasets`` does.

    Without ``path``, the environment variable ``ONEPASS_DATA`` is tried: a subfolder ``mnist``
    in that folder, else the folder itself.

    Parameters
    ----------
    path : str, os.PathLike or None
        Folder with the four files. If given, nothing else is tried.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuples of ndarray
        uint8 arrays of shapes (60000, 28, 28), (60000,), (10000, 28, 28) and (10000,).

    Raises
    ------
    FileNotFoundError
        If the data is not found, or a file is missing.
    ValueError
        If a file is not what it should be.
    """
    source = _idx.Source(
        name="mnist",
        subfolders=("mnist",),
        ways=(
            "pass path=, the folder that holds the four files",
            f"set the environment variable {_idx.ENV_VAR} to that folder",
            f"set {_idx.ENV_VAR} to a folder with the files in its subfolder mnist/",
        ),
    )
    return _idx.load(source, path)

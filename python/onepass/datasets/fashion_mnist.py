"""Fashion-MNIST: 70,000 grey 28x28 images of clothing in ten classes.

Called by users and examples as ``onepass.datasets.fashion_mnist``. The data is read from local
files only. Source: H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, arXiv:1708.07747, 2017 (MIT).
"""

import os

from onepass.datasets import _idx

__all__ = ["CLASS_NAMES", "load_data"]

DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
"""Where Debian's package ``dataset-fashion-mnist`` puts the files."""

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""Name of each label, in label order."""


def load_data(path: str | os.PathLike[str] | None = None) -> tuple[_idx.Split, _idx.Split]:
    """Load Fashion-MNIST from its four IDX files, as ``keras.datasets`` does.

    Without ``path``, the environment variable ``ONEPASS_DATA`` is tried (a subfolder
    ``fashion_mnist`` or ``fashion-mnist`` in that folder, else the folder itself), then the
    folder of Debian's package ``dataset-fashion-mnist``.

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
        name="fashion_mnist",
        subfolders=("fashion_mnist", "fashion-mnist"),
        ways=(
            "pass path=, the folder that holds the four files",
            f"set the environment variable {_idx.ENV_VAR} to that folder, or to a folder "
            "with the files in fashion_mnist/ or fashion-mnist/",
            "install Debian's package: apt install dataset-fashion-mnist",
        ),
        system_folder=DEBIAN_FOLDER,
    )
    return _idx.load(source, path)

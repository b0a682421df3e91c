"""Strict IDX reading, and the search for a folder that holds the four MNIST-style files.

Called by ``fashion_mnist`` and ``mnist``, which differ only in their ``Source``.
Invariant: an array is returned only if every byte of its file is accounted for.
"""

import gzip
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Split = tuple[UInt8Array, UInt8Array]

ENV_VAR = "ONEPASS_DATA"
TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

IMAGE_SHAPE = (28, 28)
CLASSES = 10

_UINT8 = 0x08
_DTYPE_NAMES = {
    0x08: "uint8",
    0x09: "int8",
    0x0B: "int16",
    0x0C: "int32",
    0x0D: "float32",
    0x0E: "float64",
}


@dataclass(frozen=True)
class Source:
    """Where one dataset may lie.

    Parameters
    ----------
    name : str
        Name for error messages.
    subfolders : tuple of str
        Names under which the dataset may lie inside the folder in ``ONEPASS_DATA``.
    ways : tuple of str
        What a user can do to supply the data; quoted when none is found.
    system_folder : str or None
        Where a system package installs the files, if there is such a package.
    """

    name: str
    subfolders: tuple[str, ...]
    ways: tuple[str, ...]
    system_folder: str | None = None


def read_idx(path: str | os.PathLike[str], ndim: int) -> UInt8Array:
    """Read one IDX file of unsigned bytes, gzip-compressed or not.

    Parameters
    ----------
    path : str or os.PathLike
        The file. Compression is told from its content, as downloads are often misnamed.
    ndim : int
        Number of dimensions the file must have (3 for images, 1 for labels).

    Returns
    -------
    ndarray of uint8, ndim dimensions
        C-contiguous and writable, of the shape in the file's header.

    Raises
    ------
    ValueError
        If the magic number, dtype code, number of dimensions, a dimension or the length is
        wrong. The message names the file, what was found and what was expected.
    OSError
        If the file cannot be read.
    """
    raw = _read_bytes(Path(path))
    if len(raw) < 4:
        raise ValueError(f"{path}: found {len(raw)} bytes, expected an IDX header of at least 4")
    if raw[:2] != b"\0\0":
        raise ValueError(
            f"{path}: not an IDX file: found magic number 0x{raw[:4].hex()}, "
            f"expected 0x0000{_UINT8:02x}{ndim:02x}"
        )
    if raw[2] != _UINT8:
        found = _DTYPE_NAMES.get(raw[2], "unknown")
        raise ValueError(
            f"{path}: found dtype code 0x{raw[2]:02x} ({found}), "
            f"expected 0x{_UINT8:02x} ({_DTYPE_NAMES[_UINT8]})"
        )
    if raw[3] != ndim:
        raise ValueError(f"{path}: found {raw[3]} dimension(s), expected {ndim}")
    start = 4 + 4 * ndim
    if len(raw) < start:
        raise ValueError(f"{path}: found {len(raw)} bytes, expected a header of {start}")
    # Python integers, so that a corrupt header cannot overflow the product below.
    shape = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4))
    if 0 in shape:
        raise ValueError(f"{path}: found dimensions {shape}, expected each to be at least 1")
    size = math.prod(shape)
    if len(raw) - start != size:
        raise ValueError(
            f"{path}: found {len(raw) - start} bytes of data, "
            f"expected {size} for dimensions {shape}"
        )
    # frombuffer gives a read-only view of the bytes; the copy is writable.
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape).copy()


def find_folder(source: Source, path: str | os.PathLike[str] | None = None) -> Path:
    """Find the folder that holds a dataset's files.

    The order is ``path``, then ``ONEPASS_DATA`` (a subfolder with one of the dataset's names
    before the folder itself, as the files of all such datasets have the same names), then the
    system folder.

    Parameters
    ----------
    source : Source
        The dataset.
    path : str, os.PathLike or None
        The folder to use. If given, nothing else is tried.

    Returns
    -------
    pathlib.Path
        An existing folder: ``path`` as given, or one that holds at least one of the files.

    Raises
    ------
    FileNotFoundError
        If ``path`` or the folder in ``ONEPASS_DATA`` is not a folder, or if none is found.
    """
    if path is not None:
        return _existing(Path(path), "path")
    candidates: list[Path] = []
    setting = os.environ.get(ENV_VAR)
    if setting:
        # A mistyped setting must not silently fall through to another copy of the data.
        parent = _existing(Path(setting), ENV_VAR)
        candidates += [parent / name for name in source.subfolders]
        candidates.append(parent)
    if source.system_folder is not None:
        candidates.append(Path(source.system_folder))
    for folder in candidates:
        # One file is enough: an incomplete folder is reported by load, not passed over.
        if any(_find_file(folder, name) for name in FILES):
            return folder
    looked = ", ".join(str(folder) for folder in candidates) or f"nowhere ({ENV_VAR} is not set)"
    ways = "".join(f"\n  {i}. {way}" for i, way in enumerate(source.ways, 1))
    raise FileNotFoundError(
        f"{source.name}: no data found (looked in: {looked}). Do one of these:{ways}"
    )


def load(source: Source, path: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """Find and read a dataset's four files.

    Parameters
    ----------
    source : Source
        The dataset.
    path : str, os.PathLike or None
        Passed to `find_folder`.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuples of ndarray
        Images of shape (n, 28, 28) and labels of shape (n,), all uint8.

    Raises
    ------
    FileNotFoundError
        If no folder is found or it lacks one of the files; the message names the file.
    ValueError
        If a file is malformed, the images are not 28x28, a label is above 9, or images and
        labels differ in number.
    """
    folder = find_folder(source, path)
    files = {name: _find_file(folder, name) for name in FILES}
    missing = [name for name, file in files.items() if file is None]
    if missing:
        raise FileNotFoundError(
            f"{source.name}: {folder} lacks {', '.join(missing)} "
            "(each may end in .gz, and may have '.' before 'idx')"
        )
    found = {name: file for name, file in files.items() if file is not None}
    return (
        _read_split(found[TRAIN_IMAGES], found[TRAIN_LABELS]),
        _read_split(found[TEST_IMAGES], found[TEST_LABELS]),
    )


def _read_bytes(path: Path) -> bytes:
    """Return the file's content, decompressed if it is gzip."""
    raw = path.read_bytes()
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path}: found damaged gzip data ({error}), expected gzip") from error


def _existing(folder: Path, given_by: str) -> Path:
    """Return the folder with ``~`` expanded, or raise naming where it was given."""
    folder = folder.expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"{given_by} is {str(folder)!r}, which is not an existing folder")
    return folder


def _find_file(folder: Path, name: str) -> Path | None:
    """Return the file under whichever of its four usual names is there."""
    for stem in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            file = folder / (stem + suffix)
            # Some archives unpack to a folder with the file's own name.
            if file.is_file():
                return file
    return None


def _read_split(images_file: Path, labels_file: Path) -> Split:
    """Read images and labels that belong together, checking that they do."""
    images = read_idx(images_file, 3)
    labels = read_idx(labels_file, 1)
    if images.shape[1:] != IMAGE_SHAPE:
        raise ValueError(
            f"{images_file}: found images of shape {images.shape[1:]}, expected {IMAGE_SHAPE}"
        )
    if len(images) != len(labels):
        raise ValueError(
            f"{labels_file}: found {len(labels)} labels, "
            f"expected {len(images)}, the number of images in {images_file}"
        )
    if labels.max() >= CLASSES:
        raise ValueError(f"{labels_file}: found label {labels.max()}, expected 0 to {CLASSES - 1}")
    return images, labels

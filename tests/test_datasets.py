"""Tests of ``onepass.datasets``: strict IDX reading, the folder search, and the shipped digits.

Run by pytest. Only the last test needs data from outside the package, and is skipped without it.
"""

import gzip
import hashlib
import io
import struct
from importlib import resources
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from onepass.datasets import _idx, digits, fashion_mnist, mnist

BOTH = pytest.mark.parametrize("module", [fashion_mnist, mnist])
DIGITS_SHA256 = "a2be02acce09d78b29bdc4d69134809e95bc05bbc80e8488ed4258bb807139f4"
FASHION_FOLDER = fashion_mnist.DEBIAN_FOLDER


@pytest.fixture(autouse=True)
def no_installed_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide whatever data this machine has."""
    monkeypatch.delenv("ONEPASS_DATA", raising=False)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", str(tmp_path / "not-installed"))


def idx_bytes(array: NDArray[np.uint8], code: int = 0x08) -> bytes:
    """Return the array as an IDX file's content."""
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.tobytes()


def write_dataset(
    folder: Path, *, gz: bool = False, dot: bool = False, seed: int = 0
) -> tuple[_idx.Split, _idx.Split]:
    """Write seven training and three test samples, and return them."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    splits = []
    for prefix, count in (("train", 7), ("t10k", 3)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        for kind, array in (("images", images), ("labels", labels)):
            content = idx_bytes(array)
            name = f"{prefix}-{kind}{'.' if dot else '-'}idx{array.ndim}-ubyte"
            file = folder / (name + (".gz" if gz else ""))
            file.write_bytes(gzip.compress(content) if gz else content)
        splits.append((images, labels))
    return splits[0], splits[1]


def assert_same(got: tuple[_idx.Split, _idx.Split], want: tuple[_idx.Split, _idx.Split]) -> None:
    """Check values, dtype and memory of all four arrays."""
    for got_split, want_split in zip(got, want, strict=True):
        for got_array, want_array in zip(got_split, want_split, strict=True):
            np.testing.assert_array_equal(got_array, want_array, strict=True)
            assert got_array.flags.c_contiguous
            assert got_array.flags.writeable


@BOTH
@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("dot", [False, True])
def test_round_trip(module: ModuleType, gz: bool, dot: bool, tmp_path: Path) -> None:
    want = write_dataset(tmp_path, gz=gz, dot=dot)
    assert_same(module.load_data(tmp_path), want)
    assert_same(module.load_data(str(tmp_path)), want)


def test_compression_is_told_from_content(tmp_path: Path) -> None:
    array = np.arange(5, dtype=np.uint8)
    plain, packed = tmp_path / "plain.gz", tmp_path / "packed"
    plain.write_bytes(idx_bytes(array))
    packed.write_bytes(gzip.compress(idx_bytes(array)))
    np.testing.assert_array_equal(_idx.read_idx(plain, 1), array)
    np.testing.assert_array_equal(_idx.read_idx(packed, 1), array)


LABELS = idx_bytes(np.arange(5, dtype=np.uint8))


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"found 0 bytes, expected an IDX header"),
        (b"\0\0\x08", r"found 3 bytes, expected an IDX header"),
        (b"<html>", r"found magic number 0x3c68746d, expected 0x00000801"),
        (b"\x01" + LABELS[1:], r"found magic number 0x01000801, expected 0x00000801"),
        (b"\0\0\x0d" + LABELS[3:], r"found dtype code 0x0d \(float32\), expected 0x08 \(uint8\)"),
        (b"\0\0\xff" + LABELS[3:], r"found dtype code 0xff \(unknown\), expected 0x08"),
        (b"\0\0\x08\x03" + LABELS[4:], r"found 3 dimension\(s\), expected 1"),
        (LABELS[:6], r"found 6 bytes, expected a header of 8"),
        (b"\0\0\x08\x01" + b"\0\0\0\0", r"found dimensions \(0,\), expected each"),
        (LABELS[:-1], r"found 4 bytes of data, expected 5 for dimensions \(5,\)"),
        (LABELS + b"\0", r"found 6 bytes of data, expected 5 for dimensions \(5,\)"),
    ],
)
def test_bad_content(content: bytes, message: str, gz: bool, tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_bytes(gzip.compress(content) if gz else content)
    with pytest.raises(ValueError, match=message) as caught:
        _idx.read_idx(file, 1)
    assert str(file) in str(caught.value)


def test_huge_dimensions_do_not_overflow(tmp_path: Path) -> None:
    # 2**31 * 2**31 * 4 is 0 in 64-bit arithmetic, which would match the empty rest.
    file = tmp_path / "images"
    file.write_bytes(struct.pack(">HBB3I", 0, 0x08, 3, 2**31, 2**31, 4))
    with pytest.raises(ValueError, match=f"found 0 bytes of data, expected {2**64}"):
        _idx.read_idx(file, 3)


@pytest.mark.parametrize("damage", ["cut", "header", "body", "trailing"])
def test_damaged_gzip(damage: str, tmp_path: Path) -> None:
    good = gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8)))
    file = tmp_path / "labels.gz"
    file.write_bytes(
        {
            "cut": good[:-20],
            "header": good[:2] + b"\xff" + good[3:],
            "body": good[:10] + b"\xff" * 8 + good[18:],
            "trailing": good + b"garbage",
        }[damage]
    )
    with pytest.raises(ValueError, match="damaged gzip") as caught:
        _idx.read_idx(file, 1)
    assert str(file) in str(caught.value)


@BOTH
@pytest.mark.parametrize("name", _idx.FILES)
def test_missing_file_is_named(module: ModuleType, name: str, tmp_path: Path) -> None:
    write_dataset(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        module.load_data(tmp_path)
    assert [file for file in _idx.FILES if file in str(caught.value)] == [name]
    assert str(tmp_path) in str(caught.value)


def test_folder_with_a_files_name_is_not_the_file(tmp_path: Path) -> None:
    want = write_dataset(tmp_path, gz=True)
    (tmp_path / _idx.TRAIN_IMAGES).mkdir()
    assert_same(mnist.load_data(tmp_path), want)


@BOTH
def test_missing_folder(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Good data elsewhere must not stand in for a wrong path.
    write_dataset(tmp_path / "good")
    monkeypatch.setenv("ONEPASS_DATA", str(tmp_path / "good"))
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(FileNotFoundError, match=r"path is .* not an existing folder") as caught:
            module.load_data(wrong)
        assert str(wrong) in str(caught.value)


def test_empty_folder_names_all_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        mnist.load_data(tmp_path)
    assert all(name in str(caught.value) for name in _idx.FILES)


@pytest.mark.parametrize(
    ("module", "subfolder"),
    [
        (fashion_mnist, ""),
        (fashion_mnist, "fashion_mnist"),
        (fashion_mnist, "fashion-mnist"),
        (mnist, ""),
        (mnist, "mnist"),
    ],
)
def test_environment_variable(
    module: ModuleType, subfolder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = write_dataset(tmp_path / subfolder)
    monkeypatch.setenv("ONEPASS_DATA", str(tmp_path))
    assert_same(module.load_data(), want)


def test_each_dataset_takes_its_own_subfolder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path, seed=0)
    fashion = write_dataset(tmp_path / "fashion_mnist", seed=1)
    handwritten = write_dataset(tmp_path / "mnist", seed=2)
    monkeypatch.setenv("ONEPASS_DATA", str(tmp_path))
    assert_same(fashion_mnist.load_data(), fashion)
    assert_same(mnist.load_data(), handwritten)


def test_search_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_path = write_dataset(tmp_path / "path", seed=0)
    by_env = write_dataset(tmp_path / "env", seed=1)
    by_package = write_dataset(tmp_path / "package", seed=2)
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", str(tmp_path / "package"))
    monkeypatch.setenv("ONEPASS_DATA", str(tmp_path / "env"))
    assert_same(fashion_mnist.load_data(tmp_path / "path"), by_path)
    assert_same(fashion_mnist.load_data(), by_env)
    # The variable may be there for another dataset, or be set to nothing.
    for setting in (str(tmp_path / "empty"), ""):
        monkeypatch.setenv("ONEPASS_DATA", setting)
        assert_same(fashion_mnist.load_data(), by_package)


def test_wrong_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(tmp_path / "package")
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", str(tmp_path / "package"))
    monkeypatch.setenv("ONEPASS_DATA", str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError, match=r"ONEPASS_DATA is .*absent"):
        fashion_mnist.load_data()


def test_incomplete_environment_folder_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path / "package")
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", str(tmp_path / "package"))
    write_dataset(tmp_path / "env")
    (tmp_path / "env" / _idx.TEST_LABELS).unlink()
    monkeypatch.setenv("ONEPASS_DATA", str(tmp_path / "env"))
    with pytest.raises(FileNotFoundError, match=_idx.TEST_LABELS):
        fashion_mnist.load_data()


def test_not_found_names_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        fashion_mnist.load_data()
    for part in ("path=", "ONEPASS_DATA", "apt install dataset-fashion-mnist", "not-installed"):
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError) as caught:
        mnist.load_data()
    for part in ("path=", "ONEPASS_DATA to that folder", "subfolder mnist/", "is not set"):
        assert part in str(caught.value)
    assert "apt" not in str(caught.value)
    monkeypatch.setenv("ONEPASS_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        mnist.load_data()
    assert str(tmp_path / "mnist") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (_idx.TRAIN_LABELS, np.zeros(6, np.uint8), "found 6 labels, expected 7"),
        (_idx.TEST_LABELS, np.zeros(4, np.uint8), "found 4 labels, expected 3"),
        (_idx.TRAIN_LABELS, np.full(7, 10, np.uint8), "found label 10, expected 0 to 9"),
        (
            _idx.TEST_IMAGES,
            np.zeros((3, 28, 27), np.uint8),
            r"found images of shape \(28, 27\), expected \(28, 28\)",
        ),
    ],
)
def test_files_that_do_not_belong_together(
    name: str, array: NDArray[np.uint8], message: str, tmp_path: Path
) -> None:
    write_dataset(tmp_path)
    (tmp_path / name).write_bytes(idx_bytes(array))
    with pytest.raises(ValueError, match=message) as caught:
        mnist.load_data(tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_class_names() -> None:
    assert len(set(fashion_mnist.CLASS_NAMES)) == 10


def test_digits() -> None:
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    for images, labels, count in ((x_train, y_train, 1437), (x_test, y_test, 360)):
        assert images.shape == (count, 8, 8)
        assert labels.shape == (count,)
        for array in (images, labels):
            assert array.dtype == np.uint8
            assert array.flags.c_contiguous
            assert array.flags.writeable
        assert (images.min(), images.max()) == (0, 16)
    # UCI's class counts of optdigits.tes.
    train, test = np.bincount(y_train), np.bincount(y_test)
    np.testing.assert_array_equal(train + test, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    np.testing.assert_allclose(test, (train + test) * 360 / 1797, rtol=0, atol=1)


def test_digits_rows_do_not_overlap() -> None:
    (x_train, _), (x_test, _) = digits.load_data()
    rows = np.concatenate([x_train, x_test]).reshape(1797, 64)
    assert len(np.unique(rows, axis=0)) == 1797
    raw = resources.files("onepass.datasets").joinpath("digits.npz").read_bytes()
    assert len(raw) < 100_000
    with np.load(io.BytesIO(raw), allow_pickle=False) as file:
        np.testing.assert_array_equal(np.sort(file["source_index"]), np.arange(1797))


def test_digits_are_fixed() -> None:
    digest = hashlib.sha256()
    for images, labels in digits.load_data():
        digest.update(images.tobytes() + labels.tobytes())
        # Writing to one caller's arrays must not reach the next.
        images[:] = 0
    again = hashlib.sha256()
    for images, labels in digits.load_data():
        again.update(images.tobytes() + labels.tobytes())
    assert digest.hexdigest() == again.hexdigest() == DIGITS_SHA256


@pytest.mark.skipif(
    not Path(FASHION_FOLDER).is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)
def test_real_fashion_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN_FOLDER", FASHION_FOLDER)
    (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()
    assert x_train.shape == (60000, 28, 28)
    assert x_test.shape == (10000, 28, 28)
    np.testing.assert_array_equal(np.bincount(y_train), np.full(10, 6000))
    np.testing.assert_array_equal(np.bincount(y_test), np.full(10, 1000))
    assert (x_train.min(), x_train.max()) == (0, 255)
    # The first training image is known to be an ankle boot.
    assert fashion_mnist.CLASS_NAMES[y_train[0]] == "Ankle boot"

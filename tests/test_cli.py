"""The console command: what it prints and which status it ends with."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

import onepass
from onepass import cli, config, datasets, main_job
from onepass.datasets import fashion_mnist


@pytest.fixture
def only_digits(monkeypatch):
    def missing(folder=None):
        raise FileNotFoundError("no Fashion-MNIST here")

    monkeypatch.setattr(fashion_mnist, "load_data", missing)


def test_info(capsys):
    assert cli.main(["info"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())
    assert lines["onepass"] == onepass.__version__
    assert lines["threads"] == str(config.threads())
    assert lines["instruction set"].startswith(config.isa())
    assert all(isa in lines["instruction set"] for isa in config.available_isas())
    assert np.__version__ in lines["Python"]
    assert "CUDA" in lines


def accuracy(text):
    (found,) = re.findall(r"^test loss [\d.]+, test accuracy ([\d.]+)$", text, re.M)
    return float(found)


@pytest.mark.usefixtures("only_digits")
def test_digits_reach_95_percent_by_default(capsys):
    assert cli.main(["train"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("digits: 1300 training, 137 validation, 360 test samples; ")
    assert f"{config.isa()}, {config.threads()} threads" in out
    assert out.count("Epoch ") == 30
    assert accuracy(out) >= 0.95
    assert re.search(r"^[\d,]+ samples per second, [\d.]+ microseconds per step$", out, re.M)
    assert "Total params: 12,060" in out


@pytest.mark.usefixtures("only_digits")
def test_a_seed_decides_the_result(capsys):
    def trained(seed):
        assert cli.main(["train", "--epochs", "2", "--seed", seed]) == 0
        return re.findall(r"loss:? [\d.]+|accuracy:? [\d.]+", capsys.readouterr().out)

    first = trained("7")
    assert first == trained("7")
    assert first != trained("8")


@pytest.mark.usefixtures("only_digits")
@pytest.mark.parametrize(("verbose", "epochs"), [(0, 0), (2, 3)])
def test_options(capsys, verbose, epochs):
    arguments = ["--epochs", "3", "--batch-size", "100", "--optimizer", "SGD"]
    arguments += ["--learning-rate", "0.3", "--verbose", str(verbose)]
    assert cli.main(["train", *arguments]) == 0
    out = capsys.readouterr().out
    assert out.count("Epoch ") == epochs
    assert accuracy(out) > 0.5


@pytest.mark.usefixtures("only_digits")
def test_options_reach_the_training(capsys, monkeypatch):
    seen = {}

    def fit(self, x, y, **arguments):
        seen.update(arguments, optimizer=self.optimizer)
        raise KeyboardInterrupt

    monkeypatch.setattr(onepass.Sequential, "fit", fit)
    arguments = ["--epochs", "3", "--batch-size", "9", "--learning-rate", "0.25", "--verbose", "0"]
    assert cli.main(["train", *arguments]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert (seen["epochs"], seen["batch_size"], seen["verbose"]) == (3, 9, 0)
    assert type(seen["optimizer"]) is onepass.optimizers.Adam
    assert seen["optimizer"].learning_rate == 0.25


def refused(capsys, *arguments):
    """Return the message of a call that must end with status 2 and no traceback."""
    try:
        status = cli.main(["train", *arguments])
    except SystemExit as end:  # argparse's own way
        status = end.code
    out, err = capsys.readouterr()
    assert status == 2
    assert "Traceback" not in out + err
    return err


def test_a_folder_that_is_not_there(capsys, tmp_path):
    missing = str(tmp_path / "missing")
    assert missing in refused(capsys, "--data", missing)


def test_a_folder_without_the_files(capsys, tmp_path):
    message = refused(capsys, "--data", str(tmp_path))
    assert message.startswith("onepass: ")
    assert str(tmp_path) in message


def test_a_damaged_file(capsys, tmp_path):
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte").write_bytes(b"nonsense")
    message = refused(capsys, "--data", str(tmp_path))
    assert message.startswith("onepass: ")
    assert "idx3-ubyte" in message


@pytest.mark.usefixtures("only_digits")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--epochs", "0"], "--epochs"),
        (["--epochs", "many"], "--epochs"),
        (["--batch-size", "-3"], "--batch-size"),
        (["--optimizer", "adamax2"], "adamax2"),
        (["--learning-rate", "-1"], "learning_rate"),
        (["--learning-rate", "nan"], "learning_rate"),
        (["--seed", "-1"], "seed"),
        (["--verbose", "5"], "--verbose"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_arguments(capsys, arguments, words):
    assert words in refused(capsys, *arguments)


def test_no_command(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert end.value.code == 2
    assert "train" in capsys.readouterr().err


def test_help_names_the_options(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["train", "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    for option in ("--data", "--epochs", "--batch-size", "--optimizer", "--learning-rate"):
        assert option in out


def test_a_folder_with_fashion_mnist(monkeypatch):
    rng = np.random.default_rng(0)

    def load(folder=None):
        assert folder == "somewhere"
        x, y = rng.integers(0, 256, (5100, 28, 28), np.uint8), rng.integers(0, 10, 5100)
        return (x, y), (x[:50], y[:50])

    monkeypatch.setattr(datasets.fashion_mnist, "load_data", load)
    task = main_job.load_task("somewhere")
    assert task.name == "Fashion-MNIST"
    assert (task.hidden, task.epochs) == ((300, 100), 10)
    assert [len(part[0]) for part in (task.train, task.validation, task.test)] == [100, 5000, 50]
    assert task.train[0].max() <= 1.0


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "onepass", "info"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=None,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("onepass")

"""The console command ``onepass``: ``info``, ``train`` and ``bench``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import onepass
from onepass._arguments import positive


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onepass", description="Train and serve multilayer perceptrons with fused kernels."
    )
    parser.add_argument("--version", action="version", version=onepass.__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("info", help="show version, instruction set, threads and CUDA state")
    commands.add_parser("bench", help="time kernels and models beside rivals and limits")
    train = commands.add_parser(
        "train",
        help="train a classifier and print its test accuracy",
        description="Train 784-300-100-10 on Fashion-MNIST if it is found, else 64-100-50-10 on "
        "the digits inside the package.",
    )
    train.add_argument("--data", metavar="FOLDER", help="folder with Fashion-MNIST's IDX files")
    train.add_argument("--epochs", type=positive, help="default: 10 (digits: 30)")
    train.add_argument("--batch-size", type=positive, default=32, help="default: 32")
    train.add_argument(
        "--optimizer", default="adam", help="sgd, rmsprop, adamw, ...; default: adam"
    )
    train.add_argument("--learning-rate", type=float, help="default: the optimizer's own")
    train.add_argument("--seed", type=int, default=42, help="default: 42")
    train.add_argument(
        "--verbose", type=int, choices=(0, 1, 2), help="default: 1 on a terminal, else 2"
    )
    return parser


def _run(given: Sequence[str]) -> int:
    if given[:1] == ["bench"]:  # which has commands of its own
        from onepass.bench.cli import main as bench

        return bench(given[1:])
    options = _parser().parse_args(given)
    if options.command == "info":
        from onepass.info import info_text

        print(info_text())
    else:
        from onepass.main_job import train

        train(options)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(given)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"onepass: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("onepass: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())

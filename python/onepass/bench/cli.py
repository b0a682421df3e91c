"""The command ``onepass bench``: run cases, compare two runs, compare two builds, draw reports."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from onepass import config
from onepass._arguments import cores, seconds, threads
from onepass.bench import rivals
from onepass.bench.cases import Selection
from onepass.bench.children import in_child
from onepass.bench.environment import environment
from onepass.bench.limits import Limits
from onepass.bench.record import Record
from onepass.bench.report import terminal
from onepass.bench.report.document import Document, read
from onepass.bench.runner import Manner, run_chosen
from onepass.bench.sizes import Sizes, sweep

_QUICK_SECONDS = 1.0
_MOST = 10**9  # elements, tensors or rows


def _count(text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (1.0 <= value <= _MOST and value == int(value)):
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 1 to {_MOST}, as 100000 or 1e5, got {text!r}"
        )
    return int(value)


def _device(text: str) -> str:
    if text == "cuda":
        raise argparse.ArgumentTypeError("this build has no CUDA benchmarks, only cpu")
    if text != "cpu":
        raise argparse.ArgumentTypeError(f"must be cpu, got {text!r}")
    return text


def _axes(parser: argparse.ArgumentParser) -> None:
    """Add what says at which sizes cases come, instead of the usual ones."""
    group = parser.add_argument_group(
        "sizes", "any of them leaves out the cases that do not come in such sizes"
    )
    group.add_argument(
        "--elements", type=_count, nargs="+", metavar="N", help="of kernels, losses and steps"
    )
    group.add_argument(
        "--tensors", type=_count, nargs="+", metavar="N", help="that steps have their elements in"
    )
    group.add_argument(
        "--batch",
        type=_count,
        nargs="+",
        metavar="N",
        help="rows of training, prediction, products",
    )


def _sizes(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Sizes:
    """Return the sizes that were asked for, the usual ones if none were."""
    axes = options.elements, options.tensors, options.batch
    if axes == (None, None, None):
        return Sizes(dtype=options.dtype)
    if options.quick:
        parser.error("argument --quick: has sizes of its own, leave out --elements and the like")
    try:
        return sweep(options.dtype, *(list(dict.fromkeys(axis or ())) for axis in axes))
    except ValueError as error:
        parser.error(f"argument --tensors: {error}")


def _reports(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page for a browser")
    parser.add_argument("--png", metavar="FILE", type=Path, help="draw the headlines")


def _run_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onepass bench",
        description="Compare results with the rivals that are installed, then time both, beside "
        "this machine's limits. Other commands: onepass bench compare, ab, report.",
    )
    parser.add_argument(
        "patterns", nargs="*", metavar="PATTERN", help="cases or families that contain one"
    )
    parser.add_argument("--quick", action="store_true", help="the headlines, in two minutes")
    parser.add_argument("--threads", type=threads, nargs="+", default=None, help="default 1 and 2")
    parser.add_argument("--seconds", type=seconds, help="budget of a case (default 2, quick 1)")
    parser.add_argument("--no-rivals", action="store_true", help="compare with them, time ours")
    parser.add_argument("--cold", action="store_true", help="one call a sample, caches emptied")
    _axes(parser)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--device", type=_device, default="cpu", metavar="cpu", help="only cpu yet")
    parser.add_argument("--isa", choices=config.available_isas(), help="our kernels' instructions")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures")
    _reports(parser)
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    return parser


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Find out before minutes of measuring what could not be done or written after them."""
    for name in ("json", "html", "png"):
        path = getattr(options, name)
        if path is not None and (path.is_dir() or not path.name):
            parser.error(f"--{name} must name a file, got the folder {str(path)!r}")
    if options.png is not None and importlib.util.find_spec("matplotlib") is None:
        parser.error("--png wants matplotlib: python -m pip install 'onepass[bench]'")
    if options.threads is None:
        options.threads = [1] if options.cold or cores() < 2 else [1, 2]
    if options.cold and options.threads != [1]:
        parser.error(
            f"--cold empties one core's caches: --threads must be 1, got {options.threads}"
        )


def _draw(document: Document, options: argparse.Namespace) -> None:
    """Write the reports that were asked for."""
    if options.html is not None:
        from onepass.bench.report.page import write_page

        write_page(document, options.html)
    if options.png is not None:
        from onepass.bench.report.picture import write_picture

        write_picture(document, options.png)


def _run_all(
    selection: Selection, manners: Sequence[Manner], screen: terminal.Screen, found: list[Record]
) -> None:
    """Run the cases in each manner, in a process for each; keep and show what comes."""
    with screen.underway(len(selection.cases()) * len(manners)):
        for manner in manners:
            for item in in_child(manner.threads, run_chosen, selection, manner):
                if isinstance(item, str):
                    screen.begin(item)
                else:
                    found.append(item)
                    screen.show(item)


def _manners(options: argparse.Namespace) -> list[Manner]:
    """Return how the cases are timed, for each number of threads."""
    budget = options.seconds or (_QUICK_SECONDS if options.quick else 2.0)
    left_out = rivals.SLOW if options.quick else ()
    return [
        Manner(n, budget, not options.no_rivals, options.isa, options.cold, left_out)
        for n in options.threads
    ]


def _bad(records: Sequence[Record]) -> bool:
    return any(record.status in ("UNEQUAL", "FAILED") for record in records)


def run(given: Sequence[str]) -> int:
    """Run what the arguments ask for; 1 if some result was unequal or some case failed."""
    parser = _run_parser()
    options = parser.parse_args(given)
    _check(parser, options)
    sizes = _sizes(parser, options)
    if options.quick:
        sizes = sizes.quick()
    selection = Selection(tuple(options.patterns), options.quick, sizes)
    names = [case.name for case in selection.cases()]
    if not names:
        wanted = " or ".join(options.patterns)
        sized = options.elements or options.tensors or options.batch
        where = " at these sizes" if sized else ""
        parser.error(f"no case{where} contains {wanted}; --list shows all")
    if options.list:
        print("\n".join(names))
        return 0
    screen = terminal.Screen()
    manners = _manners(options)
    facts = environment(options.threads)
    for line in terminal.environment_lines(facts):
        screen.say(line)
    if options.quick:
        screen.say("quick: without Keras, scikit-learn and torch.compile, which start slowly")
    if not rivals.numpy_controlled():
        screen.say("NumPy's products are not timed: threadpoolctl is missing to set its threads")
    # The build for tests has one set more, of the GPU's kernels on the CPU, which has no limits.
    isas = [isa for isa in config.available_isas() if isa != "fibers"]
    limits = Limits().table(options.threads, isas)
    for line in terminal.limits_lines(limits):
        screen.say(line)
    screen.say("\n" + terminal.heading(), "bold")
    document = Document(facts, limits, [])
    try:
        _run_all(selection, manners, screen, document.records)
    finally:  # what was measured is kept, whatever stopped the rest
        if options.json is not None:
            document.write(options.json)
        _draw(document, options)
    return int(_bad(document.records))


def report(given: Sequence[str]) -> int:
    """Draw reports of a run that is kept in a file."""
    parser = argparse.ArgumentParser(prog="onepass bench report", description=report.__doc__)
    parser.add_argument("file", metavar="FILE.json", type=Path)
    _reports(parser)
    options = parser.parse_args(given)
    if options.html is None and options.png is None:
        parser.error("--html or --png must say what to write")
    _draw(read(options.file), options)
    return 0


def compare(given: Sequence[str]) -> int:
    """See `onepass.bench.comparison.main`."""
    from onepass.bench.comparison import main

    return main(given)


def ab(given: Sequence[str]) -> int:
    """See `onepass.bench.ab.main`."""
    from onepass.bench.ab import main

    return main(given)


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "compare": compare,
    "ab": ab,
    "report": report,
}


def main(given: Sequence[str]) -> int:
    """Do what the arguments behind ``onepass bench`` ask for; return the exit status."""
    first: Any = given[0] if given else None
    if first in _COMMANDS:
        return _COMMANDS[first](given[1:])
    return run(given)

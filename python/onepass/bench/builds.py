"""Builds of onepass to compare: a checkout that is built already, or a commit built here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


class BuildError(Exception):
    """There is no such build, and it cannot be made."""


@dataclass(frozen=True)
class Build:
    """A folder that PYTHONPATH can name: its ``onepass`` has the compiled extension."""

    name: str
    path: Path


def _extension(root: Path) -> Path | None:
    return next((root / "python" / "onepass").glob("_core*.so"), None)


def _run(*command: str | Path, folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shown = " ".join(map(str, command))
        raise BuildError(f"{shown} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout.strip()


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(home) / "onepass-bench" / "builds"


def _compile(root: Path, folder: Path) -> None:
    """Build the sources in a folder and link the extension beside them."""
    pybind11 = _run(sys.executable, "-m", "pybind11", "--cmakedir")
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    defines = (
        "-DCMAKE_BUILD_TYPE=Release",
        "-DONEPASS_CUDA=OFF",
        f"-DPython_EXECUTABLE={sys.executable}",
    )
    place = ("-S", root, "-B", folder)
    _run("cmake", *generator, *place, *defines, f"-Dpybind11_DIR={pybind11}")
    _run("cmake", "--build", folder, "--target", "_core", "--parallel", str(os.cpu_count() or 1))
    made = next(folder.glob("_core*.so"), None)
    if made is None:
        raise BuildError(f"no extension came out of {root}")
    link = root / "python" / "onepass" / made.name
    link.unlink(missing_ok=True)
    link.symlink_to(made)


def _of_folder(root: Path) -> Build:
    extension = _extension(root)
    if extension is None:
        raise BuildError(f"{root}: no python/onepass/_core*.so; build it there, or name a commit")
    built = extension.stat().st_mtime
    newer = [p for p in (root / "csrc").rglob("*") if p.is_file() and p.stat().st_mtime > built]
    if newer:
        print(f"{root}: {newer[0].relative_to(root)} is newer than the extension: is it built?")
    return Build(root.name, root / "python")


def _checkout() -> Path:
    """Return the checkout that this package lies in, else the one we stand in.

    Raises
    ------
    BuildError
        If there is none.
    """
    around = _PACKAGE.parents[1]
    if (around / "CMakeLists.txt").exists() and (around / "csrc").is_dir():
        return around
    try:
        return Path(_run("git", "rev-parse", "--show-toplevel"))
    except BuildError:
        raise BuildError("commits are found in a checkout of onepass only: go into one") from None


def _of_commit(commit: str) -> Build:
    """Return the build of a commit, from the cache if it is there."""
    checkout = _checkout()
    identity = _run(
        "git", "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", folder=checkout
    )
    version = f"py{sys.version_info.major}{sys.version_info.minor}"
    sources, folder = _cache() / identity, _cache() / f"{identity}-{version}"
    if not (sources / "CMakeLists.txt").exists():
        _run("git", "worktree", "prune", folder=checkout)
        add = ("git", "worktree", "add", "--detach", "--force", sources, identity)
        _run(*add, folder=checkout)
    if not any(folder.glob("_core*.so")) or _extension(sources) is None:
        print(f"building {commit} ({identity[:12]})", flush=True)
        _compile(sources, folder)
    return Build(identity[:12], sources / "python")


def _of_this_package() -> Build:
    """Return the package that this code is in; built in the cache if its extension is elsewhere."""
    if not any(_PACKAGE.glob("_core*.so")):
        _compile(_checkout(), _cache() / "here")
    return Build("this one", _PACKAGE.parent)


def find(what: str | None) -> Build:
    """Return a build.

    Parameters
    ----------
    what : the folder of a checkout that is built, or a commit, or None: the package that this
        code is in

    Raises
    ------
    BuildError
        If a folder is not built, or a commit is not known or does not build.
    """
    if what is None:
        return _of_this_package()
    if Path(what).is_dir():
        return _of_folder(Path(what).resolve())
    return _of_commit(what)

"""The scripts of developers in bench/: that they start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import onepass

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(p.stem for p in (ROOT / "bench").glob("*.py") if "__main__" in p.read_text())
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(onepass.__file__).parents[1])}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_say_what_they_do(name):
    told = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", "--help"],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("usage: ")

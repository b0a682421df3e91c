"""The scripts of developers in bench/: that they start, and what the check on a GPU counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import onepass
from bench import gpu_check

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


MIXED = """
import os, time
def test_good(): pass
def test_bad(): assert False, "so wrong"
"""


def outcome_of(tmp_path, text, seconds=60.0):
    path = tmp_path / "test_given.py"
    path.write_text(text)
    environment = {**ENVIRONMENT, "PYTEST_ADDOPTS": f"--rootdir={tmp_path} -c /dev/null"}
    return gpu_check.run_tests("given", [str(path)], environment, seconds)


def test_the_gpu_check_counts_what_passed_and_failed(tmp_path):
    outcome = outcome_of(tmp_path, MIXED)
    assert (outcome.passed, outcome.failed, outcome.good) == (1, 1, False)
    assert any("so wrong" in line for line in outcome.last_lines)
    good = outcome_of(tmp_path, MIXED.replace("assert False", "assert True"))
    assert (good.passed, good.failed, good.good) == (2, 0, True)


def test_a_process_that_dies_is_a_failure(tmp_path):
    outcome = outcome_of(tmp_path, MIXED.replace("assert False", "os.abort()"))
    assert (outcome.passed, outcome.failed, outcome.good) == (1, 1, False)


def test_tests_that_do_not_end_are_stopped(tmp_path):
    outcome = outcome_of(tmp_path, MIXED.replace("assert False", "time.sleep(600)"), seconds=6.0)
    assert not outcome.in_time
    assert (outcome.passed, outcome.failed) == (1, 0)


def test_no_tests_at_all_are_no_success(tmp_path):
    assert not outcome_of(tmp_path, "").good


def test_what_a_script_measures_or_why_it_did_not():
    def measured(code, seconds=60.0):
        return gpu_check.measured(["-c", code], os.environ, seconds)

    assert measured("print('{\"a\": 1}')") == {"a": 1}
    assert "ZeroDivisionError" in measured("1 / 0")
    assert measured("import time; time.sleep(60)", 0.2) == "it did not end within 0.2 s"

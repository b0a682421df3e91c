"""The check on a GPU, where there is none: what it counts, keeps and leaves out, and its stages."""

from __future__ import annotations

import json
import os
import sys
import time
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import fake_cupy
import onepass
from bench import gpu_check, gpu_processes
from bench.gpu_check import STAGES, Plan, Stage
from strategies import LINUX

fibers = pytest.mark.skipif(not fake_cupy.BUILT, reason="built without the GPU's kernels as fibers")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(onepass.__file__).parents[1])}

MIXED = """
import os, time
def test_good(): pass
def test_bad(): assert False, "so wrong"
"""


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    monkeypatch.setattr(gpu_processes, "side_by_side", list)


def outcome_of(tmp_path, text, seconds=60.0):
    path = tmp_path / "test_given.py"
    path.write_text(text)
    environment = {**ENVIRONMENT, "PYTEST_ADDOPTS": f"--rootdir={tmp_path} -c /dev/null"}
    return gpu_processes.run_tests("given", [str(path)], environment, seconds)


def test_what_passed_and_failed_is_counted(tmp_path):
    outcome = outcome_of(tmp_path, MIXED)
    assert (outcome.passed, outcome.failed, outcome.good) == (1, 1, False)
    assert any("so wrong" in line for line in outcome.last_lines)
    good = outcome_of(tmp_path, MIXED.replace("assert False", "assert True"))
    assert (good.passed, good.failed, good.good) == (2, 0, True)


def test_tests_side_by_side_are_counted():
    output = """
[gw1] [ 25%] PASSED tests/test_given.py::test_good
[gw0] [ 50%] FAILED tests/test_given.py::test_bad
[gw0] [ 75%] ERROR tests/test_given.py::test_worse
[gw0] [100%] SKIPPED tests/test_given.py::test_other
FAILED tests/test_given.py::test_bad - assert False
"""
    assert gpu_processes.counted("PASSED", output) == 1
    assert gpu_processes.counted("FAILED|ERROR", output) == 2


def test_a_process_that_dies_is_a_failure(tmp_path):
    outcome = outcome_of(tmp_path, MIXED.replace("assert False", "os.abort()"))
    assert (outcome.passed, outcome.failed, outcome.good) == (1, 1, False)


def test_tests_that_do_not_end_are_stopped(tmp_path):
    outcome = outcome_of(tmp_path, MIXED.replace("assert False", "time.sleep(600)"), seconds=6.0)
    assert not outcome.in_time
    assert (outcome.passed, outcome.failed) == (1, 0)


def test_no_tests_at_all_are_no_success(tmp_path):
    assert not outcome_of(tmp_path, "").good


def measured(code, seconds=60.0):
    return gpu_processes.measured(["-c", code], os.environ, seconds)


def test_what_a_script_measures_or_why_it_did_not():
    told = measured("print('{\"a\": 1}'); print('a library says so'); print('{\"b\": 2}')")
    assert (told.found, told.status, told.why) == ({"a": 1, "b": 2}, 0, "")
    assert "ZeroDivisionError" in measured("1 / 0").why


def test_what_a_script_measured_before_its_limit_is_kept():
    told = measured("import time; print('{\"a\": 1}', flush=True); time.sleep(60)", 3.0)
    assert (told.found, told.status) == ({"a": 1}, None)
    assert told.why == "it did not end within 3 s"


@pytest.mark.skipif(not LINUX, reason="processes as Linux shows them")
def test_what_a_process_started_ends_with_it(tmp_path):
    child = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import os, subprocess, sys; os.chdir({str(tmp_path)!r}); "
    parent += f"subprocess.run([sys.executable, '-c', {child!r}])"
    assert measured(parent, 3.0).status is None
    pid = int((tmp_path / "pid").read_text())

    def runs():
        try:
            return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    until = time.monotonic() + 20.0
    while runs() and time.monotonic() < until:
        time.sleep(0.05)
    assert not runs()


@pytest.fixture
def played(monkeypatch):
    """A check whose stages need no installation; tells which limits they got."""
    limits = {}

    def stand_in(plan, installed, done, outcomes=None):
        def run(name, seconds):
            limits[name] = seconds
            return (outcomes or {}).get(name, Stage("passed", found={"passed": 3}))

        return {name: (lambda s, name=name: run(name, s)) for name in STAGES}

    monkeypatch.setattr(gpu_check, "facts", lambda *_: {"device": "one", "commit": "abc"})

    def checked(plan, outcomes=None):
        monkeypatch.setattr(gpu_check, "stages", lambda *a: stand_in(*a, outcomes=outcomes))
        kept = []
        result = gpu_check.check(plan, lambda found: kept.append(dict(found)))
        return result, kept, limits

    return checked


def test_the_result_names_each_stage(played):
    result, kept, _ = played(Plan(wheel=Path("some.whl")))
    assert list(result["stages"]) == list(STAGES)
    assert len(kept) == len(STAGES)  # written after each
    assert list(kept[2]["stages"]) == list(STAGES)[:3]
    assert (result["good"], result["complete"]) == (True, True)
    assert (result["device"], result["commit"], result["wheel"]) == ("one", "abc", "some.whl")
    assert result["kernels"] == {"passed": 3}
    json.dumps(result)


def test_limits_fill_the_time():
    assert sum(STAGES.values()) == Plan().seconds
    for shares in (STAGES, {**STAGES, "install": gpu_check.BUILDING}):
        left = 100.0
        for name in shares:
            left -= gpu_check.limit_of(name, left, shares)
        assert left == pytest.approx(0.0)
    assert gpu_check.limit_of("optimizers", 50.0, STAGES) == 50.0  # what others left
    assert gpu_check.limit_of("optimizers", -5.0, STAGES) == 1.0


@pytest.mark.parametrize(
    ("outcomes", "good", "complete"),
    [
        ({"optimizers": Stage("failed", "broken")}, False, True),
        ({"memcheck": Stage("skipped", "compute-sanitizer is not installed")}, True, True),
        ({"training": Stage("out of time", "late")}, True, False),
        ({"kernels": Stage("out of time", "late", {"passed": 0})}, False, False),
        ({"kernels": Stage("out of time", "late", {"passed": 9})}, True, False),
    ],
)
def test_what_is_good_and_what_is_complete(played, outcomes, good, complete):
    result, _, _ = played(Plan(), outcomes)
    assert (result["good"], result["complete"]) == (good, complete)
    for name, stage in outcomes.items():
        assert result["stages"][name]["outcome"] == stage.outcome
        assert result["stages"][name]["why"] == stage.why


def test_nothing_runs_that_was_not_installed(played):
    result, _, limits = played(Plan(), {"install": Stage("failed", "no compiler")})
    assert not result["good"]
    assert list(limits) == ["probes", "install"]
    assert result["stages"]["kernels"]["outcome"] == "skipped"


def test_facts_that_cannot_be_found_out_say_why(tmp_path):
    found = gpu_check.facts(tmp_path, Plan(commit="abc"))
    assert (found["device"], found["commit"]) == ("unknown", "abc")
    assert "onepass" in found["why unknown"]
    assert gpu_check.told(["no-such-program"]) == "unknown: no-such-program is not installed"


@fibers
def test_facts(monkeypatch):
    monkeypatch.delenv("ONEPASS_TEST_GPU", raising=False)
    found = gpu_check.facts(Path(onepass.__file__).parents[1], Plan(isa="fibers"))
    assert found["device"] == "fibers on the CPU"
    assert found["CUDA"] == "13.0"
    assert "onepass " in found["info"]


def a_wheel(folder):
    path = folder / "given-1.0-py3-none-any.whl"
    about = "given-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("given/__init__.py", "")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: given\nVersion: 1.0\n")
        kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{about}/WHEEL", kind)
        wheel.writestr(f"{about}/RECORD", "")
    return path


def test_a_wheel_is_installed_instead_of_built(tmp_path):
    wheel = a_wheel(tmp_path)
    plan, _ = gpu_check.parsed(["--wheel", str(wheel), "--json", "out.json"])
    stage = gpu_check.build(plan, tmp_path / "site", 120.0)
    assert stage.outcome == "passed", stage.why
    assert (tmp_path / "site" / "given" / "__init__.py").exists()
    wheel.write_text("nothing")
    broken = gpu_check.build(plan, tmp_path / "site", 120.0)
    assert broken.outcome == "failed"
    assert "given" in broken.why


def test_a_wheel_that_is_not_there(capsys):
    with pytest.raises(SystemExit):
        gpu_check.parsed(["--wheel", "no.whl", "--json", "out.json"])
    assert "there is no file no.whl" in capsys.readouterr().err


AROUND = {None: ENVIRONMENT, "cuda": ENVIRONMENT}


def test_sanitizers_have_nothing_to_look_at_without_a_gpu():
    stage = gpu_check.sanitized("memcheck", AROUND, Plan(isa="fibers"), 60.0)
    assert (stage.outcome, stage.found) == ("skipped", {})


def test_without_sanitizers_they_are_left_out_by_name(monkeypatch):
    monkeypatch.setattr(gpu_check, "sanitizer", lambda: None)
    stage = gpu_check.sanitized("racecheck", AROUND, Plan(), 60.0)
    assert (stage.outcome, stage.why) == ("skipped", "compute-sanitizer is not installed")


@pytest.mark.parametrize("finds", [False, True])
@pytest.mark.parametrize("tool", gpu_check.SANITIZERS)
def test_sanitizers_run_the_tests(tmp_path, monkeypatch, tool, finds):
    (tmp_path / "test_given.py").write_text("def test_good(): pass\n")
    program = tmp_path / "compute-sanitizer"
    program.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/said\n'
        'while [ "$1" != 9 ]; do shift; done; shift\n"$@" || exit 1\n'
        + ("echo '========= an error'; exit 9\n" if finds else "")
    )
    program.chmod(0o755)
    monkeypatch.setattr(gpu_check, "sanitizer", lambda: str(program))
    options = f"--rootdir={tmp_path} -c /dev/null"
    around = {key: {**env, "PYTEST_ADDOPTS": options} for key, env in AROUND.items()}
    given = {name: (how, [str(tmp_path / "test_given.py")]) for name, (how, _) in
             gpu_check.SANITIZERS.items()}  # fmt: skip
    monkeypatch.setattr(gpu_check, "SANITIZERS", given)
    stage = gpu_check.sanitized(tool, around, Plan(), 60.0)
    assert stage.outcome == ("failed" if finds else "passed")
    assert stage.found["passed"] == 1
    said = (tmp_path / "said").read_text()
    assert said.startswith(f"--tool {tool} ")
    assert ("--padding 256" in said) == (tool == "memcheck")
    assert finds == any("an error" in line for line in stage.found["last_lines"])


def test_a_probes_rate_goes_to_the_models():
    assert gpu_check.copy_rate({}) == []
    assert gpu_check.copy_rate({"rates": {"missing": "no driver"}}) == []
    found = {"rates": {"copy GB/s, read and written": 4300.5}}
    assert gpu_check.copy_rate(found) == ["--copy-rate", "4300.5"]


def test_scripts_that_cannot_run_here_are_left_out():
    code = 'import sys; print(\'{"rates": {"missing": "no driver"}}\'); sys.exit(2)'
    stage = gpu_check.scripted(["-c", code], os.environ, 60.0, missing=2)
    assert (stage.outcome, list(stage.found)) == ("skipped", ["rates"])
    assert gpu_check.scripted(["-c", code], os.environ, 60.0).outcome == "failed"
    assert gpu_check.scripted(["-c", ""], os.environ, 60.0).outcome == "failed"

"""The check on a GPU, where there is none: what it counts, keeps and leaves out, and its stages."""

from __future__ import annotations

import json
import os
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import fake_cupy
import onepass
from bench import gpu_check, gpu_facts, gpu_processes
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
    text = MIXED.replace("assert False", "time.sleep(600)")
    outcome = outcome_of(tmp_path, text, seconds=6.0)
    assert not outcome.in_time
    assert (outcome.passed, outcome.failed) == (1, 0)


def test_tests_that_are_stopped_say_how_others_failed(tmp_path):
    text = """
import signal, time
def test_bad(): assert False, "so wrong"
def test_endless():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as where it is in a kernel
    time.sleep(600)
"""
    outcome = outcome_of(tmp_path, text, seconds=6.0)
    assert (outcome.in_time, outcome.failed) == (False, 1)
    assert any("so wrong" in line for line in outcome.last_lines)


@pytest.mark.skipif(not LINUX, reason="processes as Linux shows them")
def test_what_ignores_interrupts_is_stopped_too():
    code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)"
    begun = time.monotonic()
    assert measured(code, 3.0).status is None
    assert time.monotonic() - begun < 30.0


@pytest.mark.parametrize(
    "option", ["no:benchmark", "default::DeprecationWarning", "default::FutureWarning"]
)
def test_other_libraries_warnings_do_not_end_the_tests(option):
    assert option in gpu_processes.PYTEST


def test_output_that_is_no_text_is_kept():
    told = measured("import sys; sys.stdout.buffer.write(b'\\xff\\n{\"a\": 1}\\n')")
    assert told.found == {"a": 1}


def test_numbers_that_json_has_not_are_null():
    found = {"a": float("inf"), "b": [float("nan"), 1.5], "c": {"d": (-float("inf"), "x")}}
    plain = {"a": None, "b": [None, 1.5], "c": {"d": [None, "x"]}}
    assert json.loads(gpu_processes.as_json(found)) == plain
    assert measured("print('{\"a\": NaN}')").found == {"a": None}


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
    child = "import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    child += "open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    parent = f"import os, subprocess, sys; os.chdir({str(tmp_path)!r}); "
    parent += f"subprocess.Popen([sys.executable, '-c', {child!r}]).wait()"
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
            outcome = (outcomes or {}).get(name, Stage("passed", found={"passed": 3}))
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

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


def test_an_error_of_the_check_ends_one_stage_alone(played):
    result, _, limits = played(Plan(), {"memcheck": OSError("no such tool")})
    assert list(limits) == list(STAGES)
    assert not result["good"]
    assert result["stages"]["memcheck"]["why"] == "OSError: no such tool"


def test_nothing_runs_that_was_not_installed(played):
    result, _, limits = played(Plan(), {"install": Stage("failed", "no compiler")})
    assert not result["good"]
    assert list(limits) == ["probes", "install"]
    assert result["stages"]["kernels"]["outcome"] == "skipped"


def test_facts_that_cannot_be_found_out_say_why(tmp_path, monkeypatch):
    environment = gpu_check.surroundings(tmp_path, None)
    found = gpu_facts.facts(environment, "abc")
    assert (found["device"], found["commit"]) == ("unknown", "abc")
    assert "onepass" in found["why unknown"]  # is not there, or not for GPUs, or finds none
    assert gpu_facts.told(["no-such-program"]) == "unknown: no-such-program is not installed"
    monkeypatch.setattr(gpu_facts, "measured", lambda *_: 1 / 0)
    assert "ZeroDivisionError" in gpu_facts.facts(environment, "abc")["why unknown"]


@fibers
def test_facts(monkeypatch):
    monkeypatch.delenv("ONEPASS_TEST_GPU", raising=False)
    installed = Path(onepass.__file__).parents[1]
    found = gpu_facts.facts(gpu_check.surroundings(installed, None, played=True), None)
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


AROUND = dict.fromkeys((gpu_check.OF_KERNELS, gpu_check.OF_MODELS), ENVIRONMENT)


def test_sanitizers_have_nothing_to_look_at_without_a_gpu():
    stage = gpu_check.sanitized("memcheck", AROUND, Plan(isa="fibers"), 60.0)
    assert (stage.outcome, stage.found) == ("skipped", {})


def test_without_sanitizers_they_are_left_out_by_name(monkeypatch):
    monkeypatch.setattr(gpu_check, "sanitizer", lambda: None)
    stage = gpu_check.sanitized("racecheck", AROUND, Plan(), 60.0)
    assert (stage.outcome, stage.why) == ("skipped", "compute-sanitizer is not installed")


@pytest.fixture
def sanitized(tmp_path, monkeypatch):
    """Runs a stage of a sanitizer that is played by a script, over a test of ours."""

    def run(tool, before="", after="", body="pass", seconds=60.0):
        test = tmp_path / "test_given.py"
        test.write_text(f"import os, time\ndef test_{tool}(): {body}\n")
        program = tmp_path / "compute-sanitizer"
        program.write_text(
            f'#!/bin/sh\necho "$WHICH $@" >{tmp_path}/said\n{before}\n'
            'while [ "$1" != 9 ]; do shift; done; shift\n"$@" || exit 1\n' + after
        )
        program.chmod(0o755)
        monkeypatch.setattr(gpu_check, "sanitizer", lambda: str(program))
        options = f"--rootdir={tmp_path} -c /dev/null"
        around = {
            key: {**env, "PYTEST_ADDOPTS": options, "WHICH": key} for key, env in AROUND.items()
        }
        ours = gpu_check.SANITIZERS[tool]
        monkeypatch.setitem(gpu_check.SANITIZERS, tool, replace(ours, tests=[str(test)]))
        return gpu_check.sanitized(tool, around, Plan(), seconds)

    return run


@pytest.mark.parametrize(
    "line", ["Invalid __global__ read of size 4 bytes", "Error: Race reported between Write access"]
)
def test_what_a_sanitizer_found_before_it_was_stopped_is_a_failure(sanitized, line):
    printing = f"echo '========= {line}'"
    stage = sanitized("memcheck", before=printing, body="time.sleep(600)", seconds=6.0)
    assert (stage.outcome, stage.found["in_time"]) == ("failed", False)
    assert any(line in said for said in stage.found["last_lines"])


def test_a_sanitizer_that_is_stopped_and_found_nothing(sanitized):
    printing = "echo '========= COMPUTE-SANITIZER'"
    stage = sanitized("memcheck", before=printing, body="time.sleep(600)", seconds=6.0)
    assert stage.outcome == "out of time"


@pytest.mark.parametrize("finds", [False, True])
@pytest.mark.parametrize("tool", gpu_check.SANITIZERS)
def test_sanitizers_run_the_tests(tmp_path, sanitized, tool, finds):
    stage = sanitized(tool, after="echo '========= an error'; exit 9\n" if finds else "")
    assert stage.outcome == ("failed" if finds else "passed")
    assert stage.found["passed"] == 1
    said = (tmp_path / "said").read_text()
    which = gpu_check.OF_KERNELS if tool == "racecheck" else gpu_check.OF_MODELS
    assert said.startswith(f"{which} --tool {tool} ")
    assert ("--padding 256" in said) == (tool == "memcheck")
    assert finds == any("an error" in line for line in stage.found["last_lines"])


def test_only_tests_have_few_threads_and_little_pinned_memory(tmp_path, monkeypatch):
    (tmp_path / "onepass").mkdir()
    (tmp_path / "onepass" / "libpinned.so").touch()
    seen = {}

    def kept(name, environment):
        seen[name] = environment
        return Stage("passed")

    monkeypatch.setattr(gpu_check, "build", lambda *_: Stage("passed"))
    monkeypatch.setattr(gpu_check, "with_tests", lambda name, tests, env, *_: kept(name, env))
    monkeypatch.setattr(gpu_check, "scripted", lambda how, env, *_, **__: kept(how[1], env))
    monkeypatch.setattr(gpu_check, "sanitizer", lambda: "compute-sanitizer")
    for one in ("ONEPASS_NUM_THREADS", "ONEPASS_PINNED_BYTES", "ONEPASS_ISA", "ONEPASS_TEST_GPU"):
        monkeypatch.delenv(one, raising=False)
    done = {"probes": Stage("skipped")}
    runs = gpu_check.stages(Plan(), tmp_path, done)
    assert list(runs) == list(STAGES)
    for run in runs.values():
        run(1.0)
    timed = {"bench.gpu_models", "bench.gpu_steps", "bench.gpu_products", "bench.gpu_probes"}
    assert {name for name, env in seen.items() if "ONEPASS_NUM_THREADS" not in env} == timed
    of_kernels = {"kernels", "models and optimizers", "racecheck"}
    assert {name for name, env in seen.items() if "ONEPASS_PINNED_BYTES" in env} == of_kernels
    assert {name for name, env in seen.items() if env.get("ONEPASS_ISA") == "cuda"} == of_kernels
    assert seen["memcheck"]["ONEPASS_TEST_GPU"] == "onepass._cuda"


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

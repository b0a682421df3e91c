"""Instruction counts: what is read and judged; nothing is counted here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import instructions
from onepass.bench.cases import all_cases

DUMP = """# callgrind format
desc: Trigger: Client Request: {case}
events: Ir
fn=(1) f
1 5
summary: {total}
"""


def test_dumps_are_read_by_case(tmp_path: Path) -> None:
    for at, (case, total) in enumerate([("adam step 266k", 12), ("M1 predict 1", 7)]):
        text = DUMP.format(case=case, total=total)
        (tmp_path / f"callgrind.out.{at}").write_text(text)
    (tmp_path / "callgrind.out.9").write_text("desc: Trigger: Program termination\ntotals: 3\n")
    assert instructions.read_dumps(tmp_path) == {"adam step 266k": 12, "M1 predict 1": 7}


@pytest.mark.parametrize(
    ("count", "fine", "said"),
    [(1000, True, "+0.00%"), (1029, True, "+2.90%"), (1031, False, "MORE"), (969, False, "again")],
)
def test_a_count_may_leave_the_baseline_by_three_percent(count: int, fine: bool, said: str) -> None:
    ((line, judged),) = instructions.judged({"case": count}, {"case": 1000})
    assert judged is fine
    assert said in line


def test_a_case_without_a_baseline_fails() -> None:
    ((line, fine),) = instructions.judged({"new": 5}, {})
    assert not fine
    assert "--write" in line


def test_another_compiler_fails_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = {"compiler": "GCC 12"}
    baseline = tmp_path / "baseline.json"
    document = {"environment": here, "instructions": {"case": 1000}}
    baseline.write_text(json.dumps(document))
    assert instructions.check({"case": 1000}, here, baseline) == 0
    assert instructions.check({"case": 2000}, here, baseline) == 1
    assert "--write" in capsys.readouterr().out
    assert instructions.check({"case": 2000}, {"compiler": "GCC 13"}, baseline) == 0
    assert "compiler: GCC 13, the baseline's is GCC 12" in capsys.readouterr().out


def test_the_baseline_has_every_case() -> None:
    document = json.loads(instructions.BASELINE.read_text())
    assert set(document["instructions"]) == set(instructions.CASES)
    assert set(instructions.CASES) <= {case.name for case in all_cases()}


def test_the_compiler_names_itself_in_the_extension() -> None:
    assert "GCC" in instructions.compilers() or "clang" in instructions.compilers()

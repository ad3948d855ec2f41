"""The verdict: what two sessions come to, the exit code, and the way to JSON and back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allocphase.errors import DataError, UsageError
from allocphase.judge import (
    ArmEntry,
    Failure,
    GateRow,
    GateVerdict,
    Judged,
    Limits,
    Outcome,
    Row,
    SessionEntry,
    SessionResult,
    Settings,
    final_rows,
    planned_rows,
)
from allocphase.judge.document import FILE, document, read_verdict
from allocphase.stats import Interval

ROWS = {row.measure.name: row for row in planned_rows(["s"], Limits())}
TIME, CALLS = ROWS["time"], ROWS["syscalls"]
SETTINGS = Settings(
    theta=0.02,
    memory_theta=0.05,
    limits=("time=2%",),
    max_rounds=40,
    time_budget_s=600.0,
    seed=7,
    scenarios=("s",),
)


def judged(outcome: Outcome, *, twin_moved: bool = False) -> Judged:
    return Judged(
        outcome=outcome,
        decided=True,
        base=10.0,
        candidate=11.0,
        ratio=Interval(1.1, 1.05, math.inf, 0.98),
        twin=Interval(1.0, 0.99, 1.01, 0.98),
        twin_moved=twin_moved,
        floor_spread=0.01,
        pairs=12,
        theta=0.02,
        varies=True,
        min_detectable_ratio=1.03,
        values=((1.0,), (2.0, 3.0)),
    )


def session(row: Row, outcome: Outcome, *, twin_moved: bool = False) -> SessionResult:
    return SessionResult(((row, judged(outcome, twin_moved=twin_moved)),), 12)


def verdict(*outcomes: Outcome, row: Row = TIME, **changes: Any) -> GateVerdict:
    whole = GateVerdict(
        baseline=arm("old"),
        candidate=arm("new"),
        environment={},
        settings=SETTINGS,
        fail_inconclusive=True,
        sessions=(),
        notes=(),
        machine_mismatch=(),
        failures=(),
        rows=tuple(GateRow.of(row, one, first=judged(one)) for one in outcomes),
    )
    return replace(whole, **changes)


def arm(name: str) -> ArmEntry:
    return ArmEntry(name=name, kind="libc", path=None, sha256=None, config={})


def of_session(*, valid: bool) -> SessionEntry:
    return SessionEntry(path="p", rounds=12, seconds=1.5, valid=valid)


def failure(arm: str, status: str) -> Failure:
    return Failure(arm=arm, scenario="s", probe="verify", status=status, message="")


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((Outcome.UNCHANGED, Outcome.IMPROVED, Outcome.NOT_WORSE), 0),
        ((Outcome.UNDECIDED, Outcome.UNCONFIRMED), 0),
        ((Outcome.UNCHANGED, Outcome.REGRESSED), 3),
        ((Outcome.REGRESSED, Outcome.NOT_MEASURED, Outcome.INCONCLUSIVE), 3),
        ((Outcome.NOT_MEASURED, Outcome.INCONCLUSIVE), 5),
        ((Outcome.UNCHANGED, Outcome.INCONCLUSIVE), 4),
        ((Outcome.UNCHANGED, Outcome.INVALID), 4),
        ((), 5),
    ],
)
def test_the_exit_code_follows_the_rows(outcomes: tuple[Outcome, ...], code: int) -> None:
    assert verdict(*outcomes).exit_code == code


@pytest.mark.parametrize(
    ("arm", "status", "code"),
    [
        ("candidate", "crashed", 3),
        ("candidate", "timeout", 3),
        ("candidate", "out-of-memory", 3),
        ("candidate", "corrupt", 3),
        ("candidate", "wrong-allocator", 5),
        ("candidate", "unsupported", 5),
        ("baseline", "crashed", 5),
        ("twin", "crashed", 5),
    ],
)
def test_a_process_that_fails_is_never_a_pass(arm: str, status: str, code: int) -> None:
    assert verdict(Outcome.UNCHANGED, failures=(failure(arm, status),)).exit_code == code


def test_rows_that_the_rounds_do_not_tell_may_be_waived() -> None:
    assert verdict(Outcome.INCONCLUSIVE, fail_inconclusive=False).exit_code == 0


def test_an_invalid_session_is_never_a_pass() -> None:
    sessions = (of_session(valid=False),)
    found = verdict(Outcome.UNCHANGED, sessions=sessions, fail_inconclusive=False)
    assert (found.exit_code, found.word) == (4, "invalid session")


def test_times_of_another_machine_fail_until_they_are_asked_for_as_advice() -> None:
    mismatch = ("kernel: 6.1 then, 6.8 now",)
    assert verdict(Outcome.UNCHANGED, row=CALLS, machine_mismatch=mismatch).exit_code == 5
    advice = GateRow.of(TIME, Outcome.REGRESSED, first=judged(Outcome.REGRESSED), advisory=True)
    found = verdict(machine_mismatch=mismatch, rows=(advice,))
    assert (found.exit_code, found.word) == (0, "passed")


def test_a_row_has_regressed_only_when_both_sessions_say_so() -> None:
    first = session(TIME, Outcome.REGRESSED)
    expected = {
        Outcome.REGRESSED: Outcome.REGRESSED,
        Outcome.UNCHANGED: Outcome.UNCONFIRMED,
        Outcome.UNDECIDED: Outcome.UNCONFIRMED,
        Outcome.INCONCLUSIVE: Outcome.INCONCLUSIVE,
        Outcome.NOT_MEASURED: Outcome.NOT_MEASURED,
    }
    for again, outcome in expected.items():
        (row,) = final_rows(first, session(TIME, again))
        assert row.outcome is outcome, again


def test_a_flagged_row_that_was_not_measured_again_is_not_a_pass() -> None:
    (row,) = final_rows(session(TIME, Outcome.REGRESSED), None)
    assert row.outcome is Outcome.INCONCLUSIVE
    assert row.fails


def test_a_row_that_was_not_flagged_stays_as_it_was() -> None:
    (row,) = final_rows(session(TIME, Outcome.IMPROVED), None)
    assert row.outcome is Outcome.IMPROVED


@pytest.mark.parametrize("moved", [(True, False), (False, True)])
def test_a_time_flagged_in_an_invalid_session_is_invalid(moved: tuple[bool, bool]) -> None:
    first = session(TIME, Outcome.REGRESSED, twin_moved=moved[0])
    again = session(TIME, Outcome.REGRESSED, twin_moved=moved[1])
    (row,) = final_rows(first, again)
    assert row.outcome is Outcome.INVALID


def test_a_count_does_not_depend_on_the_twin_of_a_time() -> None:
    rows = (
        (TIME, judged(Outcome.UNCHANGED, twin_moved=True)),
        (CALLS, judged(Outcome.REGRESSED)),
    )
    again = session(CALLS, Outcome.REGRESSED)
    found = final_rows(SessionResult(rows, 12), again)
    assert [row.outcome for row in found] == [Outcome.UNCHANGED, Outcome.REGRESSED]


def full_verdict() -> GateVerdict:
    first = SessionResult(
        ((TIME, judged(Outcome.REGRESSED)), (CALLS, judged(Outcome.UNCHANGED))), 12
    )
    rows = final_rows(first, session(TIME, Outcome.REGRESSED))
    return verdict(
        rows=rows,
        failures=(failure("twin", "crashed"),),
        sessions=(of_session(valid=True),),
        notes=("a note",),
        machine_mismatch=("cpu: a then, b now",),
    )


def written(folder: Path, values: object) -> Path:
    (folder / FILE).write_text(json.dumps(values, allow_nan=False), encoding="utf-8")
    return folder


def test_a_verdict_is_read_from_its_run_directory_as_it_was(tmp_path: Path) -> None:
    before = document(full_verdict())
    again = read_verdict(written(tmp_path, before))
    assert document(again) == before
    assert (again.exit_code, again.word) == (3, "regressed")
    assert again.rows[0].again is not None
    assert again.rows[0].row == TIME


def test_a_verdict_without_infinities_is_read_as_the_same(tmp_path: Path) -> None:
    bounded = replace(judged(Outcome.REGRESSED), ratio=Interval(1.1, 1.05, 1.2, 0.98))
    found = verdict(rows=(GateRow.of(TIME, Outcome.REGRESSED, first=bounded),))
    assert read_verdict(written(tmp_path, document(found))) == found


def test_a_row_follows_from_its_outcome_whatever_the_file_says(tmp_path: Path) -> None:
    values = document(verdict(Outcome.REGRESSED))
    values["rows"][0].update(fails=False, id="another", unit="bytes")
    (row,) = read_verdict(written(tmp_path, values)).rows
    assert (row.fails, row.id, row.unit) == (True, "time:s", "ns")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"failures": None}, "failures: must be a list, not None"),
        ({"baseline": {}}, "baseline.name: missing"),
        ({"sessions": [{"path": "p"}]}, "sessions[0].rounds: missing"),
        ({"fail_inconclusive": 1}, "fail_inconclusive: must be true or false, not 1"),
        ({"settings": []}, "settings: must be a table, not []"),
    ],
)
def test_a_verdict_that_is_not_as_it_must_be_names_file_and_key(
    tmp_path: Path, change: dict[str, object], fault: str
) -> None:
    written(tmp_path, {**document(full_verdict()), **change})
    with pytest.raises(UsageError) as caught:
        read_verdict(tmp_path)
    assert str(caught.value) == f"{tmp_path / FILE}: {fault}"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"metric": "tine"}, "metric: metric 'tine' does not exist: did you mean 'time'?"),
        ({"outcome": "fine"}, "outcome: must be one of regressed, "),
        ({"again": 5}, "again: must be a table, not 5"),
    ],
)
def test_a_row_that_is_not_as_it_must_be_is_numbered(
    tmp_path: Path, change: dict[str, object], fault: str
) -> None:
    values = document(full_verdict())
    values["rows"][1].update(change)
    with pytest.raises(UsageError) as caught:
        read_verdict(written(tmp_path, values))
    assert f"{FILE}: rows[1].{fault}" in str(caught.value)


def test_each_arm_has_its_own_values(tmp_path: Path) -> None:
    values = document(full_verdict())
    values["rows"][0]["first"]["values"] = [[1.0]]
    with pytest.raises(UsageError, match=r"rows\[0\]\.first\.values: must be a list of 2"):
        read_verdict(written(tmp_path, values))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1}'])
def test_what_is_no_verdict_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(DataError):
        read_verdict(tmp_path)


def test_a_folder_without_a_gate_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no gate ran there"):
        read_verdict(tmp_path)

"""The verdict: what two sessions come to, the exit code, and the way to JSON and back."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
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
from allocphase.judge.openness import Told, openness
from allocphase.probe.probe import Probe
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


def judged(outcome: Outcome, *, open_chance: float = 0.0) -> Judged:
    return Judged(
        outcome=outcome,
        decided=True,
        base=10.0,
        candidate=11.0,
        ratio=Interval(1.1, 1.05, math.inf, 0.98),
        twin=Interval(1.0, 0.99, 1.01, 0.98),
        floor_spread=0.01,
        rounds=12,
        theta=0.02,
        exact=False,
        min_detectable_ratio=1.03,
        decided_theta=0.065,
        open_chance=open_chance,
        values=((1.0,), (2.0, 3.0)),
        saved_ns=Interval(-1.0, -1.2, -0.8, 0.98),
    )


def session(row: Row, outcome: Outcome) -> SessionResult:
    return SessionResult(((row, judged(outcome)),), 12)


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


def of_session() -> SessionEntry:
    return SessionEntry(path="p", rounds=12, planned=40, repeated=1, seconds=1.5)


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


@pytest.mark.parametrize("other", ["baseline", "twin"])
def test_a_candidate_is_not_the_worse_one_for_what_the_baseline_does_too(other: str) -> None:
    failures = (failure("candidate", "crashed"), failure(other, "out-of-memory"))
    found = verdict(Outcome.UNCHANGED, failures=failures)
    assert (found.exit_code, found.word) == (5, "not measured")
    elsewhere = (failures[0], replace(failures[1], scenario="t"))
    assert verdict(Outcome.UNCHANGED, failures=elsewhere).exit_code == 3


def test_rows_that_the_rounds_do_not_tell_may_be_waived() -> None:
    assert verdict(Outcome.INCONCLUSIVE, fail_inconclusive=False).exit_code == 0


def rows_of(*chances: float, open_: int, row: Row = TIME) -> tuple[GateRow, ...]:
    """Rows that noise leaves open with these chances, of which the first so many are."""
    outcomes = [Outcome.INCONCLUSIVE] * open_ + [Outcome.UNCHANGED] * (len(chances) - open_)
    return tuple(
        GateRow.of(
            replace(row, scenario=f"s{number}"), outcome, first=judged(outcome, open_chance=chance)
        )
        for number, (outcome, chance) in enumerate(zip(outcomes, chances, strict=True))
    )


@pytest.mark.parametrize(
    ("chances", "open_", "code"),
    [
        ((0.3, 0.2, 0.0, 0.0, 0.0), 1, 0),  # noise explains it
        ((0.0, 0.0, 0.0, 0.0, 0.0), 1, 4),  # nothing does
        ((0.01, 0.01, 0.01, 0.01), 1, 4),
        ((0.1,) * 10, 3, 0),
        ((0.1,) * 10, 4, 4),
        ((1.0, 1.0, 0.0, 0.0, 0.0), 2, 0),  # hopeless ones count for nothing
        ((1.0, 1.0, 1.0, 0.0, 0.0), 3, 4),  # but a gate that sees too little has not looked
    ],
)
def test_rows_stay_open_together_as_often_as_noise_explains(
    chances: tuple[float, ...], open_: int, code: int
) -> None:
    found = verdict(rows=rows_of(*chances, open_=open_))
    assert found.exit_code == code
    assert found.openness.rows == open_
    assert found.openness.expected == pytest.approx(sum(chances))


def test_identical_arms_have_too_many_open_rows_in_one_session_of_twenty_at_most() -> None:
    rng = np.random.default_rng(4)
    chances = np.concatenate([np.full(40, 0.01), np.full(8, 0.15), [0.6, 0.9, 1.0]])
    failed = 0
    for _ in range(400):
        is_open = rng.random(chances.size) < chances
        rows = [
            Told((f"s{number}", Probe.MEMORY), bool(found), float(chance))
            for number, (found, chance) in enumerate(zip(is_open, chances, strict=True))
        ]
        failed += openness(rows).too_many
    assert failed / 400 <= 0.05 + 3 * math.sqrt(0.05 / 400)


def test_rows_of_the_same_processes_are_one_event() -> None:
    """A total and the one call that it consists of, each open in one session of seven."""
    cell = ("s", Probe.SYSCALLS)
    assert not openness([Told(cell, True, 0.15)] * 2).too_many
    assert openness([Told((name, Probe.SYSCALLS), True, 0.15) for name in "st"]).too_many


@pytest.mark.parametrize(("open_", "blind"), [(13, False), (18, False), (19, True)])
def test_a_session_is_blind_by_its_times_and_not_by_where_they_are(open_: int, blind: bool) -> None:
    """Three times of each scenario: the first ones that are open are all in another one."""
    places = [(f"s{n}", Probe.LATENCY) for _ in range(3) for n in range(12)]
    counts = [Told(("s", Probe.MEMORY), True, 1.0)] * 40
    times = [Told(place, index < open_, 1.0) for index, place in enumerate(places)]
    assert openness([*times, *counts]).blind == blind


def test_an_open_row_whose_limit_names_it_fails_whatever_explains_it() -> None:
    chances = (1.0, 0.0, 0.0)
    named = replace(TIME, rule=replace(TIME.rule, named=True, required=True))
    rows = rows_of(*chances, open_=1, row=named)
    found = verdict(rows=rows)
    assert (found.exit_code, found.word) == (4, "inconclusive")
    assert rows[0].fails
    assert not rows_of(*chances, open_=1)[0].fails


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
        Outcome.UNDECIDED: Outcome.INCONCLUSIVE,
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


def full_verdict() -> GateVerdict:
    first = SessionResult(
        ((TIME, judged(Outcome.REGRESSED)), (CALLS, judged(Outcome.UNCHANGED))), 12
    )
    rows = final_rows(first, session(TIME, Outcome.REGRESSED))
    return verdict(
        rows=rows,
        failures=(failure("twin", "crashed"),),
        sessions=(of_session(),),
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


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1}', '{"schema": 3}']
)
def test_what_is_no_verdict_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(DataError):
        read_verdict(tmp_path)


def test_a_folder_without_a_gate_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no gate ran there"):
        read_verdict(tmp_path)

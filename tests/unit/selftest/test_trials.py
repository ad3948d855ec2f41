"""The self-test: calibration, trials of known truth, and what is said of them."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase.errors import NothingMeasuredError
from allocphase.judge import Outcome
from allocphase.process.driver import Job
from allocphase.selftest import Calibration, Selftest, Trial, calibrate, run_trials, with_toll
from allocphase.selftest.text import document, table
from tests.support.gates import FigureExecutor, arm, no_progress, small_scenario

FREE_NS, TURN_NS = 15.0, 0.006


def toll_time(job: Job, rng: random.Random, *, spread: float = 0.004) -> float:
    """What an allocator behind the toll takes, as slow.c would have it."""
    turns = int(job.allocator.config.get("iterations", 0))
    return (FREE_NS + TURN_NS * turns) * rng.lognormvariate(0.0, spread)


def executor(*, spread: float = 0.004) -> FigureExecutor:
    rng = random.Random(11)
    return FigureExecutor(time_ns=lambda job: toll_time(job, rng, spread=spread))


def trial(effect: float, outcome: Outcome) -> Trial:
    return Trial(
        effect=effect,
        injected=effect,
        outcome=outcome,
        ratio=1 + effect,
        rounds=12,
        seconds=9.0,
        paths=(Path("nowhere"),),
    )


def test_the_calibration_finds_what_a_turn_costs(tmp_path: Path) -> None:
    path = tmp_path / "slow.so"
    path.write_bytes(b"")
    found = calibrate(
        arm("subject", path), small_scenario(), executor(), out=tmp_path, progress=no_progress
    )
    assert found.free_ns == pytest.approx(FREE_NS, rel=0.01)
    assert found.turn_ns == pytest.approx(TURN_NS, rel=0.05)


def test_a_toll_without_effect_is_an_error_and_not_a_division_by_nothing(tmp_path: Path) -> None:
    flat = FigureExecutor(time_ns=lambda _: 10.0)
    with pytest.raises(NothingMeasuredError, match="too busy"):
        calibrate(arm("libc"), small_scenario(), flat, out=tmp_path, progress=no_progress)


def test_a_subject_that_fails_is_an_error_with_its_message(tmp_path: Path) -> None:
    broken = FigureExecutor(status=lambda _: ("crashed", "killed by SIGSEGV"))
    with pytest.raises(NothingMeasuredError, match="SIGSEGV"):
        calibrate(arm("libc"), small_scenario(), broken, out=tmp_path, progress=no_progress)


@pytest.mark.parametrize("effect", [0.01, 0.03, 0.05, 0.10])
def test_the_toll_for_an_effect_comes_to_that_effect(effect: float) -> None:
    found = Calibration(FREE_NS, TURN_NS)
    assert found.effect(found.iterations(effect)) == pytest.approx(effect, rel=0.03)


def test_no_effect_has_no_toll_and_any_effect_has_some() -> None:
    coarse = Calibration(1.0, 1.0)
    assert coarse.iterations(0.0) == 0
    assert coarse.iterations(0.01) == 1


def test_a_toll_changes_settings_and_nothing_else(tmp_path: Path) -> None:
    subject = arm("subject", tmp_path / "slow.so")
    slowed = with_toll(subject, iterations=9, map_every=100, spared=4)
    settings = {"iterations": "9", "map_every": "100", "spared": "4"}
    assert slowed.config == {"key": "value", **settings}
    assert replace(slowed, config=subject.config) == subject


def test_trials_tell_a_slowdown_from_none(tmp_path: Path) -> None:
    path = tmp_path / "slow.so"
    path.write_bytes(b"")
    plan = Selftest(
        subject=arm("subject", path),
        scenario=small_scenario(),
        calibration=Calibration(FREE_NS, TURN_NS),
        sessions=2,
        theta=0.02,
        max_rounds=40,
        out=tmp_path,
        effects=(0.0, 0.05),
    )
    found = list(run_trials(plan, executor(), progress=no_progress))
    assert [(t.effect, t.alarm) for t in found] == [(0.0, False), (0.05, True)] * 2
    assert found[1].ratio == pytest.approx(1.05, abs=0.01)


def test_the_table_names_false_alarms_with_their_interval_and_the_power() -> None:
    trials = [trial(0.0, Outcome.UNCHANGED)] * 9 + [trial(0.0, Outcome.REGRESSED)]
    trials += [trial(0.03, Outcome.UNDECIDED)] * 5 + [trial(0.03, Outcome.REGRESSED)] * 5
    trials += [trial(0.05, Outcome.REGRESSED)] * 10
    text = table(trials, theta=0.02)
    assert "False alarms at a limit of 2.0%: 1 of 10" in text
    assert "(0% to 45% with 95% confidence)" in text
    assert "5 of 10   50%    19% to 81%" in text
    assert "The least slowdown that was found every time: +5.0%." in text


def test_an_effect_within_the_limit_that_is_flagged_is_a_false_alarm_too() -> None:
    trials = [trial(0.0, Outcome.UNCHANGED), trial(0.01, Outcome.REGRESSED)]
    assert "1 of 2 gates" in table(trials, theta=0.02)


def test_nothing_found_and_open_gates_are_said() -> None:
    trials = [trial(0.0, Outcome.UNCHANGED), trial(0.05, Outcome.INCONCLUSIVE)]
    text = table(trials, theta=0.02)
    assert "1 gates were inconclusive" in text
    assert "No slowdown was found every time" in text


def test_the_document_has_each_effect_once_and_no_value_json_lacks() -> None:
    trials = [trial(0.0, Outcome.UNCHANGED), trial(0.05, Outcome.REGRESSED)]
    found = json.loads(json.dumps(document(trials, theta=0.02), allow_nan=False))
    assert [(e["effect"], e["regressed"], e["sessions"]) for e in found["effects"]] == [
        (0.0, 0, 1),
        (0.05, 1, 1),
    ]

"""history/changes.py: changes between commits, and what gates said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from allocphase.history import Change, Decided, Decision, History, changes_of, open_history
from allocphase.history import changes as module
from tests.support.histories import add_commits, commit, run_of, value


def found(history: History) -> list[Change]:
    return changes_of(history, [history.load(entry) for entry in history.series()])


def stepped(at: int, *, factor: float = 1.05) -> Callable[[int], float]:
    """100 with noise of 0.5%, and that times the factor from one commit on."""
    noise = np.random.default_rng(5).normal(0.0, 0.005, 200)
    return lambda number: float(100.0 * np.exp(noise[number]) * (factor if number >= at else 1.0))


def test_a_change_lies_between_two_commits(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        add_commits(history, 30, stepped(18))
        (one,) = found(history)
        assert (one.before.commit, one.after.commit) == (commit(17), commit(18))
        assert one.ratio == pytest.approx(1.05, rel=0.01)
        assert one.is_worse and not one.exact and one.decision is None
        assert [point.commit for point in one.nearby] == [commit(n) for n in range(15, 21)]


def test_runs_of_one_commit_are_one_value(tmp_path: Path) -> None:
    """Ten runs of the last commit are no piece of five."""
    with open_history(tmp_path / "h.db", make=True) as history:
        add_commits(history, 20, stepped(19, factor=1.2))
        for again in range(10):
            history.add(run_of(19, [value(120.0 + again)], identity=f"again {again}"))
        assert found(history) == []


def test_any_change_of_an_exact_count_is_one(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        counts = {"metric": "syscalls", "unit": "count", "exact": True}
        add_commits(history, 4, lambda number: 7.0 if number < 3 else 8.0, **counts)
        (one,) = found(history)
        assert (one.before.commit, one.after.commit) == (commit(2), commit(3))
        assert (one.level_before, one.level_after, one.exact) == (7.0, 8.0, True)


def test_a_count_that_was_not_exact_once_is_passed_over(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        for number, (figure, exact) in enumerate([(7, True), (7, True), (9, False), (8, True)]):
            history.add(run_of(number, [value(float(figure), exact=exact)]))
        (one,) = found(history)
        assert (one.before.commit, one.after.commit) == (commit(1), commit(3))


def test_what_a_gate_said_stands_at_the_change(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        add_commits(history, 30, stepped(18))
        (one,) = found(history)
        said = Decision(
            series=one.series.id,
            before=one.before.side,
            after=one.after.side,
            verdict=Decided.WORSE,
            found_before=commit(16).hash,
            found_after=commit(17).hash,
            ratio=1.05,
            gate="/gates/1",
            decided="2026-03-01T00:00:00+00:00",
        )
        history.decide(said)
        assert [each.decision for each in found(history)] == [said]


def test_the_same_values_are_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def counting(values: np.ndarray, **_: float) -> list[object]:
        looked.append(len(values))
        return []

    monkeypatch.setattr(module, "change_points", counting)
    with open_history(tmp_path / "h.db", make=True) as history:
        add_commits(history, 12, stepped(99))
        found(history)
        found(history)
        assert looked == [12]
        history.add(run_of(12, [value(100.0)]))
        found(history)
        assert looked == [12, 13]

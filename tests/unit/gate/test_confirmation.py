"""gate/confirmation.py: a change is found where it is, though its point stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase.analysis.metric_names import measure
from allocphase.gate.confirmation import Confirmation, Said, confirmations, confirmed
from allocphase.history import Change, Decided, changes_of, open_history
from tests.support.histories import add_commits, commit

AT = 4  # where the exact count of the history changes


@pytest.fixture
def change(tmp_path: Path) -> Change:
    """Between commits 3 and 4 of nine."""
    with open_history(tmp_path / "h.db", make=True) as history:
        count = {"metric": "syscalls", "unit": "count", "exact": True}
        add_commits(history, 9, lambda number: 7.0 if number < AT else 8.0, **count)
        (found,) = changes_of(history, [history.load(entry) for entry in history.series()])
    return found


def number(one: Confirmation) -> tuple[int, int]:
    sides = (one.before.commit, one.after.commit)
    assert None not in sides
    return int(one.before.side, 16), int(one.after.side, 16)


def truth(at: int, asked: list[tuple[int, int]]) -> Callable[[Confirmation], dict[object, Said]]:
    """Gates of a machine on which the change is at commit `at`."""

    def ask(one: Confirmation) -> dict[object, Said]:
        before, after = number(one)
        asked.append((before, after))
        verdict = Decided.WORSE if before < at <= after else Decided.REFUTED
        return {each.place: Said(verdict, 8 / 7, f"{before}-{after}") for each in one.changes}

    return ask


@pytest.mark.parametrize("at", [2, 3, 4, 5, 6])
def test_the_two_commits_that_differ_are_found_within_two_of_the_point(
    change: Change, at: int
) -> None:
    ((one,), _) = confirmations([change])
    asked: list[tuple[int, int]] = []
    (decision,) = confirmed(one, truth(at, asked))  # type: ignore[arg-type]
    assert decision.verdict is Decided.WORSE
    assert (decision.before, decision.after) == (commit(3).hash, commit(4).hash)
    assert (decision.found_before, decision.found_after) == (commit(at - 1).hash, commit(at).hash)
    assert len(asked) == 1 if at == AT else len(asked) <= 6
    assert (at - 1, at) in asked


def test_what_differs_nowhere_nearby_is_no_change_after_two_gates(change: Change) -> None:
    ((one,), _) = confirmations([change])
    asked: list[tuple[int, int]] = []
    (decision,) = confirmed(one, truth(8, asked))  # type: ignore[arg-type]
    assert (decision.verdict, asked) == (Decided.REFUTED, [(3, 4), (1, 6)])
    assert decision.found_after == decision.after == commit(4).hash


def test_a_change_that_no_half_has_by_itself_is_of_the_whole_that_was_gated(
    change: Change,
) -> None:
    """Levels that rise by less than the limit from commit to commit."""
    ((one,), _) = confirmations([change])
    asked: list[tuple[int, int]] = []

    def ask(one: Confirmation) -> dict[tuple[int, str, str], Said]:
        before, after = number(one)
        asked.append((before, after))
        verdict = Decided.WORSE if after - before > 3 else Decided.REFUTED
        return {each.place: Said(verdict, None, f"{before}-{after}") for each in one.changes}

    (decision,) = confirmed(one, ask)
    assert asked == [(3, 4), (1, 6), (1, 4), (4, 6)]
    assert (decision.verdict, decision.gate) == (Decided.WORSE, "1-6")
    assert (decision.found_before, decision.found_after) == (commit(1).hash, commit(6).hash)


def test_a_half_that_cannot_be_told_leaves_the_whole_as_the_place(change: Change) -> None:
    ((one,), _) = confirmations([change])
    told = iter((Decided.REFUTED, Decided.WORSE, Decided.OPEN))
    (decision,) = confirmed(one, lambda _: {change.place: Said(next(told), None, "")})
    assert decision.verdict is Decided.WORSE
    assert (decision.found_before, decision.found_after) == (commit(1).hash, commit(6).hash)


@pytest.mark.parametrize("theta", [0.02, 0.99, 1.5])
@pytest.mark.parametrize("scenario", ["some", "some?threads=2", "x[1]", "[!b]?c=1"])
def test_a_gate_has_the_limit_of_its_series_whatever_its_scenario_is_called(
    change: Change, theta: float, scenario: str
) -> None:
    key = replace(change.series.key, scenario=scenario)
    series = replace(change.series, key=key)
    for exact in (True, False):
        ((one,), _) = confirmations([replace(change, series=series, exact=exact)])
        rule = one.limits(theta).rule(measure("syscalls"), scenario)
        assert rule is not None
        assert (rule.exact, exact or rule.theta) == (exact, exact or theta)
        assert one.limits(theta).rule(measure("syscalls"), "another") is None


def test_a_metric_that_no_gate_has_stays_advice(tmp_path: Path) -> None:
    with open_history(tmp_path / "h.db", make=True) as history:
        count = {"metric": "fragmentation", "unit": "excess", "exact": True}
        add_commits(history, 3, float, **count)
        found = changes_of(history, [history.load(entry) for entry in history.series()])
    todo, left_out = confirmations(found)
    assert (todo, len(left_out)) == ([], 2)
    assert "no gate has fragmentation: it stays advice" in left_out[0]

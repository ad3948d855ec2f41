"""Histories that tests make: runs of commits with given figures, without a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from allocphase.history import CommitEntry, History, Measured, MeasuredValue, ObjectEntry

__all__ = ["add_commits", "commit", "run_of", "value"]

_FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
FACTS: Mapping[str, object] = {"cpus": 2, "kernel": "6.1"}


def commit(number: int) -> CommitEntry:
    """The commit of that number in a line of them, a day each."""
    day = _FIRST_DAY + timedelta(days=number)
    return CommitEntry(f"{number:040x}", f"Change {number}", day.isoformat(), number + 1)


def value(figure: float, **changes: object) -> MeasuredValue:
    """Of the time of `mine` on `some`, within 1%."""
    given: dict[str, object] = {
        "scenario": "some",
        "digest": "d" * 64,
        "allocator": "mine",
        "metric": "time",
        "unit": "ns",
        "facts": FACTS,
        "value": figure,
        "lower": 0.99 * figure,
        "upper": 1.01 * figure,
        "exact": False,
        "processes": 5,
    }
    return MeasuredValue(**{**given, **changes})  # type: ignore[arg-type]


def run_of(number: int, values: Sequence[MeasuredValue], **changes: object) -> Measured:
    """A run of the commit of that number, on its day."""
    day = _FIRST_DAY + timedelta(days=number)
    given: dict[str, object] = {
        "identity": f"run {number}",
        "content": "first",
        "path": f"/runs/{number}",
        "arm": "",
        "label": "nightly",
        "branch": "main",
        "started": day.isoformat(),
        "commit": commit(number),
        "objects": {"mine": ObjectEntry(f"/objects/{number}.so", "0" * 64, {})},
        "values": tuple(values),
    }
    return Measured(**{**given, **changes})  # type: ignore[arg-type]


def add_commits(
    history: History, count: int, figure: Callable[[int], float], **changes: object
) -> None:
    """So many commits with a value each. changes: of the values."""
    for number in range(count):
        history.add(run_of(number, [value(figure(number), **changes)]))


def history_path(folder: Path) -> Path:
    """Where the commands look for it below a working directory."""
    return folder / ".allocphase" / "history.db"

"""Which series, commits and branches somebody means, and what has changed since one of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from allocphase.errors import NothingMeasuredError, UsageError, shown, unknown
from allocphase.history.changes import Change
from allocphase.history.database import History
from allocphase.history.model import CommitEntry, Decision, RunEntry, SeriesEntry
from allocphase.text.times import in_utc

__all__ = ["ALL_BRANCHES", "chosen_branch", "chosen_series", "commit_of", "confirmed_after", "utc"]

ALL_BRANCHES = "*"
_NAMED = 20  # in an error


def chosen_series(entries: Sequence[SeriesEntry], specs: Sequence[str]) -> list[SeriesEntry]:
    """Those that one of the specs means, in their order; all of them without one.

    A spec is an id, or METRIC:SCENARIO:ALLOCATOR, in which * stands for anything: several series
    may have one name. Raises UsageError for a spec that means none.
    """
    chosen: set[int] = set()
    if specs and not entries:
        raise UsageError("there are no series yet: `allocphase history add RUN` adds a run's")
    for spec in specs:
        found = {entry.id for entry in entries if _means(spec, entry)}
        if not found:
            names = list(dict.fromkeys(entry.key.name for entry in entries))
            raise UsageError(unknown("series", spec, names[:_NAMED]))
        chosen |= found
    return [entry for entry in entries if entry.id in chosen or not specs]


def _means(spec: str, entry: SeriesEntry) -> bool:
    pattern = ".*".join(map(re.escape, spec.split("*")))
    return spec == str(entry.id) or re.fullmatch(pattern, entry.key.name) is not None


def chosen_branch(history: History, named: str | None) -> str | None:
    """The branch of that name, or that with most runs; None for all of them, by "*".

    Raises UsageError for one that no run is of.
    """
    if named == ALL_BRANCHES:
        return None
    branches = history.branches()
    if named is None:
        return next(iter(branches), "")
    if named not in branches:
        raise UsageError(unknown("branch", named, [*branches, ALL_BRANCHES]))
    return named


def commit_of(runs: Sequence[RunEntry], text: str) -> CommitEntry | None:
    """The one of the runs' commits that an id means, or its beginning; None where there is none.

    Raises UsageError where it is the beginning of several.
    """
    found = {run.commit.hash: run.commit for run in runs if run.commit is not None}
    means = [one for name, one in found.items() if len(text) >= 4 and name.startswith(text)]
    if len(means) > 1:
        raise UsageError(f"commit {shown(text)}: begins {len(means)} commits: give more of it")
    return means[0] if means else None


def _later(runs: Sequence[RunEntry], since: CommitEntry) -> set[str]:
    """The ids of the runs' commits that come after one: by topology where it is told of both, else
    by the times at which they were committed.
    """
    return {run.commit.hash for run in runs if run.commit is not None and _after(run.commit, since)}


def _after(one: CommitEntry, since: CommitEntry) -> bool:
    if one.ancestors is not None and since.ancestors is not None:
        return one.ancestors > since.ancestors
    return bool(one.time) and one.time > since.time


def confirmed_after(
    history: History, changes: Sequence[Change], since: CommitEntry, branch: str | None
) -> tuple[list[Decision], list[Change]]:
    """The confirmed changes after a commit, and those that no gate was asked about or could tell.

    A decision holds when later points move a change. Raises NothingMeasuredError where no run is of
    a commit after it.
    """
    runs = [run for run in history.runs() if branch is None or run.branch == branch]
    after = _later(runs, since)
    if not after:
        raise NothingMeasuredError(f"{history.path}: no run is of a commit after {since.short}")
    confirmed = [
        one for one in history.decisions() if one.verdict.confirms and one.found_after in after
    ]
    undecided = [
        change for change in changes if change.after.side in after and not change.is_decided
    ]
    return confirmed, undecided


def utc(option: str, text: str) -> str:
    """A day or a time as a history writes them. Raises UsageError with the option."""
    try:
        return in_utc(text).isoformat(timespec="seconds")
    except ValueError:
        raise UsageError(
            f"{option} {shown(text)}: is written 2026-01-31 or 2026-01-31T12:00"
        ) from None

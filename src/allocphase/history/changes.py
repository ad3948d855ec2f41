"""Where series change, which is advice, and what gates have said of it, which holds.

Points of one commit are one value, their median: a change lies between two commits. A count that is
exact at most commits changes wherever it differs; all else is sampled (stats/changepoint.py).

Place in the pipeline: above the database, below whoever shows changes or confirms them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby

import numpy as np

from allocphase.history.database import History
from allocphase.history.model import Decided, Decision, Point, Series, SeriesEntry
from allocphase.stats.changepoint import (
    ALPHA,
    LEAST,
    THETA,
    LevelChange,
    change_points,
    exact_changes,
)
from allocphase.stats.values import FloatArray

__all__ = ["NEAR", "Change", "Detection", "changes_of"]

# Of what is kept of earlier looks: another one where the rule is another.
_RULE = 1
_ALL_BRANCHES = "\0all"
# A change of 5% is found within so many commits of where it is (tests/benchmarks/test_history.py).
NEAR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What counts as a change: see stats/changepoint.py."""

    theta: float = THETA
    least: int = LEAST
    alpha: float = ALPHA
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of a series between two points that follow each other, of different commits.

    branch: whose points they are, as the series has it. before, after: the last point before it,
    the first one after it. level_before, level_after: medians of the pieces on both sides. nearby:
    a point of each commit from NEAR before those to NEAR after them. p: of the search, 0 of an
    exact one. decision: what gates said, None before there was one.
    """

    series: SeriesEntry
    branch: str | None
    before: Point
    after: Point
    level_before: float
    level_after: float
    nearby: tuple[Point, ...]
    p: float
    exact: bool
    decision: Decision | None

    @property
    def place(self) -> tuple[int, str, str]:
        """What a decision is kept by: the series, and both sides."""
        return self.series.id, self.before.side, self.after.side

    @property
    def is_decided(self) -> bool:
        """Whether a gate has told."""
        return self.decision is not None and self.decision.verdict is not Decided.OPEN

    @property
    def ratio(self) -> float:
        """After over before; infinite where there was nothing before."""
        return LevelChange(0, self.level_before, self.level_after, self.p).ratio

    @property
    def is_worse(self) -> bool:
        """Whether there is more of it: every metric of a history is a cost."""
        return self.level_after > self.level_before


def changes_of(
    history: History, found: Iterable[Series], detection: Detection | None = None
) -> list[Change]:
    """The changes of these series, in their order; what was found in the same values before is not
    looked for again. Raises UsageError where ruptures is not installed and is needed.
    """
    how = detection or Detection()
    decisions = {place: one for one in history.decisions() for place in one.places}
    known: dict[str, dict[int, tuple[str, str]]] = {}
    fresh: dict[str, dict[int, tuple[str, str]]] = {}
    changes = []
    for series in found:
        branch = _ALL_BRANCHES if series.branch is None else series.branch
        if branch not in known:
            known[branch] = history.detections(branch)
        steps = _Steps.of(series)
        digest = steps.digest(how)
        kept = known[branch].get(series.entry.id)
        if kept is not None and kept[0] == digest:
            levels = [LevelChange(*each) for each in json.loads(kept[1])]
        else:
            levels = steps.changes(how)
            text = json.dumps([astuple(one) for one in levels])
            fresh.setdefault(branch, {})[series.entry.id] = (digest, text)
        changes += [_change(series, steps, one, decisions) for one in levels]
    for branch, detected in fresh.items():
        history.keep_detections(branch, detected)
    return changes


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """A series commit by commit. points: those of each; values: their medians; exact: what they all
    say, NaN where they do not, or one is no exact count.
    """

    points: Sequence[Sequence[Point]]
    values: FloatArray
    exact: FloatArray

    @classmethod
    def of(cls, series: Series) -> _Steps:
        """Where times order the points, those of one commit in a row."""
        points = [list(group) for _, group in groupby(series.points, key=lambda one: one.side)]
        return cls(
            points,
            np.array([np.median([one.value for one in each]) for each in points]),
            np.array([_agreed(each) for each in points]),
        )

    @property
    def is_exact(self) -> bool:
        """Whether it is so at more than half of the commits."""
        return bool(2 * np.count_nonzero(~np.isnan(self.exact)) > self.exact.size)

    def changes(self, how: Detection) -> list[LevelChange]:
        """Positions are those of commits."""
        if self.is_exact:
            return exact_changes(self.exact)
        return change_points(
            self.values, theta=how.theta, least=how.least, alpha=how.alpha, seed=how.seed
        )

    def digest(self, how: Detection) -> str:
        """Of all that `changes` depends on."""
        told = repr((_RULE, astuple(how))).encode("utf-8")
        return hashlib.sha256(told + self.values.tobytes() + self.exact.tobytes()).hexdigest()


def _agreed(points: Sequence[Point]) -> float:
    values = {one.value for one in points}
    if len(values) == 1 and all(one.exact for one in points):
        return values.pop()
    return math.nan


def _change(
    series: Series,
    steps: _Steps,
    level: LevelChange,
    decisions: dict[tuple[int, str, str], Decision],
) -> Change:
    first = _previous(steps, level.position)
    before, after = steps.points[first][-1], steps.points[level.position][0]
    earlier = [each[-1] for each in steps.points[max(first - NEAR, 0) : first]]
    later = [each[0] for each in steps.points[level.position + 1 : level.position + 1 + NEAR]]
    return Change(
        series=series.entry,
        branch=series.branch,
        before=before,
        after=after,
        level_before=level.before,
        level_after=level.after,
        nearby=(*earlier, before, after, *later),
        p=level.p,
        exact=steps.is_exact,
        decision=decisions.get((series.entry.id, before.side, after.side)),
    )


def _previous(steps: _Steps, position: int) -> int:
    """Of an exact count the last commit at which it was one."""
    before = position - 1
    while steps.is_exact and math.isnan(steps.exact[before]):
        before -= 1
    return before

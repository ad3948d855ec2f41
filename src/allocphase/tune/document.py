"""The answer of a search: what was tried, what was left, and what the gate said of it.

tune.json, in the search's run directory, has the same; what is not finite is null there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from allocphase.files.typed import plain
from allocphase.stats import Interval

__all__ = [
    "FILE",
    "WORSE",
    "Answer",
    "ArmEntry",
    "Confirmation",
    "StageEntry",
    "Tuning",
    "document",
]

FILE = "tune.json"
# How the reason begins of a setting that was dropped for its figures alone.
WORSE = "in the worse half"
SCHEMA = 1


class Answer(StrEnum):
    """What came of a search."""

    BETTER = "better"
    """A setting is better than the default, by the gate's rule, and keeps the bounds."""
    NONE_BETTER = "none better"
    """The best one is not better than the default by more than a share."""
    NONE_WITHIN = "none within the bounds"
    """Every setting breaks a bound, or fails."""
    UNDECIDED = "undecided"
    """The gate's rounds do not tell whether the best one is better, or keeps the bounds."""
    NOT_MEASURED = "not measured"
    """A process of the gate did not end well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEntry:
    """A setting that was tried. rounds: that it ran; ratio: of what is minimised over the
    default's, from these. bounds: by their texts, whether its median keeps them. dropped: why it
    did not go on, empty of those that were left.
    """

    name: str
    config: Mapping[str, str]
    environment: Mapping[str, str]
    rounds: int
    ratio: Interval
    bounds: Mapping[str, bool]
    dropped: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageEntry:
    """A stage of the halving. arms: that ran in it; rounds: that each of them had at its end, those
    of earlier stages too; failed, broken, worse: how many were dropped after it, and why; best: the
    one that was ahead, None where none kept the bounds.
    """

    arms: int
    rounds: int
    failed: int
    broken: int
    worse: int
    best: str | None
    ratio: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What the gate measured of the winner against the default. outcome: of the row of what is
    minimised; default, winner: medians, in its unit; exact: every process said the same. bounds: by
    their texts, whether the gate found them kept; text: its verdict in a word. paths: of its
    sessions.
    """

    outcome: str
    default: float
    winner: float
    ratio: Interval
    exact: bool
    rounds: int
    bounds: Mapping[str, bool]
    text: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Everything that is told of a search.

    winner: the best of the search, None where every setting failed or broke a bound. use: the line
    of environment, or of a specification, that has its settings; None unless it is better.
    at_most: of "none better", the share by which no setting is better than the default. path: of
    the search's run directory.
    """

    allocator: str
    scenario: str
    minimize: str
    unit: str
    bounds: tuple[str, ...]
    theta: float
    seed: int
    time_budget_s: float
    answer: Answer
    winner: str | None
    use: str | None
    at_most: float | None
    arms: tuple[ArmEntry, ...]
    stages: tuple[StageEntry, ...]
    confirmation: Confirmation | None
    notes: tuple[str, ...]
    seconds: float
    path: str

    @property
    def exit_code(self) -> int:
        """4 where it cannot be told, 5 where something was not measured, else 0."""
        return {Answer.UNDECIDED: 4, Answer.NOT_MEASURED: 5}.get(self.answer, 0)


def document(tuning: Tuning) -> dict[str, Any]:
    """Plain values, ready for json.dumps with allow_nan=False."""
    head = {"schema": SCHEMA, "exit_code": tuning.exit_code}
    return {**head, **plain(tuning, defaults=True)}

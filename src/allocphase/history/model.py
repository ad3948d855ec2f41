"""What a history holds: runs with their commits, and series of points.

A *series* is one metric of one allocator on one scenario, on machines that are the same for that
metric: (facts, scenario, digest, allocator, metric). Nothing else is ever put on one line. Where a
scenario's digest or a fact of the machine changes, another series begins, which says so (`began`).

Place in the pipeline: below everything in this room; `reading` makes Measured of run directories,
`database` keeps them and gives Series back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "CommitEntry",
    "Decided",
    "Decision",
    "Measured",
    "MeasuredValue",
    "ObjectEntry",
    "Point",
    "RunEntry",
    "Series",
    "SeriesEntry",
    "SeriesKey",
]


@dataclass(frozen=True, slots=True)
class CommitEntry:
    """A commit. time: of its committer, ISO 8601 in UTC, empty where nobody knows. ancestors: how
    many commits came before it, itself counted, so that each has more than any that it came from;
    None where no repository said so.
    """

    hash: str
    subject: str = ""
    time: str = ""
    ancestors: int | None = None

    @property
    def short(self) -> str:
        """Enough of it for any repository."""
        return self.hash[:12]


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """What an allocator was: its file with its digest, None for libc, and its settings."""

    path: str | None
    sha256: str | None
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesKey:
    """What makes a series one. facts_digest: of the facts of the machine that the metric depends
    on; digest: of the scenario.
    """

    facts_digest: str
    scenario: str
    digest: str
    allocator: str
    metric: str

    @property
    def name(self) -> str:
        """METRIC:SCENARIO:ALLOCATOR, which several series may have."""
        return f"{self.metric}:{self.scenario}:{self.allocator}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredValue:
    """One value that a run has for a series, in `unit`.

    facts: those of the machine that the metric depends on, by name. lower, upper: its 90% interval,
    None where there are too few processes. exact: a count on which all processes agree, and of
    which another day's would say the same. processes: how many the value rests on.
    """

    scenario: str
    digest: str
    allocator: str
    metric: str
    unit: str
    facts: Mapping[str, object]
    value: float
    lower: float | None
    upper: float | None
    exact: bool
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run, or an arm of a gate, as it is added. identity: the same whenever the same run is
    added; content: another one once there is more in it. arm: of a gate, else empty. started: ISO
    8601. objects: by allocator.
    """

    identity: str
    content: str
    path: str
    arm: str
    label: str
    branch: str
    started: str
    commit: CommitEntry | None
    objects: Mapping[str, ObjectEntry]
    values: Sequence[MeasuredValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """A run that is in a history: see Measured."""

    id: int
    path: str
    arm: str
    label: str
    branch: str
    started: str
    commit: CommitEntry | None


@dataclass(frozen=True, slots=True)
class Point:
    """A value of a series with the run that it comes from: see MeasuredValue."""

    run: RunEntry
    value: float
    lower: float | None
    upper: float | None
    exact: bool
    processes: int

    @property
    def commit(self) -> CommitEntry | None:
        """What was measured; None where nobody knows."""
        return self.run.commit

    @property
    def time(self) -> str:
        """When, ISO 8601."""
        return self.run.started

    @property
    def side(self) -> str:
        """What a decision calls it: its commit, or the run where nobody knows that."""
        return self.commit.hash if self.commit else f"run {self.run.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEntry:
    """A series without its points. began: when its first run started. mark: why it began though
    there is one of the same name, previous: which; empty and None for the first of its name.
    """

    id: int
    key: SeriesKey
    unit: str
    began: str
    facts: Mapping[str, object]
    previous: int | None = None
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series with its points, in the order of commits, or of times (order.in_order).

    branch: whose points they are; None: of all branches. by_commit: whether commits order them.
    """

    entry: SeriesEntry
    branch: str | None
    by_commit: bool
    points: tuple[Point, ...]


class Decided(StrEnum):
    """What a gate of the two sides of a change said."""

    WORSE = "worse"
    """After the change it is worse: confirmed."""
    BETTER = "better"
    """After the change it is better: confirmed."""
    REFUTED = "no change"
    """The two do not differ by more than the limit."""
    OPEN = "cannot be told"
    """The gate was inconclusive, or something was not measured."""

    @property
    def confirms(self) -> bool:
        """Whether there is a change."""
        return self in (Decided.WORSE, Decided.BETTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What gates said of a change. series: its id; before, after: its sides, as Point.side has
    them; found_before, found_after: those that differ, which may be others nearby; the same where
    nothing is confirmed. ratio: after over before, in the last gate that found it, or the only one;
    gate: that one's run directory; decided: when, ISO 8601.
    """

    series: int
    before: str
    after: str
    verdict: Decided
    found_before: str
    found_after: str
    ratio: float | None
    gate: str
    decided: str

    @property
    def places(self) -> set[tuple[int, str, str]]:
        """Where the change was, and where it is: it holds at both, as Change.place has them."""
        return {
            (self.series, self.before, self.after),
            (self.series, self.found_before, self.found_after),
        }

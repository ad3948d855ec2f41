"""Change points of a history, gated: the commits before and after it against each other.

What changed between the same two commits the same way is one gate, whose rows are those series and
no others. Where it got better, the later one is the baseline: a gate asks whether the candidate is
worse, in two sessions, and so both ways are told with the same certainty.

A change point may stand a commit or two beside the change. What does not differ between its own two
commits is gated over those nearby; and where it differs there, halves are gated, down to two. Each
is gated before it is narrowed into: two small steps may differ together where neither does.

Place in the pipeline: above history, which has the changes, and below the command, which runs them.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.allocator import Allocator
from allocphase.analysis.metric_names import is_compared, measure
from allocphase.errors import UsageError
from allocphase.gate.arms import Arms, named_arm
from allocphase.gate.revisions import Revisions
from allocphase.history import Change, Decided, Decision, History, Point
from allocphase.judge import GateVerdict, Limits, Outcome
from allocphase.judge.limits import Limit, of_itself, parse_limit
from allocphase.spec import Setting, Spec, base_name
from allocphase.store.reader import RunFiles

__all__ = ["Ask", "Confirmation", "Said", "arms_of", "confirmations", "confirmed", "said_of"]

_WAY_OUT = "say how its commit is built: --repo DIR, --build COMMAND, --object FILE"
# What a row that is not worse says of a change; what is not among them cannot be told.
_TOLD = {
    Outcome.UNCHANGED: Decided.REFUTED,
    Outcome.NOT_WORSE: Decided.REFUTED,
    Outcome.IMPROVED: Decided.REFUTED,
    Outcome.UNCONFIRMED: Decided.REFUTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """One gate to be. before, after: a point of each side; worse: whether there is more afterwards;
    changes: all that it is to decide.
    """

    before: Point
    after: Point
    allocator: str
    worse: bool
    changes: tuple[Change, ...]

    @property
    def scenarios(self) -> list[str]:
        """Their names, once each."""
        return list(dict.fromkeys(one.series.key.scenario for one in self.changes))

    def limits(self, theta: float) -> Limits:
        """Those series and nothing else; an exact count by any difference."""
        rows = [
            Limit(
                measure(one.series.key.metric).name,
                of_itself(one.series.key.scenario),
                "exact" if one.exact else f"{theta:.4%}",
                None if one.exact else theta,
            )
            for one in self.changes
        ]
        return Limits(theta=theta, memory_theta=theta, lines=(parse_limit("*=off"), *rows))

    def between(self, before: Point, after: Point, changes: Iterable[Change]) -> Confirmation:
        """The same of other commits, for some of the changes."""
        return replace(self, before=before, after=after, changes=tuple(changes))

    def __str__(self) -> str:
        return f"{self.allocator}: {_name(self.before)} against {_name(self.after)}"


@dataclass(frozen=True, slots=True)
class Said:
    """What one gate said of one change: see Decision."""

    verdict: Decided
    ratio: float | None
    gate: str


# Gates, and says something of each change, by its place.
Ask = Callable[[Confirmation], Mapping[tuple[int, str, str], Said]]


def confirmations(changes: Iterable[Change]) -> tuple[list[Confirmation], list[str]]:
    """What is to be gated, and a line for each change that cannot be."""
    groups: dict[tuple[str, str, str, bool], list[Change]] = {}
    left_out = []
    for one in changes:
        key = one.series.key
        if not is_compared(key.metric):
            left_out.append(f"{key.name}: no gate has {key.metric}: it stays advice")
            continue
        sides = (one.before.side, one.after.side)
        groups.setdefault((*sides, key.allocator, one.is_worse), []).append(one)
    found = [
        Confirmation(
            before=group[0].before,
            after=group[0].after,
            allocator=allocator,
            worse=worse,
            changes=tuple(group),
        )
        for (_, _, allocator, worse), group in groups.items()
    ]
    return found, left_out


def arms_of(one: Confirmation, history: History, revisions: Revisions | None) -> Arms:
    """Both sides, built by a recipe, or the objects that the runs had, where they are there still;
    the better one is the baseline. Raises UsageError, and BuildError.
    """
    if revisions is not None:
        sides = [_commit(point) for point in (one.before, one.after)]
        commits = [revisions.repository.commit(side) for side in sides]
        old, new = commits if one.worse else reversed(commits)
        return revisions.arms_of(old, new)
    kept = [_kept(history, point, one.allocator) for point in (one.before, one.after)]
    old_arm, new_arm = kept if one.worse else reversed(kept)
    return Arms(old_arm, new_arm)


def confirmed(one: Confirmation, ask: Ask) -> Iterator[Decision]:
    """What is decided of each of its changes; raises as `ask`."""
    said = ask(one)
    beside = []
    for change in one.changes:
        mine = said[change.place]
        if mine.verdict is Decided.REFUTED and len(change.nearby) > 2:
            beside.append(change)
        else:
            yield _decision(change, mine, (one.before, one.after))
    if not beside:
        return
    nearby = beside[0].nearby  # those of the same two commits have the same ones, as a rule
    said = ask(one.between(nearby[0], nearby[-1], beside))
    found = [change for change in beside if said[change.place].verdict.confirms]
    for change in beside:
        if change not in found:
            yield _decision(change, said[change.place], (one.before, one.after))
    yield from _located(one, found, said, nearby, ask)


def _located(
    one: Confirmation,
    changes: Sequence[Change],
    said: Mapping[tuple[int, str, str], Said],
    points: Sequence[Point],
    ask: Ask,
) -> Iterator[Decision]:
    """Of changes that differ between the first and the last of the points, where they do: down to
    two, or to the points within which no half differs by itself, or cannot be told.
    """
    if not changes:
        return
    if len(points) == 2:
        for change in changes:
            yield _decision(change, said[change.place], (points[0], points[1]))
        return
    middle = len(points) // 2
    whole, asked = list(changes), list(changes)
    for half in (points[: middle + 1], points[middle:]):
        told = ask(one.between(half[0], half[-1], asked))
        found = [change for change in asked if told[change.place].verdict.confirms]
        yield from _located(one, found, told, half, ask)
        whole = [change for change in whole if change not in found]
        asked = [change for change in asked if told[change.place].verdict is Decided.REFUTED]
        if not asked:
            break
    for change in whole:
        yield _decision(change, said[change.place], (points[0], points[-1]))


def _decision(change: Change, said: Said, found: tuple[Point, Point]) -> Decision:
    before, after = found if said.verdict.confirms else (change.before, change.after)
    return Decision(
        series=change.series.id,
        before=change.before.side,
        after=change.after.side,
        verdict=said.verdict,
        found_before=before.side,
        found_after=after.side,
        ratio=said.ratio,
        gate=said.gate,
        decided=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
    )


def said_of(one: Confirmation, verdict: GateVerdict) -> dict[tuple[int, str, str], Said]:
    """What a gate says of each of the changes, by its place."""
    (session, *_) = verdict.sessions
    ran = RunFiles(Path(session.path)).manifest.scenarios
    digests = {entry.name: entry.digest for entry in ran}
    rows = {(row.metric, row.scenario): row for row in verdict.rows}
    found = {}
    for change in one.changes:
        key = change.series.key
        row = rows.get((measure(key.metric).name, key.scenario))
        word, ratio = Decided.OPEN, None
        if row is not None and digests.get(key.scenario) == key.digest:
            judged = row.again or row.first
            ratio = _after_over_before(judged.ratio.estimate, worse=one.worse)
            word = _TOLD.get(row.outcome, Decided.OPEN)
            if row.outcome is Outcome.REGRESSED:
                word = Decided.WORSE if one.worse else Decided.BETTER
        found[change.place] = Said(word, ratio, session.path)
    return found


def _kept(history: History, point: Point, allocator: str) -> Allocator:
    """The object that a run had. Raises UsageError where it is not there as it was."""
    found = history.objects(point.run.id).get(allocator)
    name = _name(point)
    if found is None or found.path is None:
        raise UsageError(f"{name}: {allocator} is no object of its own: {_WAY_OUT}")
    if not Path(found.path).exists():
        raise UsageError(f"{name}: {found.path} is gone: {_WAY_OUT}")
    settings = tuple(Setting(key, (value,)) for key, value in found.config.items())
    base = base_name(allocator)
    arm = named_arm(str(Spec(base, found.path, settings)))
    if arm.sha256() != found.sha256:
        raise UsageError(f"{name}: {found.path} is not what it was: {_WAY_OUT}")
    return arm


def _after_over_before(ratio: float, *, worse: bool) -> float | None:
    """From candidate over baseline, of which the candidate is the worse; None of no ratio."""
    if math.isnan(ratio):
        return None
    if worse:
        return ratio
    return math.inf if ratio == 0.0 else 1.0 / ratio


def _commit(point: Point) -> str:
    if point.commit is None:
        raise UsageError(f"{_name(point)}: nobody knows its commit, so that none can be built")
    return point.commit.hash


def _name(point: Point) -> str:
    if point.commit is None:
        return f"the run of {point.time}"
    return f"{point.commit.short} {point.commit.subject}".rstrip()

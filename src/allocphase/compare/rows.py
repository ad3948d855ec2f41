"""From pairs of cells to rows: ratio, interval, verdict, least effect that would have shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from allocphase.analysis.measures import MEASURES, Measure
from allocphase.analysis.metric_names import compared, measure
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.compare.pairs import Cell, CellPair
from allocphase.judge.counted import AGREEING
from allocphase.stats import (
    Comparison,
    Interval,
    Row,
    Samples,
    Verdict,
    compare_rows,
    compare_samples,
)
from allocphase.stats.exact import count_change, count_ratio
from allocphase.stats.values import FloatArray, agree, median
from allocphase.store.record import rounds_of

__all__ = ["ALPHA", "DEFAULT_METRICS", "CompareRow", "WantedRow", "compared_rows", "wanted_rows"]

# Times first, then counts, then bytes.
_UNITS = ("ns", "count", "bytes")
DEFAULT_METRICS = tuple(
    one.name for unit in _UNITS for one in MEASURES.values() if one.usual and one.unit == unit
)
# Each direction's family-wise level, and the tails of each row's own interval.
ALPHA = 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRow:
    """One metric of one cell against another. Values are medians in `unit`.

    ratio: candidate over base, with its own 95% interval; open on both sides for counts on which
    the processes of each side agree. saved_ns: of a time, base less candidate, with its own 95%
    interval; None of a count. verdict: None where a side was not measured. broken: the candidate's
    cell is, so that it is neither improved nor unchanged. exact: such a count. can_regress: the
    processes suffice for a verdict at all. min_detectable_ratio: infinite where they do not. pairs:
    rounds that both sides have; of what is not paired, the processes of the side that has fewer.
    """

    allocator: str
    scenario: str
    metric: str
    unit: str
    base: float
    candidate: float
    ratio: Interval
    saved_ns: Interval | None
    theta: float
    pairs: int
    paired: bool
    exact: bool
    min_detectable_ratio: float
    broken: bool
    verdict: Verdict | None

    @property
    def timed(self) -> bool:
        """Whether it was sampled over rounds."""
        return measure(self.metric).timed

    @property
    def can_regress(self) -> bool:
        """Whether these rounds could have shown anything."""
        return math.isfinite(self.min_detectable_ratio)


def wanted_rows(
    pairs: Sequence[CellPair],
    *,
    metrics: Sequence[str],
    holds: Callable[[Measure], bool],
    theta: float,
    memory_theta: float,
) -> list[WantedRow]:
    """The values of a row for each pair and metric that holds, and that there is of a trace or a
    program, in that order. Raises UsageError for a metric that does not exist.
    """
    measures = [compared(name) for name in metrics]
    read = _Values()
    return [
        WantedRow(
            allocator=pair.candidate.allocator,
            scenario=pair.candidate.scenario,
            one=one,
            base=read.of(pair.base, one),
            candidate=read.of(pair.candidate, one),
            limit=theta if one.timed else memory_theta,
            within_run=pair.base.run is pair.candidate.run,
            is_of_session=_is_of_session(pair, one),
            broken=pair.candidate.is_broken,
        )
        for pair in pairs
        for one in measures
        if holds(one) and one.probe.of_programs == pair.candidate.is_program
    ]


def _is_of_session(pair: CellPair, one: Measure) -> bool:
    if one.timed or one.of_trace or pair.base.run is pair.candidate.run:
        return False
    return len(pair.base.run.thread_counts(pair.base.scenario)) > 1


def compared_rows(wanted: Sequence[WantedRow]) -> list[CompareRow]:
    """The rows judged together, same order.

    Times of one run are paired within the round, those of two runs are not, and neither are
    counts: each is a family of its own (Holm).
    """
    found: dict[int, Comparison] = {i: _agreed(w) for i, w in enumerate(wanted) if w.is_exact}
    paired = [i for i, w in enumerate(wanted) if w.one.timed and w.within_run]
    times = [i for i, w in enumerate(wanted) if w.one.timed and not w.within_run]
    counts = [i for i, w in enumerate(wanted) if not w.one.timed and not w.is_exact]
    compared_pairs = compare_rows([wanted[i].rounds() for i in paired], alpha=ALPHA)
    found.update(zip(paired, compared_pairs, strict=True))
    for family in (times, counts):
        tested = compare_samples([wanted[i].samples() for i in family], alpha=ALPHA)
        found.update(zip(family, tested, strict=True))
    return [_row(w, found[i]) for i, w in enumerate(wanted)]


@dataclass(frozen=True, slots=True, eq=False)
class WantedRow:
    """One row before it is judged: its values, and nothing of the run that they are of.

    base, candidate: of a time by round, NaN where missing; of a count, of each process. limit: what
    counts as a change, where a count varies. within_run: the two sides ran in the same rounds.
    is_of_session: two runs of the same may differ in it as a whole: how far threads are apart is a
    session's, so that all processes of a run may agree on one count, and all of the next run on
    another. Then a run is one sample. broken: a process of the candidate's cell is, of whatever
    probe.
    """

    allocator: str
    scenario: str
    one: Measure
    base: FloatArray
    candidate: FloatArray
    limit: float
    within_run: bool
    is_of_session: bool
    broken: bool

    @property
    def is_exact(self) -> bool:
        """Whether it is a count of which each side says one thing, and would another day."""
        one_each = agree(self.base) and agree(self.candidate)
        return one_each and not self.one.timed and not self.is_of_session

    @property
    def theta(self) -> float:
        """One more is worse as long as the baseline's own processes agree."""
        exact = self.one.rule != "memory" and not self.one.timed and agree(self.base)
        return 0.0 if exact else self.limit

    def rounds(self) -> Row:
        """Paired; runs of different lengths: what has no partner counts as missing."""
        size = max(self.base.size, self.candidate.size)
        arms = [np.full(size, np.nan) for _ in range(2)]
        arms[0][: self.base.size], arms[1][: self.candidate.size] = self.base, self.candidate
        return Row(arms[0], arms[1], self.theta)

    def samples(self) -> Samples:
        """Not paired."""
        return Samples(self.base, self.candidate, self.theta)


def _verdict(wanted: WantedRow, found: Comparison) -> Verdict | None:
    if not found.pairs:
        return None
    if wanted.broken and found.verdict is not Verdict.REGRESSED:
        return Verdict.INCONCLUSIVE
    changed = found.verdict in (Verdict.REGRESSED, Verdict.IMPROVED)
    return Verdict.INCONCLUSIVE if changed and wanted.is_of_session else found.verdict


def _row(wanted: WantedRow, found: Comparison) -> CompareRow:
    return CompareRow(
        allocator=wanted.allocator,
        scenario=wanted.scenario,
        metric=wanted.one.name,
        unit=wanted.one.unit,
        base=median(wanted.base),
        candidate=median(wanted.candidate),
        ratio=found.ratio,
        saved_ns=found.saved if wanted.one.timed else None,
        theta=found.theta,
        pairs=found.pairs,
        paired=wanted.one.timed and wanted.within_run,
        exact=wanted.is_exact,
        min_detectable_ratio=found.min_detectable_ratio,
        broken=wanted.broken,
        verdict=_verdict(wanted, found),
    )


class _Values:
    """The values of cells; each process is read once, whatever is asked of it."""

    def __init__(self) -> None:
        self._processes: dict[Path, ProcessMetrics] = {}  # by the run's

    def of(self, cell: Cell, one: Measure) -> FloatArray:
        """Of a time by round, shape (rounds,), NaN where missing; of a count every process's."""
        processes = self._processes.setdefault(cell.run.path, ProcessMetrics(cell.run.files))
        records = cell.records
        if not one.timed:
            return processes.every(records, one)
        return processes.by_round(records, one, rounds=rounds_of(records))


def _agreed(wanted: WantedRow) -> Comparison:
    """What each side's processes agree on; fewer than AGREEING of them say nothing of a change."""
    before, after = median(wanted.base), median(wanted.candidate)
    fewest = min(wanted.base.size, wanted.candidate.size)
    change = count_change(before, after, wanted.theta, grain=wanted.one.grain)
    return Comparison(
        ratio=Interval(count_ratio(before, after), -math.inf, math.inf, math.nan),
        saved=Interval(before - after, -math.inf, math.inf, math.nan),
        theta=wanted.theta,
        pairs=fewest,
        dropped=0,
        p_regressed=math.nan,
        p_improved=math.nan,
        min_detectable_ratio=math.inf,
        verdict=change if fewest >= AGREEING else Verdict.INCONCLUSIVE,
    )

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
from allocphase.stats import Comparison, Interval, Row, Verdict, compare_rows, judge_interval
from allocphase.stats.values import FloatArray, median
from allocphase.store.record import rounds_of

__all__ = ["ALPHA", "DEFAULT_METRICS", "CompareRow", "compare_cells"]

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

    ratio: candidate over base; the interval is open on both sides for counts, of which one process
    gave each. verdict: None where a side was not measured. can_regress: the rounds suffice for a
    verdict at all. min_detectable_ratio: infinite where they do not.
    """

    allocator: str
    scenario: str
    metric: str
    unit: str
    base: float
    candidate: float
    ratio: Interval
    theta: float
    pairs: int
    min_detectable_ratio: float
    verdict: Verdict | None

    @property
    def timed(self) -> bool:
        """Whether it was sampled over rounds."""
        return measure(self.metric).timed

    @property
    def can_regress(self) -> bool:
        """Whether these rounds could have shown anything."""
        return math.isfinite(self.min_detectable_ratio)


def compare_cells(
    pairs: Sequence[CellPair],
    *,
    metrics: Sequence[str],
    holds: Callable[[Measure], bool],
    theta: float,
    memory_theta: float,
) -> list[CompareRow]:
    """A row for each pair and metric that holds, in that order. Times are one family (Holm).

    Raises UsageError for a metric that does not exist.
    """
    measures = [compared(name) for name in metrics]
    wanted = [(pair, one) for pair in pairs for one in measures if holds(one)]
    read = _Values()
    values = [(read.of(p.base, m), read.of(p.candidate, m)) for p, m in wanted]
    timed = [i for i, (_, one) in enumerate(wanted) if one.timed]
    tested = compare_rows([_aligned(*values[i], theta) for i in timed], alpha=ALPHA)
    found = dict(zip(timed, tested, strict=True))
    rows = []
    for index, (pair, one) in enumerate(wanted):
        base, candidate = values[index]
        limit = theta if one.timed else memory_theta if one.rule == "memory" else 0.0
        outcome = found.get(index) or _count(base, candidate, limit)
        rows.append(_row(pair, one, (median(base), median(candidate)), outcome))
    return rows


def _row(
    pair: CellPair, one: Measure, medians: tuple[float, float], found: Comparison
) -> CompareRow:
    return CompareRow(
        allocator=pair.candidate.allocator,
        scenario=pair.candidate.scenario,
        metric=one.name,
        unit=one.unit,
        base=medians[0],
        candidate=medians[1],
        ratio=found.ratio,
        theta=found.theta,
        pairs=found.pairs,
        min_detectable_ratio=found.min_detectable_ratio,
        verdict=found.verdict if found.pairs else None,
    )


class _Values:
    """The values of cells; each process is read once, whatever is asked of it."""

    def __init__(self) -> None:
        self._processes: dict[Path, ProcessMetrics] = {}  # by the run's

    def of(self, cell: Cell, one: Measure) -> FloatArray:
        """By round, shape (rounds,), NaN where missing."""
        processes = self._processes.setdefault(cell.run.path, ProcessMetrics(cell.run.files))
        records = cell.run.records_of(cell.allocator, cell.scenario)
        return processes.by_round(records, one, rounds=rounds_of(records))


def _aligned(base: FloatArray, candidate: FloatArray, theta: float) -> Row:
    """Runs of different lengths: what has no partner counts as missing."""
    size = max(base.size, candidate.size)
    arms = [np.full(size, np.nan) for _ in range(2)]
    arms[0][: base.size], arms[1][: candidate.size] = base, candidate
    return Row(arms[0], arms[1], theta)


def _count(base: FloatArray, candidate: FloatArray, theta: float) -> Comparison:
    """A count is compared as it stands: it is not sampled, so it has no interval and no p-value."""
    before, after = median(base), median(candidate)
    measured = not (math.isnan(before) or math.isnan(after))
    # Nothing before and nothing after is no change; something after nothing has no ratio.
    ratio = 1.0 if before == after else after / before if before else math.inf
    middle = ratio if measured else math.nan
    log_ratio = math.log(ratio) if measured and 0.0 < ratio < math.inf else math.inf
    log_ratio = -math.inf if ratio == 0.0 else log_ratio
    return Comparison(
        ratio=Interval(middle, -math.inf, math.inf, math.nan),
        theta=theta,
        pairs=int(measured),
        dropped=0,
        p_regressed=math.nan,
        p_improved=math.nan,
        min_detectable_ratio=math.inf,
        verdict=judge_interval(Interval(log_ratio, log_ratio, log_ratio, 1.0), theta),
    )

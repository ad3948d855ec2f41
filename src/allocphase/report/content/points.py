"""The operations of one cell that a timeline draws, with what is to be said of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.analysis.frames import CAUSES, Run
from allocphase.analysis.latency import uncalled_kinds
from allocphase.analysis.metrics import KIND_NAMES
from allocphase.analysis.thin import kept
from allocphase.probe.probe import Probe
from allocphase.report.content.threads import ThreadCalls, thread_calls

__all__ = ["Points", "cell_points", "points_per_cell"]

# What one report holds: 20 bytes a point in the page make 3.6 MB.
TOTAL_POINTS = 180_000
MOST_POINTS, FEWEST_POINTS = 3000, 300

# The first and last tenth of a trace tell whether its calls grow slower as it goes on.
STRETCH = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Of the first replay. Arrays have shape (points,), in the order of the trace; `row` is the
    place in it.

    calls: the names of the system calls, joined by "+". operations: of the trace. total:
    operations with a latency, of which these are some. slowest_only: the trace is so long that
    only its slowest calls are known one by one, and `total` is how many. growth: by kind, the
    median latency in ns of the first and the last tenth of the operations of that kind that had
    no cause. threads: in the warm replays; none for a single one.
    """

    row: npt.NDArray[np.uint32]
    latency_ns: npt.NDArray[np.float32]
    cause: npt.NDArray[np.uint8]
    kind: npt.NDArray[np.uint8]
    size: npt.NDArray[np.uint32]
    thread: npt.NDArray[np.uint16]
    faults: npt.NDArray[np.uint32]
    calls: list[str]
    operations: int
    total: int
    slowest_only: bool
    growth: dict[str, tuple[float, float]]
    threads: tuple[ThreadCalls, ...]

    @property
    def thinned(self) -> bool:
        """Whether some operations are left out."""
        return self.row.size < self.total


def points_per_cell(cells: int) -> int:
    """How many points a cell may have, so that the page stays small however many there are."""
    return min(MOST_POINTS, max(FEWEST_POINTS, TOTAL_POINTS // max(cells, 1)))


def cell_points(run: Run, allocator: str, scenario: str, *, limit: int) -> Points:
    """At most about `limit` points; none where no latency was measured."""
    frame = run.operations_of(allocator, scenario)
    counts = run.thread_counts(scenario)
    latency = frame["latency_ns"].to_numpy(dtype=np.float64, copy=True)
    kind = np.asarray(frame["kind"].cat.codes, dtype=np.int8)
    first = run.first(allocator, scenario, Probe.LATENCY)
    uncalled = np.isin(kind, uncalled_kinds(first[0]) if first else ())
    latency[uncalled] = np.nan
    cause = np.asarray(frame["cause"].cat.codes, dtype=np.int8)
    drawn = kept(latency, cause, points=limit)
    chosen = frame.iloc[drawn]
    total = int(np.count_nonzero(~np.isnan(latency)))
    slowest_only = total < counts.sum() - np.count_nonzero(uncalled)
    return Points(
        row=chosen.index.to_numpy(dtype=np.uint32),
        latency_ns=latency[drawn].astype(np.float32),
        cause=cause[drawn].astype(np.uint8),
        kind=kind[drawn].astype(np.uint8),
        size=chosen["size"].to_numpy(dtype=np.uint32),
        thread=chosen["thread"].to_numpy(dtype=np.uint16),
        faults=chosen["call_faults"].to_numpy(dtype=np.uint32),
        calls=[str(names) for names in chosen["syscall_names"]],
        operations=int(counts.sum()),
        total=total,
        slowest_only=slowest_only,
        growth={} if slowest_only else _growth(latency, kind, cause),
        threads=thread_calls(run, allocator, scenario),
    )


def _growth(
    latency: npt.NDArray[np.float64], kind: npt.NDArray[np.int8], cause: npt.NDArray[np.int8]
) -> dict[str, tuple[float, float]]:
    found = {}
    quiet = (cause == CAUSES.index("neither")) & ~np.isnan(latency)
    for code, name in enumerate(KIND_NAMES):
        values = latency[quiet & (kind == code)]
        stretch = int(values.size * STRETCH)
        if stretch >= 10:
            found[name] = (float(np.median(values[:stretch])), float(np.median(values[-stretch:])))
    return found

"""The operations of one cell that a timeline draws, with what is to be said of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocphase.frames import CAUSES, Run
from allocphase.metrics import KIND_NAMES
from allocphase.report.thin import kept

__all__ = ["Points", "cell_points", "points_per_cell"]

# What one report holds: 20 bytes a point in the page make 3.6 MB.
TOTAL_POINTS = 180_000
MOST_POINTS, FEWEST_POINTS = 3000, 300

# The first and last tenth of a trace tell whether its calls grow slower as it goes on.
STRETCH = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Arrays have shape (points,), in the order of the trace; `row` is the place in it.

    calls: the names of the system calls, joined by "+". total: operations with a latency, of
    which these are some; by_cause: how many of them have each cause. growth: by kind, the median
    latency in ns of the first and the last tenth of the operations of that kind that had no
    cause. threads: a row a thread, see `_threads`.
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
    by_cause: npt.NDArray[np.int64]
    growth: dict[str, tuple[float, float]]
    threads: pd.DataFrame

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
    latency = frame["latency_ns"].to_numpy(dtype=np.float64, copy=True)
    kind = np.asarray(frame["kind"].cat.codes, dtype=np.int8)
    latency[kind == KIND_NAMES.index("write")] = np.nan  # the program's own work
    cause = np.asarray(frame["cause"].cat.codes, dtype=np.int8)
    rows = kept(latency, cause, points=limit)
    chosen = frame.iloc[rows]
    return Points(
        row=rows.astype(np.uint32),
        latency_ns=latency[rows].astype(np.float32),
        cause=cause[rows].astype(np.uint8),
        kind=kind[rows].astype(np.uint8),
        size=chosen["size"].to_numpy(dtype=np.uint32),
        thread=chosen["thread"].to_numpy(dtype=np.uint16),
        faults=chosen["call_faults"].to_numpy(dtype=np.uint32),
        calls=[str(names) for names in chosen["syscall_names"]],
        operations=len(frame),
        total=int(np.count_nonzero(~np.isnan(latency))),
        by_cause=np.bincount(cause[~np.isnan(latency)], minlength=len(CAUSES)),
        growth=_growth(latency, kind, cause),
        threads=_threads(frame, latency),
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


def _threads(frame: pd.DataFrame, latency: npt.NDArray[np.float64]) -> pd.DataFrame:
    """Indexed by thread: operations, system calls, p50 and p99.9 of the latency in ns.

    Empty for a single thread.
    """
    threads = frame["thread"].to_numpy()
    if not threads.size or threads.max() == 0:
        return pd.DataFrame()
    by_thread = pd.DataFrame({"ns": latency, "syscalls": frame["syscalls"]}).groupby(threads)
    return pd.DataFrame(
        {
            "operations": by_thread.size(),
            "syscalls": by_thread["syscalls"].sum(),
            "p50_ns": by_thread["ns"].quantile(0.5, interpolation="lower"),
            "p99_9_ns": by_thread["ns"].quantile(0.999, interpolation="lower"),
        }
    )

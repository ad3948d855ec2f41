"""What a replay has exactly as its program, or has not: calls by kind, and what is live.

No interval and no share that is allowed: a trace makes the program's calls, or it is another
program's. Of a program that does not do the same each time, how far it is off is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.analysis.frames import Run

__all__ = ["Alike", "calls_alike", "live_alike"]

# Curves of different length are held against each other at so many equal shares of them.
_POINTS = 1000

Curve = npt.NDArray[np.int64]
_NOTHING = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that both have, such as "frees under jemalloc". off: how far the replay's is from
    the program's, a share of the program's.
    """

    of: str
    program: int
    replay: int
    off: float


@dataclass(frozen=True, slots=True)
class Alike:
    """Of a metric that is to be exact (trace/validated.py): what was compared."""

    metric: str
    rows: Sequence[Row]

    @property
    def off(self) -> float:
        """The largest of all, 0: exact."""
        return max(row.off for row in self.rows)


def calls_alike(
    run: Run,
    programs: tuple[str, str],
    by_kind: Callable[[Mapping[str, int]], Mapping[str, int]],
    replayed: Mapping[str, int],
) -> Alike | None:
    """The program's calls by kind under each allocator that was counted, and those that the replay
    stands for. programs: the program, and one that calls nothing: what is counted of it is what
    loading an allocator calls, and comes off, or less than that: a library that both load, such as
    C++'s, is loaded once. by_kind: from counts by function. None: nobody was counted.
    """
    rows = []
    for allocator in run.allocators:
        whole, nothing = (_counts(run, allocator, program) for program in programs)
        if whole is None or nothing is None:
            continue
        loading = by_kind(nothing)
        for kind, count in by_kind(whole).items():
            own = min(max(replayed[kind], count - loading[kind]), count)
            rows.append(_row(f"{kind} under {allocator}", own, replayed[kind]))
    return Alike("calls", rows) if rows else None


def _counts(run: Run, allocator: str, program: str) -> Mapping[str, int] | None:
    """By function, where they were counted."""
    for cell in run.cell_list:
        if (cell.allocator, cell.scenario) == (allocator, program) and cell.ok:
            found: Mapping[str, int] | None = cell.metrics.get("malloc_calls_by_function")
            return found
    return None


def live_alike(program: Sequence[Curve], replay: Sequence[Curve]) -> Alike:
    """What each thread's calls leave live, after each of them, in bytes. off is a share of the
    program's largest, and 0 only where all curves are the same.
    """
    whole, traced = (np.concatenate([_NOTHING, *curves]) for curves in (program, replay))
    peaks = [int(curve.max(initial=0)) for curve in (whole, traced)]
    lengths = [[len(curve) for curve in curves] for curves in (program, replay)]
    off = 0.0
    if lengths[0] != lengths[1] or not np.array_equal(whole, traced):
        apart = np.abs(_at_shares(whole) - _at_shares(traced)).max()
        off = max(float(apart), 1.0) / max(1, peaks[0])
    of = "peak, and the curve" if len(program) <= 1 else "largest peak of a thread, and all curves"
    return Alike("live_bytes", [Row(of, peaks[0], peaks[1], off)])


def _at_shares(curve: Curve) -> Curve:
    if not len(curve):
        return np.zeros(_POINTS, np.int64)
    found: Curve = curve[np.linspace(0, len(curve) - 1, _POINTS).astype(int)]
    return found


def _row(of: str, program: int, replay: int) -> Row:
    return Row(of, program, replay, abs(replay - program) / max(1, program))

"""The matrix of ratios as it stands before the reader chooses another baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from allocphase.report.content.ratios import Ratio, both_mostly_replay, ratio
from allocphase.report.content.rows import ratio_text, saved_below
from allocphase.report.content.source import Source

__all__ = ["LEFT_OUT", "STEPS", "MatrixCell", "geometric_mean", "look_of", "matrix_row", "mean_row"]

# Ratios (or their inverses) at which the colour grows one step stronger.
STEPS = (1.25, 2.0, 8.0)
# The status of a cell that the plan does not have: very slow allocators stay out of long traces.
LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """`look`: the style sheet's class. below: what stands under the text."""

    text: str
    look: str
    below: str = ""


def matrix_row(source: Source, scenario: str) -> list[MatrixCell]:
    """A cell an arm."""
    cells = {cell.allocator: cell for cell in source.cells(scenario)}
    found = source.ratios(scenario)
    row = []
    for name in source.names:
        status = cells[name].status if name in cells else LEFT_OUT
        row.append(_cell(found[name], status))
    return row


def mean_row(source: Source) -> list[MatrixCell]:
    """The geometric mean over the scenarios; none where there is but one."""
    if len(source.scenarios) < 2:
        return []
    return [_cell(geometric_mean(source, name), "ok") for name in source.names]


def geometric_mean(source: Source, name: str) -> Ratio | None:
    """Over all scenarios within a round, then paired by round as any ratio; None where the arm or
    the baseline lacks a scenario. The replay's share of a mean is the mean of the shares. Nothing
    is said of nanoseconds: those of means are nobody's.
    """
    arms = (source.baseline or "", name)
    base_share, share = (_mean_share(source, arm) for arm in arms)
    rows = [[source.times.get((arm, s)) for s in source.scenarios] for arm in arms]
    if any(times is None for row in rows for times in row):
        return None
    base, candidate = (
        np.exp(np.mean([np.log(times) for times in row if times is not None], axis=0))
        for row in rows
    )
    found = ratio(
        base,
        base if name == source.baseline else candidate,
        mostly_replay=both_mostly_replay(base_share, share),
    )
    return None if found is None else replace(found, saved_ns=None)


def _mean_share(source: Source, name: str) -> float | None:
    """Geometric, as the mean of the times; None where a share is not known."""
    shares = [
        share for s in source.scenarios if (share := source.replay_share(name, s)) is not None
    ]
    if not shares or len(shares) < len(source.scenarios):
        return None
    return float(math.prod(shares) ** (1 / len(shares)))


def look_of(found: Ratio | None) -> str:
    """ "faster-1" to "slower-4", "undecided", "same" for the baseline, "missing"."""
    if found is None or math.isnan(found.interval.estimate):
        return "missing"
    if found.exact:
        return "same"
    if not found.decided:
        return "undecided"
    estimate = found.interval.estimate
    step = 1 + sum(max(estimate, 1 / estimate) >= limit for limit in STEPS)
    return f"{'slower' if estimate > 1 else 'faster'}-{step}"


def _cell(found: Ratio | None, status: str) -> MatrixCell:
    if status != "ok":
        return MatrixCell(status, "missing" if status == LEFT_OUT else "failed")
    return MatrixCell(ratio_text(found), look_of(found), saved_below(found))

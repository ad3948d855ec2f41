"""Why the slowest calls of a cell were slow, in text: the same for the page and everything else.

Shares and costs are those of the metrics (outlier_causes, cause_cost_ratio): all timed calls, of
every kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from allocphase.analysis.cell import Cell
from allocphase.analysis.latency import CAUSES, OUTLIERS, key_of
from allocphase.report.content.values import format_percent
from allocphase.text.units import format_ratio

__all__ = [
    "FEW",
    "NAMES",
    "Lift",
    "Slow",
    "Why",
    "causes_seen",
    "cost_text",
    "lifts",
    "shown_quantile",
    "slow",
    "why",
]


# Of fewer calls the median says nothing of the next one.
FEW = 10

# What lies above each quantile.
NAMES = {
    name: f"slowest {100 * (1 - q):.4f}".rstrip("0").rstrip(".") + "%"
    for name, q in OUTLIERS.items()
}


@dataclass(frozen=True, slots=True)
class Slow:
    """The calls above one quantile. shares: by cause, all of them, 1 in sum."""

    above_ns: float
    calls: int
    shares: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Why:
    """Of one allocator: each cause's share of the slowest calls, and what a call with it costs.

    Texts by cause, in the order that was asked for; "-" where it is not known.
    """

    allocator: str
    shares: tuple[str, ...]
    costs: tuple[str, ...]


def slow(cell: Cell, quantile: str) -> Slow | None:
    """None where there is no such call, or it is not known what happened in all of them."""
    found = (cell.metrics.get("outlier_causes") or {}).get(quantile)
    if found is None:
        return None
    return Slow(found["above_ns"], found["calls"], {c: found[key_of(c)] for c in CAUSES})


@dataclass(frozen=True, slots=True)
class Lift:
    """Of the calls above a quantile, and of all calls, the share with one cause."""

    slowest: float
    every: float

    @property
    def ratio(self) -> float | None:
        """How many times as often the slowest calls have it; None where no call has."""
        return self.slowest / self.every if self.every else None


def lifts(cells: Sequence[Cell], quantile: str) -> dict[str, Lift] | None:
    """By cause, over the cells together; one in which it is not known what happened in its slowest
    calls is in neither share. None without any.
    """
    slowest, every = dict.fromkeys(CAUSES, 0.0), dict.fromkeys(CAUSES, 0.0)
    for cell in cells:
        counts, found = cell.metrics.get("cause_calls"), slow(cell, quantile)
        if not counts or found is None:
            continue
        for cause in CAUSES:
            slowest[cause] += found.shares[cause] * found.calls
            every[cause] += counts[key_of(cause)]
    totals = sum(slowest.values()), sum(every.values())
    if not all(totals):
        return None
    return {c: Lift(slowest[c] / totals[0], every[c] / totals[1]) for c in CAUSES}


def shown_quantile(cells: Sequence[Cell]) -> str | None:
    """The lowest quantile above which any cell has calls with a cause: where there is one line."""
    return next((q for q in OUTLIERS if any(slow(cell, q) for cell in cells)), None)


def causes_seen(cells: Sequence[Cell]) -> list[str]:
    """The causes that any call of the cells had, and neither, in their order."""
    counts = [cell.metrics.get("cause_calls", {}) for cell in cells]
    return [c for c in CAUSES if c == CAUSES[-1] or any(n.get(key_of(c)) for n in counts)]


def why(cell: Cell, quantile: str, causes: Sequence[str]) -> Why:
    """One row of a table."""
    found = slow(cell, quantile)
    shares = (format_percent(found.shares[c] if found else None) for c in causes)
    return Why(cell.allocator, tuple(shares), tuple(cost_text(cell, c) for c in causes))


def cost_text(cell: Cell, cause: str) -> str:
    """How many times the median call without a cause one with this costs: "62.1x", or ""."""
    metrics, key = cell.metrics, key_of(cause)
    ratio = metrics.get("cause_cost_ratio", {}).get(key)
    return "" if ratio is None or metrics["cause_calls"][key] < FEW else format_ratio(ratio)

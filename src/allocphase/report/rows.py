"""The table of one scenario, in text: the same columns for the page and for report.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allocphase.report.ratios import Ratio
from allocphase.report.values import by_time, format_rate, format_share, quantile_ns
from allocphase.units import MISSING, format_bytes, format_count, format_ns, format_ratio

__all__ = ["COLUMNS", "Row", "interval_text", "ratio_text", "rows"]

Cell = Mapping[str, Any]
COLUMNS = (
    "allocator",
    "time/op",
    "ratio",
    "interval",
    "malloc p50",
    "p99",
    "p99.9",
    "max",
    "system calls/op",
    "page faults",
    "peak RSS",
    "fragmentation",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One allocator's figures; `values` are those of COLUMNS without the first."""

    allocator: str
    values: tuple[str, ...]


def rows(cells: Sequence[Cell], found: Mapping[str, Ratio | None]) -> list[Row]:
    """Fastest first."""
    return [Row(c["allocator"], _values(c, found.get(c["allocator"]))) for c in by_time(cells)]


def _values(cell: Cell, ratio: Ratio | None) -> tuple[str, ...]:
    metrics = cell["metrics"]
    latencies = (quantile_ns(metrics, "malloc", q) for q in ("p50", "p99", "p99_9", "max"))
    return (
        format_ns(metrics.get("time_per_op_ns")) if cell["status"] == "ok" else cell["status"],
        ratio_text(ratio),
        interval_text(ratio),
        *map(format_ns, latencies),
        format_rate(metrics.get("syscalls_per_op")),
        format_count(metrics.get("page_faults")),
        format_bytes(metrics.get("peak_rss_bytes")),
        format_share(metrics.get("fragmentation")),
    )


def ratio_text(ratio: Ratio | None) -> str:
    """ "~" marks a ratio whose interval holds 1 or is unbounded."""
    if ratio is None:
        return MISSING
    doubtful = not ratio.decided and not ratio.exact
    return f"{'~' * doubtful}{format_ratio(ratio.interval.estimate)}"


def interval_text(ratio: Ratio | None) -> str:
    """ "0.97 to 1.04x", or that there are too few rounds for one."""
    if ratio is None or ratio.exact:
        return MISSING
    if not ratio.interval.bounded:
        return "too few rounds"
    low = format_ratio(ratio.interval.lower).removesuffix("x")
    return f"{low} to {format_ratio(ratio.interval.upper)}"

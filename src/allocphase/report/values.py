"""Reading figures out of cells, and those scales that only reports need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from allocphase.units import MISSING

__all__ = ["by_time", "format_rate", "format_share", "quantile_ns"]

Cell = Mapping[str, Any]


def by_time(cells: Iterable[Cell]) -> list[Cell]:
    """Fastest first; cells without a time last, in their own order."""
    return sorted(cells, key=lambda cell: cell["metrics"].get("time_per_op_ns") or math.inf)


def quantile_ns(metrics: Mapping[str, Any], kind: str, quantile: str) -> float | None:
    """One latency quantile, None where it was not measured or rests on too few samples."""
    value = metrics.get("latency_ns", {}).get(kind, {}).get(quantile)
    return None if value is None else float(value)


def format_rate(value: float | None) -> str:
    """A count per operation with two digits and no exponent: 0.00075, 0.56, 1.82; 0 is none."""
    if value is None or math.isnan(value):
        return MISSING
    if value == 0:
        return "0"
    if value < 1e-5:
        return "<0.00001"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.{1 - math.floor(math.log10(value))}f}"


def format_share(value: float | None) -> str:
    """A ratio less one: 0.04, 0.56, 19.4, 1,234; a value that rounds to nothing keeps its sign."""
    if value is None or math.isnan(value):
        return MISSING
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}"

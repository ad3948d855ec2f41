"""What a check is to the rest of the package, and what comes out of one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from allocphase.claim.evidence import Evidence
from allocphase.claim.metric import Cell
from allocphase.claim.verdict import Verdict
from allocphase.files.typed import Number
from allocphase.probe.probe import Probe
from allocphase.stats import Interval
from allocphase.stats.values import FloatArray
from allocphase.text.units import format_bytes, format_count, format_ns, format_ratio

__all__ = ["Check", "Finding", "Need", "bounds", "percent", "scaled", "spelled", "spelled_values"]

# One probe of one cell.
Need = tuple[Cell, Probe]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check.

    part: what the claim says of it, in the file's words; empty where the check is of all of it.
    expected, measured: as printed, scaled. value, lower, upper: in base units, None where there
    is none; a timing's interval, or the least and the most of a count that varies from process to
    process. tied_to: why the figure need not travel, empty where it must. notes: doubts about the
    figures.
    """

    form: str
    part: str = ""
    subject: str
    verdict: Verdict
    expected: str
    measured: str
    value: Number | None = None
    lower: Number | None = None
    upper: Number | None = None
    tied_to: str = ""
    notes: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know besides, a line each."""
        tie = (f"need not travel: tied to {self.tied_to}",) if self.tied_to else ()
        return (*tie, *self.notes)


class Check(Protocol):
    """One of the closed set of forms (forms/catalogue.py)."""

    form: ClassVar[str]

    @property
    def needs(self) -> Collection[Need]:
        """What must be run for it."""

    @property
    def subject(self) -> str:
        """What is measured, in words."""

    @property
    def expected(self) -> str:
        """What the claim says of it."""

    def judge(self, evidence: Evidence) -> Finding:
        """Raises Missing."""


def scaled(metric: str, value: float) -> str:
    """A figure in the unit that the metric's name ends with, scaled for reading."""
    last = metric.split(".")
    scales = ("_ns", "_ns_per_op", "_bytes")
    unit = next((part for part in reversed(last) if part.endswith(scales)), last[-1])
    if unit.endswith(("_ns", "_ns_per_op")):
        return format_ns(value)
    if unit.endswith("_bytes"):
        return format_bytes(value)
    if unit.endswith(("_share", "_rate", "reduction", "gain", "percent")):
        return percent(value)
    return _ratio(value) if unit.endswith("ratio") else format_count(value)


def _ratio(value: float) -> str:
    """Below 1 with three digits too: of 0.0496 and 0.0504 one may satisfy a claim."""
    return f"{value:.3g}x" if abs(value) < 1 else format_ratio(value)


def percent(share: float) -> str:
    """0.0124 -> "1.24%"."""
    return f"{100 * share:.3g}%"


def spelled(interval: Interval, metric: str) -> str:
    """ "9.70x (8.80x to 10.1x)"; an interval without bounds says that it has none."""
    figure = scaled(metric, interval.estimate)
    if not (np.isfinite(interval.lower) and np.isfinite(interval.upper) and interval.bounded):
        return f"{figure} (too few rounds for an interval)"
    return f"{figure} ({scaled(metric, interval.lower)} to {scaled(metric, interval.upper)})"


def spelled_values(values: FloatArray, metric: str, *, processes: bool = True) -> str:
    """ "1,000" where all are equal, else "1,002 (2 to 1,002 of 4 processes)".

    values: shape (n,). processes: whether each is that of a process, and not of a pair of them.
    """
    least, most = float(values.min()), float(values.max())
    figure = scaled(metric, float(np.median(values)))
    if least == most:
        return figure
    number = f" of {values.size} processes" if processes else ""
    return f"{figure} ({scaled(metric, least)} to {scaled(metric, most)}{number})"


def bounds(values: FloatArray) -> tuple[float, float | None, float | None]:
    """(median, least, most) of a count; without the last two where all processes agree."""
    least, most = float(values.min()), float(values.max())
    middle = float(np.median(values))
    return (middle, None, None) if least == most else (middle, least, most)

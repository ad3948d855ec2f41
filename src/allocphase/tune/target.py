"""What a search minimises, and the bounds that its winner has to keep.

    peak_rss<=1.1x     at most 1.1 times the default's
    peak_rss<=64MiB    at most so much; also p99<=250ns, page_faults<=1000

A metric is named as in the table of measures. For a program, `time` is its wall time, and peak_rss
and others are those of all its processes together (program_peak_rss).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from allocphase.analysis.measures import Measure
from allocphase.analysis.metric_names import compared, is_compared
from allocphase.errors import UsageError, shown

__all__ = ["Bound", "read_bound", "target_measure"]

_FORM = "is written METRIC<=FACTORx or METRIC<=VALUE, as in peak_rss<=1.1x or peak_rss<=64MiB"
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)\s*([A-Za-zµ]*)")
_UNITS = {
    "ns": {"ns": 1.0, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9},
    "bytes": {"": 1.0, "B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40},
    "count": {"": 1.0},
}
MOST = 1e18  # of anything, as files.typed has it


@dataclass(frozen=True, slots=True)
class Bound:
    """One of `--subject-to`. limit: a factor over the default's value where it is relative, else a
    value in the measure's unit.
    """

    measure: Measure
    limit: float
    relative: bool
    text: str

    def most(self, default: float) -> float:
        """The greatest value that keeps it, where the default's is `default`."""
        return self.limit * default if self.relative else self.limit

    def factor(self, default: float) -> float:
        """The same over the default's; infinite over nothing, and of nothing over nothing 0: only a
        value that was never anything keeps it.
        """
        if self.relative or self.limit == 0.0:
            return self.limit
        return self.limit / default if default > 0.0 else math.inf


def target_measure(name: str, *, of_program: bool) -> Measure:
    """The metric of that name, of a trace or a program. Raises UsageError."""
    own = compared(name)
    if own.probe.of_programs == of_program:
        return own
    if not of_program:
        raise UsageError(f"metric {own.name!r} is of programs, and the scenario is none")
    of_its = "wall" if own.name == "time" else f"program_{own.name}"
    if not is_compared(of_its):
        raise UsageError(f"metric {own.name!r} is of traces, and the scenario is a program")
    return compared(of_its)


def read_bound(text: str, *, of_program: bool) -> Bound:
    """One line of the grammar above. Raises UsageError."""
    where = f"bound {shown(text)}"
    name, less, rest = (part.strip() for part in text.partition("<="))
    number = _NUMBER.fullmatch(rest)
    if not less or not name or number is None:
        raise UsageError(f"{where}: {_FORM}")
    try:
        measure = target_measure(name, of_program=of_program)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None
    value, unit = float(number[1]), number[2]
    if unit == "x":
        if not 0.0 < value <= MOST:
            raise UsageError(f"{where}: the factor must be above 0")
        return Bound(measure, value, relative=True, text=text)
    units = _UNITS[measure.unit]
    if unit not in units:
        known = ", ".join(filter(None, units))
        plain = " or none" if "" in units else ""
        wants = f"a unit of {known}{plain}" if known else "a plain number"
        raise UsageError(f"{where}: {measure.name} takes {wants}, or a factor such as 1.1x")
    if value * units[unit] > MOST:
        raise UsageError(f"{where}: that is more than can be measured")
    return Bound(measure, value * units[unit], relative=False, text=text)

"""What an allocator changed in a program: every metric that the catalogue has of programs and that
some cell was measured for, and what was resident over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from allocphase.analysis.baseline import Times
from allocphase.analysis.measures import CATALOGUE, Measure
from allocphase.report.content.compared import Compared, Count
from allocphase.report.content.source import Source
from allocphase.report.content.views import Steps

__all__ = ["CHANGE_STEPS", "MOST_LOOKS", "Resident", "changed", "heading_of", "resident"]

# Of a whole program the allocator is a small part: little is much.
CHANGE_STEPS: Steps = (1.05, 1.25, 2.0)
# What an allocator's line has of looks; they are 50 a second.
MOST_LOOKS = 400

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Resident:
    """Bytes of a program's processes together against ns since its start, shape (looks,)."""

    time_ns: Floats
    rss_bytes: Floats


def changed(source: Source, scenario: str) -> list[Compared]:
    """In the catalogue's order; a metric that nobody has, or that is 0 with all, is left out."""
    found = (source.compared(scenario, one) for one in CATALOGUE if _is_shown(one))
    return [one for one in found if any(map(_is_more_than_nothing, one.values.values()))]


def _is_more_than_nothing(value: Times | Count) -> bool:
    return value.greatest > 0 if isinstance(value, Count) else bool(np.nanmax(value) > 0)


def _is_shown(one: Measure) -> bool:
    """A figure of a whole program, other than what stands under its ratio."""
    numbered = bool(one.unit) and not one.is_family
    return one.probe.of_programs and numbered and not one.name.startswith("saved")


def heading_of(one: Measure) -> str:
    """Of a column; that it is a program's goes without saying."""
    return one.heading or one.name.removeprefix("program_").replace("_", " ")


def resident(source: Source, name: str, scenario: str) -> Resident | None:
    """Of the first process that was looked at, thinned: the least and the greatest of each stretch
    of looks are kept, so that no peak is lost. None where nobody looked.
    """
    looks = source.resident(name, scenario)
    if looks is None:
        return None
    kept = _extremes(looks["rss_bytes"].astype(np.int64))
    return Resident(looks["time_ns"][kept] * 1.0, looks["rss_bytes"][kept] * 1.0)


def _extremes(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Places of them, ascending, with the first and the last."""
    if values.size <= MOST_LOOKS:
        return np.arange(values.size)
    cuts = np.linspace(0, values.size, MOST_LOOKS // 2, dtype=np.int64)
    places = [0, values.size - 1]
    for start, end in pairwise(cuts.tolist()):
        stretch = values[start:end]
        places += [start + int(stretch.argmin()), start + int(stretch.argmax())]
    return np.unique(np.array(places, dtype=np.int64))

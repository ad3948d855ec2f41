"""The page of a history: a line for each series over its commits, the changed ones first.

Each panel is a picture that reads without a script; the script adds the point under the pointer or
the arrow keys, and the choice of branch, allocator and metric. Long series are thinned: of each
stretch of commits the least and the greatest value are drawn, and all points beside a change.

Place in the pipeline: above history, whose series and changes it is given.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allocphase import __version__
from allocphase.history.changes import Change
from allocphase.history.model import Point, RunEntry, Series
from allocphase.history.text import change_line, change_text, interval_text, value_text
from allocphase.report.page.assets import policy, script, style, template
from allocphase.report.page.payload import as_json
from allocphase.text.line import plain
from allocphase.text.units import MISSING

__all__ = ["MOST_PANELS", "page"]

Values = dict[str, Any]

MOST_PANELS = 400
MOST_POINTS = 240
# Of a panel's picture, in its own units.
_WIDTH, _HEIGHT, _MARGIN = 300.0, 90.0, 4.0
# A line that moves by less than this about its median is drawn as flat as it is.
_LEAST_SPREAD = 0.02


@dataclass(frozen=True, slots=True)
class _Panel:
    series: Series
    changes: tuple[Change, ...]

    @property
    def rank(self) -> tuple[int, float, str]:
        """Confirmed changes first, then advice, each by its size; then the rest by name."""
        if not self.changes:
            return 2, 0.0, self.series.entry.key.name
        confirmed = any(one.is_decided for one in self.changes)
        size = max(abs(math.log(one.ratio)) if one.ratio > 0 else math.inf for one in self.changes)
        return (0 if confirmed else 1), -size, self.series.entry.key.name


def page(
    found: Sequence[Series], changes: Sequence[Change], *, folder: Path, left_out: int = 0
) -> str:
    """The whole document, which will lie in `folder`: links to the runs' reports are relative to
    it. left_out: how many series are not among these.
    """
    by_series: dict[tuple[int, str | None], list[Change]] = {}
    for change in changes:
        by_series.setdefault((change.series.id, change.branch), []).append(change)
    panels = [_Panel(one, tuple(by_series.get((one.entry.id, one.branch), ()))) for one in found]
    panels.sort(key=lambda one: one.rank)
    shown = panels[:MOST_PANELS]
    runs = _Runs(folder)
    drawn = [_drawn(number, one, runs) for number, one in enumerate(shown)]
    inline = [script("theme"), script("history")]
    text: str = template("history.html").render(
        policy=policy(inline),
        css=style("history"),
        scripts=inline,
        version=__version__,
        changes=[
            _row(number, change) for number, one in enumerate(shown) for change in one.changes
        ],
        panels=drawn,
        left_out=left_out + len(panels) - len(shown),
        choices=_choices(shown),
        runs=as_json(runs.rows),
    )
    return text


def _choices(shown: Sequence[_Panel]) -> list[Values]:
    """What can be chosen, where there is more than one."""
    keys = [one.series.entry.key for one in shown]
    found = {
        "branch": {_branch(one.series) for one in shown},
        "scenario": {key.scenario for key in keys},
        "allocator": {key.allocator for key in keys},
        "metric": {key.metric for key in keys},
    }
    return [
        {"name": name, "values": sorted(values)}
        for name, values in found.items()
        if len(values) > 1
    ]


def _branch(series: Series) -> str:
    return "all branches" if series.branch is None else series.branch or "unnamed"


def _row(number: int, change: Change) -> Values:
    said = change.decision.verdict if change.decision else "not confirmed yet"
    commit = change.after.commit
    return {
        "name": change.series.key.name,
        "by": change_text(change),
        "look": _look(change),
        "commit": commit.short if commit else change.after.time[:10],
        "subject": plain(commit.subject) if commit else "",
        "said": str(said),
        "panel": f"panel-{number}",
    }


def _look(change: Change) -> str:
    if not change.is_decided:
        return "advice"
    assert change.decision is not None
    if not change.decision.verdict.confirms:
        return "refuted"
    return "worse" if change.is_worse else "better"


class _Runs:
    """The runs that points name by their place here: commit, message, time, link to the report."""

    def __init__(self, folder: Path) -> None:
        self.rows: list[list[str]] = []
        self._folder = folder
        self._places: dict[int, int] = {}

    def place(self, run: RunEntry) -> int:
        if run.id not in self._places:
            self._places[run.id] = len(self.rows)
            commit = run.commit
            told = plain(commit.subject) if commit else plain(run.label)
            short = commit.short if commit else ""
            self.rows.append([short, told, run.started[:16].replace("T", " "), self._link(run)])
        return self._places[run.id]

    def _link(self, run: RunEntry) -> str:
        report = Path(run.path) / "report.html"
        return os.path.relpath(report, self._folder) if report.is_file() else ""


def _drawn(number: int, panel: _Panel, runs: _Runs) -> Values:
    series, points = panel.series, panel.series.points
    marks = {_index(points, change): change for change in panel.changes}
    kept = _kept(points, marks)
    values = np.array([points[i].value for i in kept])
    lows = np.array([_or(points[i].lower, points[i].value) for i in kept])
    highs = np.array([_or(points[i].upper, points[i].value) for i in kept])
    x = np.linspace(_MARGIN, _WIDTH - _MARGIN, len(kept)) if len(kept) > 1 else np.array([150.0])
    least, most = _range(values, lows, highs)
    y = [_up(values, least, most), _up(lows, least, most), _up(highs, least, most)]
    key, unit = series.entry.key, series.entry.unit
    bars = " ".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in zip(x, y[1], y[2], strict=True))
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y[0], strict=True))
    at = {place: i for i, place in enumerate(kept)}
    return {
        "id": f"panel-{number}",
        "key": key,
        "branch": _branch(series),
        "bars": bars,
        "line": line,
        "dot": f"{x[0]:.1f},{y[0][0]:.1f}" if len(kept) == 1 else "",
        "marks": [
            {"x": f"{(x[at[place]] + x[max(at[place] - 1, 0)]) / 2:.1f}", "look": _look(change)}
            for place, change in marks.items()
        ],
        "least": value_text(unit, float(least)),
        "most": value_text(unit, float(most)),
        "last": value_text(unit, points[-1].value),
        "first_commit": _side(points[0]),
        "last_commit": _side(points[-1]),
        "changes": [change_line(change) for change in panel.changes],
        "mark": plain(series.entry.mark),
        "thinned": len(points) if len(kept) < len(points) else 0,
        "count": len(kept),
        "data": as_json(
            [
                [
                    runs.place(points[i].run),
                    round(float(a), 1),
                    round(float(b), 1),
                    _said(unit, points[i]),
                ]
                for i, a, b in zip(kept, x, y[0], strict=True)
            ]
        ),
    }


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _index(points: Sequence[Point], change: Change) -> int:
    """Of the first point after the change."""
    return next(i for i, point in enumerate(points) if point.run.id == change.after.run.id)


def _kept(points: Sequence[Point], marks: dict[int, Change]) -> list[int]:
    """The places of what is drawn, in their order."""
    count = len(points)
    if count <= MOST_POINTS:
        return list(range(count))
    values = np.array([point.value for point in points])
    kept = {0, count - 1} | {place for mark in marks for place in (mark - 1, mark)}
    for part in np.array_split(np.arange(count), MOST_POINTS // 2):
        kept |= {int(part[values[part].argmin()]), int(part[values[part].argmax()])}
    return sorted(kept)


def _range(values: Any, lows: Any, highs: Any) -> tuple[float, float]:
    """What the picture spans: all values, and of intervals as much as does not flatten them."""
    least, most = float(values.min()), float(values.max())
    room = max(most - least, _LEAST_SPREAD * abs(float(np.median(values))), 1e-12)
    return max(float(lows.min()), least - room), min(float(highs.max()), most + room) + 1e-12


def _up(values: Any, least: float, most: float) -> Any:
    """Heights in the picture, whose origin is above; what never changes is in the middle."""
    if most - least <= 2e-12:
        return np.full(len(values), _HEIGHT / 2)
    share = np.clip((values - least) / (most - least), 0.0, 1.0)
    return _HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN)


def _side(point: Point) -> str:
    return point.commit.short if point.commit else point.time[:10]


def _said(unit: str, point: Point) -> str:
    """ "7.31 ns (7.20 ns to 7.44 ns)"."""
    text, interval = value_text(unit, point.value), interval_text(unit, point)
    return text if interval == MISSING else f"{text} ({interval})"

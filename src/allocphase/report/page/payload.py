"""The numbers that the page's script draws and computes from, as compact JSON.

An array of numbers is a string, "f4:" or "u4:" and so on, then base64 of the little-endian bytes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from allocphase.analysis.frames import CAUSES
from allocphase.analysis.latency import Replay
from allocphase.analysis.metrics import CONFIDENCE, KIND_NAMES
from allocphase.errors import UsageError
from allocphase.report.content.compared import Compared
from allocphase.report.content.matrix import LEFT_OUT
from allocphase.report.content.palette import cause_looks
from allocphase.report.content.points import Points
from allocphase.report.content.programs import CHANGE_STEPS, changed, heading_of, resident
from allocphase.report.content.ratios import MOSTLY_REPLAY
from allocphase.report.content.source import Source
from allocphase.report.content.values import at_clock_floor
from allocphase.report.content.views import SAVED, TIME, columns_of, views_of
from allocphase.stats.interval import lower_rank

__all__ = ["as_json", "figures_payload", "packed", "page_payload"]

Values = dict[str, Any]
# matplotlib's markers, as Bokeh calls them; lines are told apart by their dashes there.
_BOKEH_MARKERS = {"^": "triangle", "s": "square", "D": "diamond", "v": "inverted_triangle"}


def page_payload(source: Source, *, growth: Sequence[Values], scaling: Sequence[Values]) -> Values:
    """What every part of the page needs: arms, scenarios, times by round, shares, causes."""
    causes = cause_looks()
    rounds = max((times.size for times in source.times.values()), default=0)
    tail = (1.0 - CONFIDENCE) / 2.0
    return {
        "arms": [
            {"name": name, "colour": look.colour, "dash": list(look.dash)}
            for name, look in source.looks.items()
        ],
        "baseline": source.names.index(source.baseline) if source.baseline else None,
        "scenarios": [_scenario(source, name) for name in source.scenarios],
        "views": [
            {"name": view.name, "noun": view.noun, "steps": view.steps} for view in views_of(source)
        ],
        "change_steps": CHANGE_STEPS,
        # The ranks of the order statistics that bound a median of n rounds, 0 for none.
        "ranks": [lower_rank(n, 0.5, tail) if n else 0 for n in range(rounds + 1)],
        "mostly_replay": MOSTLY_REPLAY,
        "causes": [
            {
                "name": name,
                "colour": causes[name].colour,
                "marker": _BOKEH_MARKERS.get(causes[name].marker, "circle"),
            }
            for name in CAUSES
        ],
        "kinds": list(KIND_NAMES),
        "growth": list(growth),
        "scaling": list(scaling),
    }


def _scenario(source: Source, name: str) -> Values:
    cells = {cell.allocator: cell for cell in source.cells(name)}
    return {
        "name": name,
        "program": name in source.programs,
        "clock": source.clock_ns(name),
        "times": [_list(source.times.get((arm, name))) for arm in source.names],
        "replay": [source.replay_share(arm, name) for arm in source.names],
        "status": [cells[a].status if a in cells else LEFT_OUT for a in source.names],
        # By view, what the page has in no other place; nobody's are left out.
        "views": {
            view.name: _column(source, column)
            for view in views_of(source)
            if view not in (TIME, SAVED) and (column := columns_of(source, view)[name]) is not None
        },
        "changes": [
            {**_column(source, column), "noun": heading_of(column.measure)}
            for column in (changed(source, name) if name in source.programs else ())
        ],
    }


def _column(source: Source, column: Compared) -> Values:
    """values: of each arm by round where it is timed, else as compared.Count has them."""
    return {
        "timed": column.measure.timed,
        "values": [_list(column.values.get(arm)) for arm in source.names],
    }


def _list(values: Sequence[float] | npt.NDArray[np.float64] | None) -> list[float | None] | None:
    if values is None:
        return None
    return [None if np.isnan(value) else float(value) for value in values]


def figures_payload(source: Source, scenario: str) -> Values:
    """The figures of one scenario; arms without data are left out."""
    if scenario in source.programs:
        return {"resident": _resident(source, scenario)}
    arms = source.names_on(scenario)
    index = {name: source.names.index(name) for name in arms}
    points = {name: source.points(name, scenario) for name in arms}
    return {
        "timeline": {
            index[name]: _timeline(of_arm, source.latencies(name, scenario, Replay.FIRST).by_cause)
            for name, of_arm in points.items()
            if of_arm.row.size
        },
        "percentiles": _percentiles(source, scenario, index),
        "memory": _memory(source, scenario, index),
    }


def _timeline(points: Points, by_cause: Mapping[str, int] | None) -> Values:
    names, call = np.unique(np.array(points.calls, dtype=object), return_inverse=True)
    return {
        "operations": points.operations,
        "total": points.total,
        "shares": None if by_cause is None else _shares(by_cause),
        "row": packed(points.row, "u4"),
        "ns": packed(points.latency_ns, "f4"),
        "cause": packed(points.cause, "u1"),
        "kind": packed(points.kind, "u1"),
        "size": packed(points.size, "u4"),
        "faults": packed(points.faults.clip(max=65535), "u2"),
        "thread": packed(points.thread, "u2") if points.thread.any() else None,
        "calls": [str(name) for name in names],
        "call": packed(call, "u2"),
    }


def _shares(by_cause: Mapping[str, int]) -> list[float]:
    """Of all calls of the cell's latency processes, in the order of the causes."""
    total = max(sum(by_cause.values()), 1)
    return [round(by_cause[cause] / total, 6) for cause in CAUSES]


def _percentiles(source: Source, scenario: str, index: Mapping[str, int]) -> Values:
    found: Values = {}
    at_floor = {cell.allocator: at_clock_floor(cell) for cell in source.cells(scenario)}
    for name, arm in index.items():
        for kind, curve in source.curves(name, scenario).items():
            entry = {
                "samples": curve.samples,
                "ns": packed(curve.latency_ns, "f4"),
                "floor": kind in at_floor[name],
            }
            found.setdefault(kind, {})[arm] = entry
    return {kind: found[kind] for kind in KIND_NAMES if kind in found}


def _memory(source: Source, scenario: str, index: Mapping[str, int]) -> dict[int, Values]:
    found: dict[int, Values] = {}
    for name, arm in index.items():
        points = source.checkpoints(name, scenario)
        if points is not None:
            names = {"op": "op", "live": "live_bytes", "mapped": "mapped_bytes", "rss": "rss_bytes"}
            found[arm] = {key: packed(points[field], "f4") for key, field in names.items()}
    return found


def _resident(source: Source, scenario: str) -> dict[int, Values]:
    found = {name: resident(source, name, scenario) for name in source.names_on(scenario)}
    return {
        source.names.index(name): {
            "ns": packed(line.time_ns, "f4"),
            "rss": packed(line.rss_bytes, "f4"),
        }
        for name, line in found.items()
        if line is not None
    }


def packed(values: npt.ArrayLike, kind: str) -> str:
    """An array as the page reads it; kind is "u1", "u2", "u4" or "f4"."""
    content = np.asarray(values).astype(f"<{kind}").tobytes()
    return f"{kind}:{base64.b64encode(content).decode('ascii')}"


def as_json(values: object) -> Markup:
    """JSON that can stand in a script element: it can neither end it nor open a comment."""
    try:
        text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        overflow = "processes.jsonl: its figures add up to more than a double holds"
        raise UsageError(f"{overflow}: no process has measured that") from None
    text = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return Markup(text)  # noqa: S704 (no "<" is left in it)

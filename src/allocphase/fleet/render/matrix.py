"""The matrices of a fleet's page: a row a host, a column a scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from allocphase.fleet.render.table import change_text
from allocphase.fleet.standing import FleetRow, HostStanding, Standing
from allocphase.fleet.verdict import FleetVerdict
from allocphase.fleet.winners import Place
from allocphase.judge.render.words import interval_text
from allocphase.report.content.matrix import look_of
from allocphase.report.content.palette import looks
from allocphase.report.content.ratios import Ratio
from allocphase.report.content.rows import interval_text as ratio_bounds
from allocphase.report.content.rows import ratio_text
from allocphase.report.content.views import Steps
from allocphase.stats import Interval
from allocphase.text.units import MISSING

__all__ = ["FleetCell", "Matrix", "gate_matrices", "run_matrices"]

RUN_STEPS: Steps = (1.25, 2.0, 8.0)
# A gate looks for some per cent.
GATE_STEPS: Steps = (1.02, 1.05, 1.2)
TIMES = ("time", "wall")


@dataclass(frozen=True, slots=True)
class FleetCell:
    """look: the style sheet's class; colour: of the arm that is named; below: under the text."""

    text: str
    look: str
    below: str = ""
    colour: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """rows: by host, a cell a column. foot: of all hosts together, empty for none."""

    title: str
    caption: str
    columns: Sequence[str]
    rows: Mapping[str, Sequence[FleetCell]]
    steps: Steps | None = None
    foot: Sequence[FleetCell] = field(default=())

    def values(self, links: Mapping[str, str]) -> dict[str, Any]:
        """For the template. links: by host, to its report."""
        scale = None if self.steps is None else [f"{step:g}x" for step in self.steps]
        return {
            "title": self.title,
            "caption": self.caption,
            "columns": self.columns,
            "scale": scale,
            "rows": [
                {"name": host, "link": links.get(host), "cells": cells}
                for host, cells in self.rows.items()
            ],
            "foot": {"name": "all rounds", "cells": self.foot} if self.foot else None,
        }


def gate_matrices(verdict: FleetVerdict) -> list[Matrix]:
    """One a metric that was timed: the candidate's change, host by host."""
    metrics = dict.fromkeys(row.metric for row in verdict.rows if not row.exact)
    return [
        _changes(
            [row for row in verdict.rows if row.metric == metric],
            verdict,
            title=f"Change of {metric}, {verdict.candidate} against {verdict.against}",
            steps=GATE_STEPS,
        )
        for metric in metrics
    ]


def run_matrices(verdict: FleetVerdict, places: Mapping[str, Mapping[str, Place]]) -> list[Matrix]:
    """Who is the quickest, and then an allocator each against the baseline."""
    found = [_winners(verdict, places)] if places else []
    allocators = dict.fromkeys(row.allocator for row in verdict.rows if row.metric in TIMES)
    return found + [
        _changes(
            [row for row in verdict.rows if row.metric in TIMES and row.allocator == allocator],
            verdict,
            title=f"Time of {allocator} against {verdict.against}",
            steps=RUN_STEPS,
        )
        for allocator in allocators
    ]


def _changes(
    rows: Sequence[FleetRow], verdict: FleetVerdict, *, title: str, steps: Steps
) -> Matrix:
    by_host = {
        host.name: [_change(row.hosts[place], steps) for row in rows]
        for place, host in enumerate(verdict.hosts)
    }
    pooled = [row.pooled for row in rows]
    foot = [
        FleetCell(MISSING, "missing")
        if one is None
        else _ratio_cell(one.ratio, one.standing, steps)
        for one in pooled
    ]
    return Matrix(
        title=title,
        caption="Below each change its own 95% interval; hatched: the interval holds no change. "
        "A word where a host's row is worse or better with all hosts and rows in one family. "
        "All rounds: the hosts' rounds together.",
        columns=[row.scenario for row in rows],
        rows=by_host,
        steps=steps,
        foot=foot if any(pooled) else (),
    )


def _change(one: HostStanding, steps: Steps) -> FleetCell:
    if one.standing is Standing.ABSENT:
        return FleetCell("absent", "missing")
    if one.standing is Standing.UNSTEADY:
        return FleetCell("unsteady", "missing")
    return _ratio_cell(one.ratio, one.standing, steps)


def _ratio_cell(ratio: Interval, standing: Standing, steps: Steps) -> FleetCell:
    found = Ratio(interval=ratio, rounds=0)
    if steps is GATE_STEPS:
        text, bounds = change_text(ratio), interval_text(ratio)
    else:
        text, bounds = ratio_text(found), ratio_bounds(found)
    named = standing in (Standing.WORSE, Standing.BETTER, Standing.FLAGGED)
    below = [str(standing)] if named else []
    below += [] if bounds in ("", MISSING) else [bounds]
    return FleetCell(text, look_of(found, steps), ", ".join(below))


def _winners(verdict: FleetVerdict, places: Mapping[str, Mapping[str, Place]]) -> Matrix:
    scenarios = list(dict.fromkeys(name for found in places.values() for name in found))
    every = [place for found in places.values() for place in found.values()]
    arms = dict.fromkeys(arm for place in every for arm in place.ratios)
    colours = {arm: look.colour for arm, look in looks(arms).items()}
    usual = {
        scenario: Counter(
            place.winner for found in places.values() if (place := found.get(scenario))
        ).most_common(1)[0][0]
        for scenario in scenarios
    }
    unsteady = {host.name for host in verdict.hosts if host.unsteady}
    rows: dict[str, list[FleetCell]] = {}
    for host in verdict.hosts:
        if host.name in places:
            rows[host.name] = [
                _winner(places[host.name].get(name), usual[name], colours) for name in scenarios
            ]
        else:
            word = "unsteady" if host.name in unsteady else "absent"
            rows[host.name] = [FleetCell(word, "missing")] * len(scenarios)
    return Matrix(
        title="The quickest allocator",
        caption=f"Below it, its time against {verdict.against}'s. Hatched: the rounds do not tell "
        "those that are named apart. Framed: another one than on most hosts.",
        columns=scenarios,
        rows=rows,
    )


def _winner(place: Place | None, usual: str | None, colours: Mapping[str, str]) -> FleetCell:
    if place is None:
        return FleetCell(MISSING, "missing")
    ratio = place.ratios.get(place.ahead[0])
    below = "" if ratio is None else ratio_text(Ratio(interval=ratio, rounds=0))
    if place.winner is None:
        return FleetCell(" or ".join(place.ahead), "undecided", below)
    look = "same" if place.winner == usual or usual is None else "same other"
    return FleetCell(place.winner, look, below, colours[place.winner])

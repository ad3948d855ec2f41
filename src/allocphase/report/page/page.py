"""report.html: one file, no request to any host, every name from outside escaped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allocphase.analysis.frames import Run
from allocphase.analysis.metrics import CONFIDENCE
from allocphase.claim.document import read_section
from allocphase.report.content.folds import fold
from allocphase.report.content.growth import growth_parts
from allocphase.report.content.matrix import matrix_row, mean_row
from allocphase.report.content.pair import changes
from allocphase.report.content.points import points_per_cell
from allocphase.report.content.rows import REPLAY_LEGEND
from allocphase.report.content.scaling import scaling_parts
from allocphase.report.content.sentences import verdict
from allocphase.report.content.source import Source
from allocphase.report.content.views import SAVED, TIME, View, columns_of, views_of
from allocphase.report.page.assets import policy, scripts, style, template
from allocphase.report.page.environment import allocators, commands, machines
from allocphase.report.page.parts.scenario import fragment, scenario_part
from allocphase.report.page.payload import as_json, figures_payload, page_payload
from allocphase.text.units import format_count, format_ns

__all__ = ["page"]

Values = dict[str, Any]


def page(source: Source) -> str:
    """The whole document."""
    inline, changed = scripts(), changes(source)
    growth, scaling = growth_parts(source), scaling_parts(source)
    claims = read_section(source.run.path)
    text: str = template("report.html").render(
        **_head(source),
        policy=policy(inline),
        css=style(),
        scripts=inline,
        contents=_contents(
            changes=bool(changed),
            growth=bool(growth),
            scaling=bool(scaling),
            claims=claims is not None,
        ),
        arms=[{"name": n, "colour": k.colour, "dash": k.dash} for n, k in source.looks.items()],
        baseline=source.baseline,
        verdict=verdict(source),
        changes=changed,
        views=[_view(source, view) for view in views_of(source)],
        replay_legend=REPLAY_LEGEND,
        parts=_parts(source),
        growth=growth,
        scaling=scaling,
        claims=claims,
        data=as_json(page_payload(source, growth=growth, scaling=scaling)),
        **_method(source),
    )
    return text


def _head(source: Source) -> Values:
    runs = source.runs
    return {
        "label": " and ".join(run.manifest.label for run in runs),
        "facts": [fact for run in runs for fact in _facts(run)],
        "failures": [cell for cell in source.all_cells if not cell.ok],
        "notes": source.notes,
    }


def _facts(run: Run) -> Sequence[str]:
    machine = run.manifest.environment
    cpu = f"{machine.get('cpu', 'unknown CPU')}{', virtual' if machine.get('virtual') else ''}"
    return (run.manifest.started, cpu, f"allocphase {machine.get('allocphase', '')}")


def _contents(*, changes: bool, growth: bool, scaling: bool, claims: bool) -> list[tuple[str, str]]:
    entries = [("verdict", "Verdict")] + [("changes", "From A to B")] * changes
    entries += [("ratios", "Ratios and scenarios")]
    entries += [("growth", "Growth")] * growth + [("scaling", "Scaling")] * scaling
    entries += [("claims", "Claims")] * claims
    last = (("again", "Run again"), ("environment", "Environment"), ("method", "Method"))
    return [*entries, *last]


def _view(source: Source, view: View) -> Values:
    columns = [column for column in columns_of(source, view).values() if column is not None]
    measured, every = len(columns), len(columns) == len(source.scenarios)
    return {
        "name": view.name,
        "id": "matrix" if view is TIME else f"matrix-{view.name}",
        "title": view.title,
        "heading": view.title if view is SAVED else f"{view.noun} as a ratio",
        "hint": view.hint,
        "less": view.less,
        "more": view.more,
        "steps": [format_ns(step) if view is SAVED else f"{step:g}x" for step in view.steps],
        "of_time": view is TIME,
        "timed": view is TIME or any(column.measure.timed for column in columns),
        "rows": [
            {
                "index": index,
                "id": fragment(name, index),
                "name": name,
                "cells": matrix_row(source, name, view),
            }
            for index, name in enumerate(source.scenarios)
        ],
        "mean": mean_row(source, view),
        "mean_name": "geometric mean" if every else f"geometric mean of {measured}",
    }


def _parts(source: Source) -> list[Values]:
    return [
        {
            **scenario_part(source, index),
            "fold": fold(source, name),
            "figures": as_json(figures_payload(source, name)),
        }
        for index, name in enumerate(source.scenarios)
    ]


def _method(source: Source) -> Values:
    clocks = [source.clock_ns(name) for name in source.scenarios]
    return {
        "commands": commands(source.runs),
        "environment": machines(source.runs),
        "allocators": allocators(source.runs),
        "rounds": source.run.manifest.plan.rounds,
        "confidence": f"{CONFIDENCE:.0%}",
        "clock": format_ns(max((clock for clock in clocks if clock), default=None)),
        "points": format_count(points_per_cell(len(source.all_cells))),
    }

"""What an allocator changed in a program, as a table of ratios with the figures below."""

from __future__ import annotations

from allocphase.report.content.compared import Compared
from allocphase.report.content.matrix import look_of
from allocphase.report.content.programs import CHANGE_STEPS, changed, heading_of
from allocphase.report.content.ratios import Ratio
from allocphase.report.content.rows import interval_text, ratio_text
from allocphase.report.content.source import Source
from allocphase.report.content.values import by_time, figure_text
from allocphase.report.page.parts.arms import Values, named
from allocphase.text.units import MISSING

__all__ = ["change_part"]


def change_part(source: Source, scenario: str) -> Values | None:
    """A row an allocator, a column a metric; None where nothing was measured."""
    columns = changed(source, scenario)
    if not columns:
        return None
    rows = [
        {
            **named(source, cell.allocator),
            "cells": [
                _cell(
                    _ratio(source, column, cell.allocator),
                    figure_text(column.measure, cell.metrics),
                )
                for column in columns
            ],
        }
        for cell in by_time(source.cells(scenario))
    ]
    names = [{"name": heading_of(c.measure), "hint": c.measure.title} for c in columns]
    return {"names": names, "rows": rows}


def _ratio(source: Source, column: Compared, name: str) -> Ratio | None:
    return column.ratio(source.baseline or "", name)


def _cell(found: Ratio | None, figure: str) -> Values:
    """The interval follows the baseline that the reader chooses; the figure does not."""
    interval = interval_text(found)
    return {
        "text": ratio_text(found),
        "look": look_of(found, CHANGE_STEPS),
        "interval": "" if interval == MISSING else interval,
        "figure": "" if figure == MISSING else figure,
    }

"""What memory a scenario took at its peak, and what was given back."""

from __future__ import annotations

from allocphase.analysis.measures import Measure
from allocphase.analysis.metric_names import measure
from allocphase.report.content.source import Source
from allocphase.report.content.values import format_percent, kept_share, ranged_text
from allocphase.report.page.parts.arms import Values, named

__all__ = ["memory_part"]

# A share follows them, which tells what is kept.
COLUMNS = tuple(
    measure(name)
    for name in (
        "peak_live",
        "peak_rss",
        "startup_rss",
        "peak_mapped",
        "rss_after_free",
        "lazily_freed",
        "mapped_after_free",
        "rss_after_teardown",
        "mapped_after_teardown",
    )
)


def memory_part(source: Source, scenario: str) -> Values | None:
    """A row an allocator; columns that nobody has are left out. None without any.

    What few allocators do at all has a column only where one does.
    """
    cells = [c for c in source.cells(scenario) if "peak_rss_bytes" in c.metrics]
    if not cells:
        return None
    shown = [one for one in COLUMNS if any(_has(c.metrics.get(one.path), one) for c in cells)]
    rows = []
    for cell in cells:
        texts = [
            {
                "text": ranged_text(one, cell.metrics),
                "sort": "" if (value := cell.metrics.get(one.path)) is None else value,
            }
            for one in shown
        ]
        share = kept_share(cell.metrics)
        texts.append({"text": format_percent(share), "sort": "" if share is None else share})
        rows.append({**named(source, cell.allocator), "cells": texts})
    return {"names": [*(one.heading for one in shown), "kept of peak RSS"], "rows": rows}


def _has(value: float | None, one: Measure) -> bool:
    return bool(value) if one.name == "lazily_freed" else value is not None

"""What memory a scenario took at its peak, and what was given back."""

from __future__ import annotations

from allocphase.report.content.source import Source
from allocphase.report.content.values import format_percent, kept_share
from allocphase.report.page.parts.arms import Values, named
from allocphase.text.units import format_bytes

__all__ = ["memory_part"]

# Metric and heading; a share follows the one that tells what is kept.
COLUMNS = {
    "peak_live_bytes": "peak live",
    "peak_rss_bytes": "peak RSS",
    "startup_rss_bytes": "RSS at start, over libc",
    "peak_mapped_bytes": "peak mapped",
    "rss_after_free_bytes": "RSS, all freed",
    "lazily_freed_bytes": "of it lazily freed",
    "mapped_after_free_bytes": "mapped, all freed",
    "rss_after_teardown_bytes": "RSS after teardown",
    "mapped_after_teardown_bytes": "mapped after teardown",
}


def memory_part(source: Source, scenario: str) -> Values | None:
    """A row an allocator; columns that nobody has are left out. None without any.

    What few allocators do at all has a column only where one does.
    """
    cells = [c for c in source.cells(scenario) if "peak_rss_bytes" in c.metrics]
    if not cells:
        return None
    shown = [m for m in COLUMNS if any(_has(c.metrics.get(m), m) for c in cells)]
    rows = []
    for cell in cells:
        values = [cell.metrics.get(metric) for metric in shown]
        texts = [{"text": format_bytes(v), "sort": "" if v is None else v} for v in values]
        share = kept_share(cell.metrics)
        texts.append({"text": format_percent(share), "sort": "" if share is None else share})
        rows.append({**named(source, cell.allocator), "cells": texts})
    return {"names": [*(COLUMNS[m] for m in shown), "kept of peak RSS"], "rows": rows}


def _has(value: int | None, metric: str) -> bool:
    return bool(value) if metric == "lazily_freed_bytes" else value is not None

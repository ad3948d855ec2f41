"""A row of a comparison as text: what the terminal and Markdown share."""

from __future__ import annotations

import math

from allocphase.compare.rows import CompareRow
from allocphase.judge.render.words import interval_text, percent
from allocphase.text.units import format_bytes, format_count, format_ns

__all__ = ["COLUMNS", "cells", "word"]

COLUMNS = ("metric", "verdict", "baseline", "candidate", "change", "interval", "sees")
_FORMATS = {"ns": format_ns, "bytes": format_bytes, "count": format_count}


def word(row: CompareRow) -> str:
    """The verdict, also of a row without one."""
    return str(row.verdict) if row.verdict is not None else "not measured"


def cells(row: CompareRow) -> tuple[str, ...]:
    """One text for each of COLUMNS."""
    show = _FORMATS[row.unit]
    return (
        row.metric,
        word(row),
        show(row.base),
        show(row.candidate),
        "new" if row.ratio.estimate == math.inf else percent(row.ratio.estimate - 1.0, signed=True),
        interval_text(row.ratio),
        percent(row.min_detectable_ratio - 1.0) if row.can_regress else "-",
    )

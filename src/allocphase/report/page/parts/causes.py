"""Why the slowest calls were slow: for each allocator and quantile a stacked bar with its words."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from allocphase.analysis.cell import Cell
from allocphase.analysis.latency import CAUSES, OUTLIERS, key_of
from allocphase.report.content.causes import FEW, NAMES, causes_seen, slow
from allocphase.report.content.palette import cause_looks
from allocphase.report.content.source import Source
from allocphase.report.content.values import format_percent
from allocphase.report.page.parts.arms import Values, named
from allocphase.text.units import MISSING, counted, format_ns, format_ratio

__all__ = ["bar", "why_part"]

WIDTH, HEIGHT = 180, 14
# A cause of a smaller share is in the bar, and not in the words beside it.
LEAST_TOLD = 0.01


def why_part(source: Source, scenario: str) -> Values | None:
    """None where no cell of the scenario tells of causes."""
    cells = [c for c in source.cells(scenario) if "outlier_causes" in c.metrics]
    if not cells:
        return None
    quantiles = [q for q in OUTLIERS if any(slow(cell, q) for cell in cells)]
    causes = [cause for cause in causes_seen(cells) if cause != CAUSES[-1]]
    looks = cause_looks()
    return {
        "quantiles": [NAMES[q] for q in quantiles],
        "causes": causes,
        "key": [
            {"name": c, "colour": looks[c].colour, "rest": c == CAUSES[-1]}
            for c in causes_seen(cells)
        ],
        "threads": source.entry(scenario).threads > 1,
        "rows": [
            {
                **named(source, cell.allocator),
                "slow": [_slow(cell, q) for q in quantiles],
                "costs": [_cost(cell, cause) for cause in causes],
            }
            for cell in cells
        ],
    }


def _slow(cell: Cell, quantile: str) -> Values | None:
    found = slow(cell, quantile)
    if found is None:
        return None
    told = ((cause, share) for cause, share in found.shares.items() if share >= LEAST_TOLD)
    words = (f"{format_percent(share)} {cause}" for cause, share in told)
    return {
        "above": f"{_calls(found.calls)} above {format_ns(found.above_ns)}",
        "bar": bar(found.shares),
        "words": ", ".join(words),
    }


def _cost(cell: Cell, cause: str) -> Values:
    ratio = cell.metrics["cause_cost_ratio"][key_of(cause)]
    calls = cell.metrics["cause_calls"][key_of(cause)]
    return {
        "ratio": MISSING if ratio is None else format_ratio(ratio),
        "calls": _calls(calls),
        "few": calls < FEW,
    }


def _calls(count: int) -> str:
    return counted(count, "call")


def bar(shares: Mapping[str, float]) -> Markup:
    """An SVG element whose parts are the causes in their order; the words stand beside it."""
    looks, at = cause_looks(), 0.0
    parts = []
    for cause in CAUSES:
        width = shares[cause] * WIDTH
        if width:
            rest = ' class="rest"' * (cause == CAUSES[-1])
            parts.append(
                f'<rect{rest} x="{at:.2f}" width="{width:.2f}" height="{HEIGHT}" '
                f'fill="{looks[cause].colour}"/>'
            )
        at += width
    return Markup(  # noqa: S704 (numbers and colours of ours)
        f'<svg class="stack" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}</svg>'
    )

"""report.md: the tables, as a pull request shows them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from allocphase.frames import Run
from allocphase.report.doubts import doubts
from allocphase.report.ratios import default_baseline, ratios, times_by_round
from allocphase.report.rows import COLUMNS, rows
from allocphase.report.values import operations_of
from allocphase.units import format_count, format_ns

__all__ = ["escaped", "markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#|~!&])")


def markdown(run: Run) -> str:
    """GitHub's dialect; every name and message from outside is escaped."""
    return "\n".join(_lines(run)) + "\n"


def escaped(text: str) -> str:
    """Text that stays text: no markup, no link, no second line."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _lines(run: Run) -> Iterator[str]:
    times, baseline = times_by_round(run), default_baseline(run.allocators)
    yield f"# allocphase: {escaped(run.manifest['label'])}"
    yield ""
    yield f"Ratios are to {escaped(baseline or '-')}; \\~ marks those that are undecided."
    for scenario in run.scenarios:
        cells = [cell for cell in run.cell_list if cell["scenario"] == scenario]
        yield from _block(run, scenario, cells, ratios(times, scenario=scenario, baseline=baseline))
    yield ""
    yield f"{escaped(str(run.manifest['environment'].get('cpu')))}. Run again:"
    yield ""
    yield f"    {shlex.join(run.manifest['command'])}"


def _block(
    run: Run, scenario: str, cells: Sequence[Mapping[str, Any]], found: Mapping[str, Any]
) -> Iterator[str]:
    floor_ns = next((cell["metrics"].get("floor_ns") for cell in cells), None)
    count = format_count(operations_of(run, scenario))
    yield ""
    yield f"## {escaped(scenario)}"
    yield ""
    yield f"{count} operations; floor {format_ns(floor_ns)} an op."
    yield ""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "| --- |" + " ---: |" * (len(COLUMNS) - 1)
    for row in rows(cells, found):
        yield f"| {' | '.join(escaped(text) for text in (row.allocator, *row.values))} |"
    notes = [
        f"{c['allocator']}: {c['status']}: {c['message']}" for c in cells if c["status"] != "ok"
    ]
    notes += [f"{', '.join(doubt.allocators)}: {doubt.text}" for doubt in doubts(cells)]
    if notes:
        yield ""
        yield from (f"- {escaped(note)}" for note in notes)

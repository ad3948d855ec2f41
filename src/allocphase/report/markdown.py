"""report.md: the tables, as a pull request shows them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from allocphase.report.rows import COLUMNS, rows
from allocphase.report.source import Source
from allocphase.units import format_count, format_ns

__all__ = ["escaped", "markdown"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#|~!&])")


def markdown(source: Source) -> str:
    """GitHub's dialect; every name and message from outside is escaped."""
    return "\n".join(_lines(source)) + "\n"


def escaped(text: str) -> str:
    """Text that stays text: no markup, no link, no second line."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def _lines(source: Source) -> Iterator[str]:
    run = source.run
    yield f"# allocphase: {escaped(run.manifest['label'])}"
    yield ""
    yield f"Ratios are to {escaped(source.baseline or '-')}; \\~ marks those that are undecided."
    for scenario in source.scenarios:
        yield from _block(source, scenario)
    yield ""
    yield f"{escaped(str(run.manifest['environment'].get('cpu')))}. Run again:"
    yield ""
    yield f"    {shlex.join(run.manifest['command'])}"


def _block(source: Source, scenario: str) -> Iterator[str]:
    cells, floor = source.cells(scenario), format_ns(source.floor_ns(scenario))
    count = format_count(source.entry(scenario)["operations"])
    yield ""
    yield f"## {escaped(scenario)}"
    yield ""
    yield f"{count} operations; floor {floor} an op."
    yield ""
    yield f"| {' | '.join(name for name, _ in COLUMNS)} |"
    yield "| --- |" + " ---: |" * (len(COLUMNS) - 1)
    for row in rows(cells, source.ratios(scenario)):
        texts = (row.allocator, *(value.text for value in row.values))
        yield f"| {' | '.join(map(escaped, texts))} |"
    notes = [
        f"{c['allocator']}: {c['status']}: {c['message']}" for c in cells if c["status"] != "ok"
    ]
    notes += [f"{', '.join(doubt.allocators)}: {doubt.text}" for doubt in source.doubts(scenario)]
    if notes:
        yield ""
        yield from (f"- {escaped(note)}" for note in notes)

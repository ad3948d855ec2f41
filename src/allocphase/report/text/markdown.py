"""report.md: for a pull request. Verdict and ratios at once, each scenario's table to unfold."""

from __future__ import annotations

import html
import shlex
from collections.abc import Iterator, Sequence

from allocphase.analysis.cell import Cell
from allocphase.analysis.discrepancy import INSTRUCTIONS
from allocphase.report.content.causes import FEW, NAMES, causes_seen, shown_quantile, why
from allocphase.report.content.counters import counters
from allocphase.report.content.instructions import (
    call_kinds,
    call_texts,
    counted_cells,
    discrepancies,
    functions,
)
from allocphase.report.content.matrix import MatrixCell, matrix_row, mean_row
from allocphase.report.content.rows import (
    COLUMNS,
    PROGRAM_COLUMNS,
    REPLAY_LEGEND,
    Value,
    program_rows,
    ratio_text,
    rows,
)
from allocphase.report.content.scaling import COLUMNS as SCALING
from allocphase.report.content.scaling import notes, swept
from allocphase.report.content.scaling import rows as scaling_rows
from allocphase.report.content.sentences import verdict
from allocphase.report.content.source import Source
from allocphase.report.content.values import (
    by_time,
    format_percent,
    ranged_text,
    workload_text,
)
from allocphase.text.markdown import escaped
from allocphase.text.units import format_ns

__all__ = ["markdown"]

# Of an allocator's functions, those that a line has room for.
MOST_NAMED = 3


def markdown(source: Source) -> str:
    """GitHub's dialect; every name and message from outside is escaped."""
    return "\n".join(_lines(source)) + "\n"


def _lines(source: Source) -> Iterator[str]:
    run, baseline = source.run, escaped(source.baseline or "-")
    yield f"# allocphase: {escaped(run.manifest.label)}"
    yield ""
    yield from (f"- **{answer.question}**: {escaped(answer.text)}" for answer in verdict(source))
    yield from (f"- **{escaped(note)}**" for note in source.notes)
    yield ""
    yield (
        f"Time per op as a ratio to {baseline}, less is faster, and the nanoseconds an operation "
        f"that are saved over {baseline}; \\~ is undecided; "
        f"{escaped(REPLAY_LEGEND)}."
    )
    yield ""
    yield from _matrix(source)
    for scenario in source.scenarios:
        yield from _block(source, scenario)
    yield from _scaling(source)
    yield ""
    yield (
        "Slowest calls: of all timed calls, the share with each cause, and how many times the "
        f"median call without a cause one with it costs ({FEW} such calls at least)."
    )
    yield ""
    yield f"{escaped(str(run.manifest.environment.get('cpu')))}. Run again:"
    yield ""
    yield from (f"    {line}" for line in shlex.join(run.manifest.command).splitlines())


def _matrix(source: Source) -> Iterator[str]:
    yield _row("scenario", *map(escaped, source.names))
    yield _row("---", *["---:"] * len(source.names))
    for scenario in source.scenarios:
        yield _row(escaped(scenario), *(_one_line(cell) for cell in matrix_row(source, scenario)))
    if mean := mean_row(source):
        yield _row("geometric mean", *(_one_line(cell) for cell in mean))


def _one_line(cell: MatrixCell | Value) -> str:
    return escaped(f"{cell.text}, {cell.below}" if cell.below else cell.text)


def _row(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def _block(source: Source, scenario: str) -> Iterator[str]:
    cells, floor = source.cells(scenario), format_ns(source.floor_ns(scenario))
    yield ""
    yield f"<details><summary>{html.escape(scenario)}</summary>"
    yield ""
    entry = source.entry(scenario)
    columns, table = (COLUMNS, rows) if entry.program is None else (PROGRAM_COLUMNS, program_rows)
    has_floor = entry.program is None and entry.benchmark is None
    of_trace = f"; floor {floor} an op" if has_floor else ""
    yield f"{escaped(workload_text(entry))}{of_trace}."
    yield ""
    yield _row(*(name for name, _ in columns))
    yield _row("---", *["---:"] * (len(columns) - 1))
    for row in table(cells, source.ratios(scenario)):
        yield _row(escaped(row.allocator), *map(_one_line, row.values))
    yield from _causes(cells)
    yield from _counters(source, cells)
    yield from _instructions(source, scenario)
    notes = [f"{c.allocator}: {c.status}: {c.message}" for c in cells if not c.ok]
    notes += [f"{', '.join(doubt.allocators)}: {doubt.text}" for doubt in source.doubts(scenario)]
    notes += discrepancies(source, scenario)
    if notes:
        yield ""
        yield from (f"- {escaped(note)}" for note in notes)
    yield ""
    yield "</details>"


def _scaling(source: Source) -> Iterator[str]:
    for sweep in swept(source):
        yield ""
        yield f"## {escaped(sweep.base)} by threads"
        yield ""
        yield from (f"- {note}" for note in notes(source, sweep))
        yield ""
        yield _row("allocator and threads", *(name for name, _ in SCALING))
        yield _row("---", *["---:"] * len(SCALING))
        for row in scaling_rows(source, sweep):
            yield _row(*map(escaped, (row.label, *row.texts)))


def _causes(cells: Sequence[Cell]) -> Iterator[str]:
    quantile, causes = shown_quantile(cells), causes_seen(cells)
    if quantile is None:
        return
    yield ""
    yield _row(f"{NAMES[quantile]} of calls", *causes)
    yield _row("---", *["---:"] * len(causes))
    for found in (why(cell, quantile, causes) for cell in by_time(cells)):
        pairs = zip(found.shares, found.costs, strict=True)
        yield _row(escaped(found.allocator), *(escaped(f"{s} ({c})" if c else s) for s, c in pairs))


def _counters(source: Source, cells: Sequence[Cell]) -> Iterator[str]:
    found = counters(source, cells)
    if found is None:
        return
    yield ""
    yield _row("counters", *(one.heading for one in found.columns))
    yield _row("---", *["---:"] * len(found.columns))
    for row in (*found.rows, *([found.floor] if found.floor else [])):
        yield _row(escaped(row.name), *map(escaped, row.texts))
    yield ""
    yield escaped(" ".join(found.notes))


def _instructions(source: Source, scenario: str) -> Iterator[str]:
    cells = by_time(counted_cells(source, scenario))
    if not cells:
        return
    kinds, against = call_kinds(cells), source.compared(scenario, INSTRUCTIONS)
    columns = ["an operation", "ratio", *(f"a {kind}" for kind in kinds), "costliest functions"]
    yield ""
    yield _row("instructions", *columns)
    yield _row("---", *["---:"] * (len(columns) - 1), "---")
    for cell in cells:
        ratio = ratio_text(against.ratio(source.baseline or "", cell.allocator))
        costliest = functions(source, cell.allocator, scenario)[:MOST_NAMED]
        named = ", ".join(f"{one.name} {format_percent(one.share)}" for one in costliest)
        figures = (ranged_text(INSTRUCTIONS, cell.metrics), ratio, *call_texts(cell, kinds), named)
        yield _row(escaped(cell.allocator), *map(escaped, figures))

"""The summary on the terminal in short: the verdict, and a line for each cell.

Columns stand under one another over all scenarios. Causes, ranges and doubts are in the whole one
(terminal.py), and how many doubts there are is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import IO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from allocphase.analysis.cell import Cell
from allocphase.analysis.frames import Run
from allocphase.analysis.metric_names import measure
from allocphase.report.content.instructions import discrepancies
from allocphase.report.content.ratios import Ratio
from allocphase.report.content.rows import (
    REPLAY_LEGEND,
    REPLAY_MARK,
    UNDECIDED,
    interval_text,
    ratio_text,
    saved_text,
)
from allocphase.report.content.scaling import swept
from allocphase.report.content.sentences import verdict
from allocphase.report.content.source import Source
from allocphase.report.content.values import by_time, figure_text
from allocphase.report.text.terminal import (
    NAME_WIDTH,
    coloured,
    counters_block,
    failure,
    note,
    scaling_block,
)
from allocphase.text.console import terminal
from allocphase.text.fitted import Column, Fitted
from allocphase.text.units import MISSING, counted

__all__ = ["print_brief"]

# Of the verdict's answers.
_FIRST = 3
# The metrics before the ratio and after it, of a trace and of a program.
_OF_TRACES = ("time", ("latency.malloc.p99", "instructions", "syscalls_per_op", "peak_rss"))
_OF_PROGRAMS = ("wall", ("cpu", "program_page_faults", "program_peak_rss"))
_RATIO = ("ratio", "interval", "saved")


def print_brief(run: Run, stream: IO[str] | None = None) -> None:
    """Prints the run's verdict and every cell to `stream` (stdout). Colour only on a terminal."""
    console = terminal(stream)
    source = Source.of(run)
    traces, programs = (_tables(source, program=program) for program in (False, True))
    has_figures = any(columns for columns, _ in (*traces.values(), *programs.values()))
    if has_figures:
        for answer in verdict(source, most=_FIRST):
            console.print(Text.assemble((f"{answer.question}: ", "bold"), answer.text))
        console.print()
    for tables in (traces, programs):
        _print_tables(console, source, tables)
    for sweep in swept(source):
        console.print(scaling_block(source, sweep))
    if has_figures:
        shown = (*traces.values(), *programs.values())
        console.print(Text(_legend(source, shown), style="dim"))
    for line in source.notes:
        console.print(note(f"! {line}", "bold"))


def _print_tables(console: Console, source: Source, tables: Mapping[str, _Table]) -> None:
    """A table a scenario; their columns are as wide as each other's."""
    widths = [
        max(map(_widest, columns)) for columns in zip(*map(_texts, tables.values()), strict=True)
    ]
    if sum(widths) + len(widths) > console.width:
        widths[0] = NAME_WIDTH  # names are folded
    for scenario, (columns, rows) in tables.items():
        console.print(Text(scenario, style="bold"))
        if columns:
            shared = [replace(c, width=w) for c, w in zip(columns, widths, strict=True)]
            console.print(Fitted(shared, rows))
        else:
            for row in rows:
                console.print(note(f"{row[0].plain}: ok", ""))
        for block in counters_block(source, source.cells(scenario)):
            console.print(block)
        for text in discrepancies(source, scenario):
            console.print(note(text, "dim"))
        for cell in source.cells(scenario):
            if not cell.ok:
                console.print(failure(cell))
        console.print()


# Without columns where no figure was to be measured; a row then is a name.
_Table = tuple[Sequence[Column], Sequence[Sequence[Text]]]


def _tables(source: Source, *, program: bool) -> dict[str, _Table]:
    """By scenario, of traces or of programs, without columns in which none has a figure."""
    names = _OF_PROGRAMS if program else _OF_TRACES
    tables = {
        name: _table(source, name, names)
        for name in source.scenarios
        if (source.entry(name).program is not None) == program
    }
    kept = [
        place
        for place in range(1, len(_RATIO) + len(names[1]) + 2)
        if any(row[place].plain != MISSING for _, rows in tables.values() for row in rows)
    ]
    return {
        name: (
            [columns[i] for i in (0, *kept)] if kept else [],
            [[row[i] for i in (0, *kept)] for row in rows],
        )
        for name, (columns, rows) in tables.items()
    }


def _texts(table: _Table) -> list[list[Text]]:
    columns, rows = table
    return [[Text(column.name), *(row[i] for row in rows)] for i, column in enumerate(columns)]


def _widest(column: Sequence[Text]) -> int:
    return max(cell_len(text.plain) for text in column)


def _table(source: Source, scenario: str, names: tuple[str, Sequence[str]]) -> _Table:
    time, others = measure(names[0]), [measure(name) for name in names[1]]
    found: Mapping[str, Ratio | None] = source.ratios(scenario)
    headings = (time.heading, *_RATIO, *(one.heading for one in others))
    rows = []
    for cell in by_time(source.cells(scenario)):
        if not _measured(cell):
            continue
        ratio = found.get(cell.allocator)
        rows.append(
            [
                Text(cell.allocator, style="" if cell.ok else "red"),
                Text(figure_text(time, cell.metrics), style="bold"),
                coloured(ratio, ratio_text(ratio)),
                Text(interval_text(ratio)),
                coloured(ratio, saved_text(ratio)),
                *(Text(figure_text(one, cell.metrics)) for one in others),
            ]
        )
    return [Column("", figure=False), *map(Column, headings)], rows


def _measured(cell: Cell) -> bool:
    return bool(cell.ok or cell.time_ns)


def _legend(source: Source, tables: Sequence[_Table]) -> str:
    """Of what is shown, and no more."""
    headings = {column.name for columns, _ in tables for column in columns}
    words = {
        "ratio": f"ratio: to {source.baseline}, paired by round, {UNDECIDED} where its interval "
        "holds 1 or is unbounded",
        "saved": f"saved: {source.baseline}'s time less this one",
        "p99": "p99: of malloc",
    }
    clauses = [text for heading, text in words.items() if heading in headings]
    if any(cell.plain.endswith(REPLAY_MARK) for _, rows in tables for row in rows for cell in row):
        clauses.insert(1, REPLAY_LEGEND)
    doubts = sum(len(source.doubts(scenario)) for scenario in source.scenarios)
    hidden = f", and {counted(doubts, 'doubt')} about figures" if doubts else ""
    more = f"With -v: the floor, causes of slow calls, further columns, ranges{hidden}."
    return ". ".join(["; ".join(clauses), more] if clauses else [more])

"""The whole summary on the terminal: a block a scenario, a row an allocator, as wide as the
terminal. brief.py has what a run prints without -v.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from allocphase.analysis.cell import Cell
from allocphase.analysis.discrepancy import INSTRUCTIONS
from allocphase.analysis.frames import Run
from allocphase.analysis.metric_names import measure
from allocphase.analysis.sweep import Sweep
from allocphase.report.content.causes import FEW, NAMES, causes_seen, shown_quantile, why
from allocphase.report.content.counters import counters
from allocphase.report.content.instructions import (
    call_kinds,
    call_texts,
    counted_cells,
    discrepancies,
)
from allocphase.report.content.ratios import Ratio
from allocphase.report.content.rows import (
    PROGRAM_COLUMNS,
    REPLAY_LEGEND,
    program_rows,
    ratio_text,
    saved_interval_text,
    saved_text,
)
from allocphase.report.content.scaling import COLUMNS as SCALING
from allocphase.report.content.scaling import notes, swept
from allocphase.report.content.scaling import rows as scaling_rows
from allocphase.report.content.source import Source
from allocphase.report.content.values import (
    by_time,
    figure_text,
    format_percent,
    kept_share,
    ranged_text,
    workload_text,
)
from allocphase.text.console import terminal
from allocphase.text.fitted import Column, Fitted
from allocphase.text.units import format_ns

__all__ = [
    "NAME_WIDTH",
    "coloured",
    "counters_block",
    "failure",
    "figures_table",
    "note",
    "print_summary",
    "scaling_block",
]

# The metrics that have a column: before that of the ratio, and after.
_TIMES = tuple(measure(name) for name in ("time", "replay_share"))
_OTHERS = tuple(
    measure(name)
    for name in (
        "latency.malloc.p99",
        "latency.malloc.p99_9",
        "syscalls_per_op",
        "peak_rss",
        "fragmentation",
    )
)
_COLUMNS = (
    *(one.heading for one in _TIMES),
    "ratio",
    "saved",
    "interval",
    *(one.heading for one in _OTHERS),
    "kept",
)
# Of those of scaling, what does not fit beside the others.
_WIDE = ("interval", "ideal")
# Of names at least, where figures take all else.
NAME_WIDTH = 8


def print_summary(run: Run, stream: IO[str] | None = None) -> None:
    """Prints every cell of the run to `stream` (stdout). Colour only on a terminal."""
    console = terminal(stream)
    source = Source.of(run)
    for scenario in source.scenarios:
        console.print(_block(source, scenario, console.width))
    for sweep in swept(source):
        console.print(scaling_block(source, sweep))
    console.print(_legend(source.baseline))
    for text in source.notes:
        console.print(note(f"! {text}", "bold"))


def _block(source: Source, scenario: str, width: int) -> RenderableType:
    cells = source.cells(scenario)
    parts: list[RenderableType] = [_title(source, scenario, width)]
    measured = [c for c in by_time(cells) if c.time_ns or _ok(c)]
    if measured and source.entry(scenario).program is not None:
        parts.append(_program_table(measured, source.ratios(scenario)))
    elif measured:
        parts.append(figures_table(measured, source.ratios(scenario)))
        parts += _causes(measured)
        parts += counters_block(source, measured)
        parts += _instructions(source, scenario)
        parts += [note(line, "dim") for cell in measured if (line := _ranges(cell))]
    parts += [failure(cell) for cell in cells if not _ok(cell)]
    parts += [
        note(f"! {', '.join(doubt.allocators)}: {doubt.text}", "dim")
        for doubt in source.doubts(scenario)
    ]
    return Group(*parts, Text())


def scaling_block(source: Source, sweep: Sweep) -> RenderableType:
    """Of a sweep over threads, a row for each level of each allocator."""
    shown = [place for place, (name, _) in enumerate(SCALING) if name not in _WIDE]
    table = [
        [Text(row.label), *(Text(row.texts[place]) for place in shown)]
        for row in scaling_rows(source, sweep)
    ]
    return Group(
        Text.assemble((sweep.base, "bold"), ("  by threads", "dim")),
        Fitted(_columns("", [SCALING[place][0] for place in shown]), table),
        *(note(text, "dim") for text in notes(source, sweep)),
        Text(),
    )


def _program_table(cells: Sequence[Cell], found: Mapping[str, Ratio | None]) -> Fitted:
    """The same of a program, run whole."""
    table = [
        [
            Text(row.allocator, style="" if _ok(cell) else "red"),
            *(Text(value.text) for value in row.values),
        ]
        for row, cell in zip(program_rows(cells, found), by_time(cells), strict=True)
    ]
    return Fitted(_columns("", [name for name, _ in PROGRAM_COLUMNS[1:]]), table)


def _ok(cell: Cell) -> bool:
    return bool(cell.ok)


def _title(source: Source, scenario: str, width: int) -> Text:
    facts = [workload_text(source.entry(scenario))]
    floor_ns, clock_ns = source.floor_ns(scenario), source.clock_ns(scenario)
    if floor_ns:
        facts.append(f"floor {format_ns(floor_ns)} an op")
    if clock_ns:
        facts.append(f"clock {format_ns(clock_ns)}")
    text = ", ".join(facts)
    if len(scenario) + 2 + len(text) > width:  # a line for the trace, one for the costs
        text = f"{facts[0]}\n  {', '.join(facts[1:])}"
    return Text.assemble((scenario, "bold"), (f"  {text}", "dim"))


def figures_table(cells: Sequence[Cell], found: Mapping[str, Ratio | None]) -> Fitted:
    """A row a cell, as they come; found: its ratio by allocator."""
    return Fitted(_columns("", _COLUMNS), [_row(cell, found.get(cell.allocator)) for cell in cells])


def _causes(cells: Sequence[Cell]) -> list[RenderableType]:
    """A row an allocator: why its slowest calls were slow. Causes that nobody had are left out."""
    quantile = shown_quantile(cells)
    if quantile is None:
        return []
    causes = causes_seen(cells)
    rows = [why(cell, quantile, causes) for cell in cells]
    widths = [max(map(len, costs)) for costs in zip(*(row.costs for row in rows), strict=True)]
    table = [
        [
            Text(row.allocator),
            *(
                Text.assemble(share, (f" {cost:>{width}}" if width else "", "dim"))
                for share, cost, width in zip(row.shares, row.costs, widths, strict=True)
            ),
        ]
        for row in rows
    ]
    return [Fitted(_columns(NAMES[quantile], causes), table)]


def counters_block(source: Source, cells: Sequence[Cell]) -> list[RenderableType]:
    """A row an allocator, and the floor's."""
    found = counters(source, cells)
    if found is None:
        return []
    rows = [*found.rows, *([found.floor] if found.floor else [])]
    columns = _columns("counters", [one.heading for one in found.columns])
    table = Fitted(columns, [[Text(row.name), *map(Text, row.texts)] for row in rows])
    return [table, *(note(text, "dim") for text in found.notes)]


def _instructions(source: Source, scenario: str) -> list[RenderableType]:
    """A row an allocator whose instructions were counted; then where they and its time do not tell
    the same.
    """
    cells = by_time(counted_cells(source, scenario))
    if not cells:
        return []
    kinds, against = call_kinds(cells), source.compared(scenario, INSTRUCTIONS)
    table = [
        [
            Text(cell.allocator),
            Text(figure_text(INSTRUCTIONS, cell.metrics)),
            Text(ratio_text(against.ratio(source.baseline or "", cell.allocator))),
            *map(Text, call_texts(cell, kinds)),
        ]
        for cell in cells
    ]
    columns = _columns("instructions", ["an op", "ratio", *(f"a {kind}" for kind in kinds)])
    notes = [note(text, "dim") for text in discrepancies(source, scenario)]
    return [Fitted(columns, table), *notes]


def _ranges(cell: Cell) -> str:
    """Of the counts that have a column, those in which the cell's processes differ."""
    texts = [
        f"{one.heading} {ranged_text(one, cell.metrics)}"
        for one in _OTHERS
        if one.range_of(cell.metrics) is not None
    ]
    return f"{cell.allocator}: {', '.join(texts)}" if texts else ""


def _columns(first: str, names: Sequence[str]) -> list[Column]:
    return [Column(first, figure=False, width=NAME_WIDTH), *map(Column, names)]


def _row(cell: Cell, ratio: Ratio | None) -> list[Text]:
    metrics = cell.metrics
    time, share = (figure_text(one, metrics) for one in _TIMES)
    return [
        Text(cell.allocator, style="" if _ok(cell) else "red"),
        Text(time, style="bold"),
        Text(share),
        coloured(ratio, ratio_text(ratio)),
        coloured(ratio, saved_text(ratio)),
        Text(saved_interval_text(ratio)),
        *(Text(figure_text(one, metrics)) for one in _OTHERS),
        Text(format_percent(kept_share(metrics))),
    ]


def coloured(ratio: Ratio | None, text: str) -> Text:
    style = ""
    if ratio is not None and ratio.decided:
        style = "green" if ratio.interval.estimate < 1 else "yellow"
    return Text(text, style=style)


def failure(cell: Cell) -> RenderableType:
    return note(f"{cell.allocator}: {cell.status}: {cell.message}".rstrip(": "), "red")


def note(text: str, style: str) -> RenderableType:
    return Padding(Text(text, style=style, overflow="fold"), (0, 0, 0, 2), expand=False)


def _legend(baseline: str | None) -> Text:
    return Text(
        "time/op: median over processes; replay: of it, what the floor is; ratio: to "
        f"{baseline}, paired by round, ~ where its interval holds 1 or is unbounded; "
        f"{REPLAY_LEGEND}; saved: {baseline}'s time/op less this one, paired by round, with its "
        "interval, ~ where that holds 0: below 0 it costs so much more; p99, p99.9: of malloc's "
        "latency; sys/op: system calls an operation; frag: peak RSS over peak live "
        "bytes, less 1; kept: of peak RSS, what is resident when all is freed. Where processes "
        "count differently, the figure is their median, and their range stands below. Floor: the "
        "same trace on the null allocator, never subtracted; clock: what reading it adds to a "
        "latency. Slowest 1%: of all timed calls above p99, the share with each cause, and how "
        "many times the median call without a cause one with it costs "
        f"({FEW} such calls at least).",
        style="dim",
    )

"""`gate --explain ROW`: which calls got slower, as a table and in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from rich.text import Text

from allocphase.analysis.latency.calls import size_range
from allocphase.judge.calls import LEAST_CALLS, Call, CallClass, CallDifferences, Unknown
from allocphase.text.console import terminal
from allocphase.text.fitted import Column
from allocphase.text.table import Cell, Table, rich_table
from allocphase.text.units import counted, format_count, format_ns

__all__ = ["print_calls"]

# Classes that have a line; the others are added up.
MOST_TOLD = 10
_FREES = ("free", "free_foreign", "free_remote")


def print_calls(
    found: CallDifferences | Unknown, scenario: str, stream: IO[str] | None = None
) -> None:
    """Prints to `stream` (stdout)."""
    console = terminal(stream)
    if isinstance(found, Unknown):
        console.print(Text(_unknown(found, scenario), overflow="fold"))
        return
    console.print(Text(f"Calls of {scenario}, those first that add most", style="bold"))
    console.print(rich_table(_table(found)))
    for line in _remarks(found):
        console.print(Text(line, style="dim", overflow="fold"))


def _unknown(why: Unknown, scenario: str) -> str:
    head = f"Which calls of {scenario} differ is not known: "
    if why is Unknown.SAVED:
        return f"{head}a saved baseline has no single calls. Gate both objects side by side."
    return (
        f"{head}no latency of both arms was kept. Gate again with --explain time:{scenario}, or "
        f"with a limit such as p99=10%:{scenario}."
    )


def _table(found: CallDifferences) -> Table:
    """A line a class: p50 and p99 of baseline and candidate, and what it adds."""
    names = ["calls", "base p50", "cand p50", "base p99", "cand p99", "adds"]
    with_twin = _has_twin(found)
    names += ["a copy"] if with_twin else []
    rows = [_row(x, with_twin=with_twin, sized=found.sized) for x in found.told[:MOST_TOLD]]
    return Table([Column("call", figure=False), *map(Column, names)], rows)


def _has_twin(found: CallDifferences) -> bool:
    return any(call.twin_added_ns is not None for call in found.told)


def _row(call: Call, *, with_twin: bool, sized: bool) -> list[Cell]:
    figures = [format_ns(value) for value in (*call.p50_ns, *call.p99_ns)]
    twin = [_signed(call.twin_added_ns)] if with_twin else []
    texts = [
        _name(call.group, sized=sized),
        format_count(call.calls),
        *figures,
        _signed(call.added_ns),
        *twin,
    ]
    return [Cell(text) for text in texts]


def _name(group: CallClass, *, sized: bool) -> str:
    """ "malloc 257-512"."""
    kind, size_class = group
    if kind in _FREES and not sized:
        return kind
    low, high = size_range(size_class)
    return f"{kind} {low:,}-{high:,}" if low < high else f"{kind} {high:,}"


def _signed(value_ns: float | None) -> str:
    if value_ns is None or abs(value_ns) < 0.005:  # what is printed of less is 0.00
        return format_ns(None if value_ns is None else 0.0)
    return f"+{format_ns(value_ns)}" if value_ns > 0.0 else format_ns(value_ns)


def _remarks(found: CallDifferences) -> Iterator[str]:
    if rest := found.told[MOST_TOLD:]:
        added = _signed(sum(call.added_ns for call in rest))
        yield f"{counted(len(rest), 'class')} more {'add' if len(rest) > 1 else 'adds'} {added}."
    if found.thin:
        has = f"{'has' if found.thin == 1 else 'have'} fewer than {LEAST_CALLS} calls"
        yield (
            f"{counted(found.thin, 'class')} {has} and {'is' if found.thin == 1 else 'are'} not "
            f"told: {counted(found.thin_calls, 'call')} together."
        )
    base, candidate = found.processes
    many = "one process each" if base == candidate == 1 else f"{base} and {candidate} processes"
    frees = "a free's that of its object" if found.sized else "a free has none in so long a trace"
    yield (
        f"p50, p99: of baseline and candidate, in {many}, without calls that were put aside and "
        f"without the clock's {format_ns(found.clock_ns)}. Sizes in bytes, by powers of two, "
        f"{frees}. adds: calls times what the mean call takes more, an operation of the trace; a "
        "copy: the same of the baseline's copy, where nothing differs."
    )

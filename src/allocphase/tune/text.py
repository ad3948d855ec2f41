"""The answer on a terminal: what each stage dropped, what the gate measured, and what to set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from rich.text import Text

from allocphase.judge.render.words import interval_text, percent
from allocphase.stats import Interval
from allocphase.text.console import terminal
from allocphase.text.fitted import Column
from allocphase.text.table import Cell, Table, rich_table
from allocphase.text.units import MISSING, counted, format_count, format_in
from allocphase.tune.document import WORSE, Answer, Confirmation, StageEntry, Tuning

__all__ = ["print_tuning", "sentences"]

# Of the settings that broke a bound, where all did.
MOST_NAMED = 5

_COLUMNS = (
    Column("ahead", figure=False),
    Column("settings"),
    Column("rounds"),
    Column("failed"),
    Column("broke a bound"),
    Column("worse half"),
    Column("change"),
)


def print_tuning(tuning: Tuning, stream: IO[str] | None = None) -> None:
    """Prints to `stream` (stdout); its last line is what to set, where there is anything."""
    console = terminal(stream)
    what = f"least {tuning.minimize} of {tuning.scenario}"
    bounds = f", {', '.join(tuning.bounds)}" if tuning.bounds else ""
    console.print(Text(f"{tuning.allocator}, {what}{bounds}", style="bold"))
    console.print(rich_table(_stages(tuning.stages)))
    style = "bold green" if tuning.answer is Answer.BETTER else ""
    for note in (*_reasons(tuning), *tuning.notes):
        console.print(Text(note, style="dim", overflow="fold"))
    for line in sentences(tuning):
        console.print(Text(line, style=style, overflow="fold"))
    if tuning.use is not None:
        console.print(Text(tuning.use, overflow="fold"), soft_wrap=True)


def _stages(stages: Sequence[StageEntry]) -> Table:
    rows = [
        [
            Cell(stage.best or MISSING),
            *(
                Cell(format_count(count))
                for count in (stage.arms, stage.rounds, stage.failed, stage.broken, stage.worse)
            ),
            Cell(_change(stage.ratio)),
        ]
        for stage in stages
    ]
    return Table(_COLUMNS, rows)


def _reasons(tuning: Tuning) -> list[str]:
    """Of settings that failed or broke a bound, the first few; a worse half needs no reason."""
    if tuning.answer is Answer.NONE_WITHIN:
        return []  # the answer itself has them
    dropped = [one for one in tuning.arms if one.dropped and not one.dropped.startswith(WORSE)]
    lines = [f"{one.name}: {one.dropped}" for one in dropped[:MOST_NAMED]]
    more = len(dropped) - MOST_NAMED
    return [*lines, f"and {counted(more, 'setting')} more"] if more > 0 else lines


def _change(ratio: Interval | None) -> str:
    return MISSING if ratio is None else percent(ratio.estimate - 1.0, signed=True)


def sentences(tuning: Tuning) -> Iterator[str]:
    """What the gate measured, and what follows from it."""
    found = tuning.confirmation
    if found is not None:
        yield f"{tuning.winner}: {_measured(tuning, found)}"
    yield _answer(tuning)


def _measured(tuning: Tuning, found: Confirmation) -> str:
    """ "46.1 ns -> 41.5 ns (-10.0%, -10.6% to -9.2%) in 12 rounds of a gate" """
    values = [format_in(tuning.unit, value) for value in (found.default, found.winner)]
    interval = "every process" if found.exact else interval_text(found.ratio)
    change = percent(found.ratio.estimate - 1.0, signed=True)
    rounds = counted(found.rounds, "process" if found.exact else "round")
    text = f"{' -> '.join(values)} ({change}, {interval}) in {rounds} of a gate of its own"
    kept = [bound for bound, is_kept in found.bounds.items() if is_kept]
    lost = [bound for bound, is_kept in found.bounds.items() if not is_kept]
    text += f"; keeps {', '.join(kept)}" if kept else ""
    return text + (f"; was not shown to keep {', '.join(lost)}" if lost else "")


def _answer(tuning: Tuning) -> str:
    count = len(tuning.arms)
    if tuning.answer is Answer.BETTER:
        return f"Better than the default, and the best of {counted(count, 'setting')}. Use:"
    if tuning.answer is Answer.NONE_BETTER:
        return f"No setting is better than the default by more than {percent(tuning.at_most or 0)}."
    if tuning.answer is Answer.NONE_WITHIN:
        reasons = "; ".join(f"{one.name}: {one.dropped}" for one in tuning.arms[:MOST_NAMED])
        more = f"; and {count - MOST_NAMED} more" if count > MOST_NAMED else ""
        bounds = f" keeps {' and '.join(tuning.bounds)}" if tuning.bounds else " could be measured"
        return f"No setting{bounds}: {reasons}{more}."
    if tuning.answer is Answer.NOT_MEASURED:
        return "The gate of the best setting was not measured: nothing can be said."
    return (
        "These rounds cannot tell whether it is better than the default and keeps the bounds: "
        "a longer --time-budget or more --max-rounds may."
    )

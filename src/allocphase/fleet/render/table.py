"""A fleet's verdict as tables of texts: what the terminal and Markdown share."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from allocphase.fleet.standing import FleetRow, HostStanding, Standing, listed
from allocphase.fleet.verdict import FleetVerdict
from allocphase.judge.render.words import interval_text, percent
from allocphase.stats import Interval
from allocphase.text.fitted import Column
from allocphase.text.table import Cell, Table
from allocphase.text.units import MISSING, counted, format_in

__all__ = [
    "LEGEND",
    "change_text",
    "headline",
    "overview",
    "remarks",
    "standing_text",
    "told_rows",
]

LEGEND = (
    "all rounds: median change over all hosts' rounds together, and its own 95% interval; of a "
    "host its own median. worse on a host: with all hosts and rows in one family (Holm)."
)
_STYLES = {
    Standing.WORSE: "bold red",
    Standing.FLAGGED: "yellow",
    Standing.OPEN: "yellow",
    Standing.UNSTEADY: "yellow",
    Standing.BETTER: "green",
}
# So many hosts or fewer have a column each; of more, the telling ones are named.
FEW_HOSTS = 8
# And so many of these have a line of their own below the table.
_MOST_LINES = 20


def told_rows(verdict: FleetVerdict, *, everything: bool = False) -> list[FleetRow]:
    """The rows with something to tell first; counts that are worse nowhere are left out."""
    shown = [row for row in verdict.rows if everything or not _is_quiet(row)]
    return sorted(shown, key=lambda row: (not row.is_worse, not row.is_better))


def _is_quiet(row: FleetRow) -> bool:
    return row.exact and not row.is_worse and not row.is_better


def overview(rows: Sequence[FleetRow]) -> Table:
    """A line a row: what was found, the pooled figures, and a column for each of a few hosts."""
    columns = [Column("", figure=False, width=18), Column("finding", figure=False, width=14)]
    hosts = [one.host for one in rows[0].hosts] if rows else []
    shown = hosts if len(hosts) <= FEW_HOSTS else []
    named = ("all rounds", "95% interval", *shown, "decided on")
    columns += [Column(name) for name in named]
    return Table(columns, [_line(row, hosts=bool(shown)) for row in rows])


def _line(row: FleetRow, *, hosts: bool) -> list[Cell]:
    style = "bold red" if row.is_worse else "green" if row.is_better else ""
    pooled = row.pooled
    together = (change_text(pooled.ratio), interval_text(pooled.ratio)) if pooled else ("-", "-")
    return [
        Cell(row.id),
        Cell(row.finding, style, strong=row.is_worse),
        *map(Cell, together),
        *([_host_cell(one) for one in row.hosts] if hosts else []),
        Cell(f"{row.decided} of {len(row.hosts)}"),
    ]


def _host_cell(one: HostStanding) -> Cell:
    style = _STYLES.get(one.standing, "")
    return Cell(standing_text(one), style, strong=one.standing is Standing.WORSE)


def standing_text(one: HostStanding) -> str:
    """ "+0.1%" of what is not worse; the others with their word: "worse +5.1%", "absent"."""
    if one.standing in (Standing.ABSENT, Standing.UNSTEADY):
        return str(one.standing)
    change = change_text(one.ratio)
    return change if one.standing is Standing.NOT_WORSE else f"{one.standing} {change}"


def change_text(ratio: Interval) -> str:
    """ "+5.1%"; what came from nothing: "new"; "-" where nothing is known."""
    if ratio.estimate == math.inf:
        return "new"
    return percent(ratio.estimate - 1.0, signed=True)


def _telling(rows: Sequence[FleetRow]) -> Iterator[str]:
    """ "time:churn is worse on b: +5.1% (+4.4% to +5.8%), 12.1 ns to 12.7 ns"."""
    telling = (Standing.WORSE, Standing.BETTER)
    told = [(row, one) for row in rows for one in row.hosts if one.standing in telling]
    for row, one in told[:_MOST_LINES]:
        bounds = interval_text(one.ratio)
        interval = "" if bounds == MISSING else f" ({bounds})"
        values = f"{format_in(row.unit, one.base)} to {format_in(row.unit, one.candidate)}"
        change = change_text(one.ratio)
        yield f"{row.id} is {one.standing} on {one.host}: {change}{interval}, {values}"
    if len(told) > _MOST_LINES:
        yield f"and {len(told) - _MOST_LINES} more: --json has all"


def remarks(
    verdict: FleetVerdict, shown: Sequence[FleetRow], *, telling: bool = True
) -> Iterator[str]:
    """What a reader must know beside the table, a line each; telling: of each host that is worse
    or better by how much.
    """
    if telling:
        yield from _telling(shown)
    hidden = len(verdict.rows) - len(shown)
    if hidden:
        verb = "is" if hidden == 1 else "are"
        yield f"{counted(hidden, 'further count')} {verb} worse on no host."
    if verdict.waiting:
        yield "hosts are still measuring: nothing is pooled until all have ended."
    for host in verdict.hosts:
        if host.why:
            yield f"{host.name} is not judged: {host.why}"
        elif host.unsteady:
            yield f"{host.name}: its times are not judged: {host.unsteady}"
    broken = [host.name for host in verdict.hosts if host.broken]
    if broken:
        yield f"the candidate breaks on {listed(broken)}: see the host's own gate"
    flagged = [row for row in verdict.rows if row.on(Standing.FLAGGED)]
    for row in flagged:
        hosts = listed(row.on(Standing.FLAGGED))
        yield f"{row.id} is flagged on {hosts}: over so many hosts that may be chance"
    dropped = sum(row.dropped for row in verdict.rows)
    if dropped:
        yield f"{counted(dropped, 'round')} without a value of one arm, left out for both"
    for one in verdict.counts[:_MOST_LINES]:
        yield f"alike, and not the same: {one.text}"
    if len(verdict.counts) > _MOST_LINES:
        yield f"and {len(verdict.counts) - _MOST_LINES} more counts of hosts that are alike"
    yield from verdict.notes


def headline(verdict: FleetVerdict) -> str:
    """ "worse: 1 of 14 rows on b; decided on 2 of 3 hosts." """
    hosts = f"{len(verdict.judged)} of {counted(len(verdict.hosts), 'host')} judged"
    worse = [row for row in verdict.rows if row.is_worse]
    named = list(dict.fromkeys(host for row in worse for host in row.on(Standing.WORSE)))
    rows = counted(len(verdict.rows), "row")
    if not worse:
        found = f"none of {rows} is worse"
    else:
        found = f"{len(worse)} of {rows} {'is' if len(worse) == 1 else 'are'} worse"
        if all(row.finding == "worse on all" for row in worse):
            found += " on all hosts"
        elif named:
            found += f" on {listed(named)}"
    word = f"{verdict.word}: " if verdict.kind == "gate" else ""
    return f"{word}{found}; {hosts}."

"""The verdict in words: who is fast, by how much, is it sure, why, and at what cost in memory.

Every sentence is made of the run's figures and says no more than their intervals: "fastest" is
followed by where it is sure, a ratio by its interval, and what intervals leave open is said to be
open. Counts (system calls, bytes) are exact and need none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from allocphase.analysis.frames import CAUSES
from allocphase.report.content.causes import slow
from allocphase.report.content.matrix import geometric_mean
from allocphase.report.content.ratios import Ratio
from allocphase.report.content.rows import interval_text
from allocphase.report.content.source import Source
from allocphase.report.content.values import format_percent, format_rate
from allocphase.text.units import format_count, format_ns, format_ratio

__all__ = ["verdict"]

# The slowest calls whose causes are told.
SLOW = "p99_9"
# Calls that take this many times longer at the end of a trace than at its beginning grow slower.
GROWTH_RATIO = 3.0


def verdict(source: Source) -> list[str]:
    """At most five sentences; those whose figures were not measured are left out."""
    parts: Sequence[Callable[[Source], str | None]] = (
        _fastest,
        _overall,
        _causes,
        _growth,
        _memory,
    )
    found = [sentence for part in parts if (sentence := part(source))]
    return found or ["Nothing was measured that a verdict could rest on."]


# ---- Speed -------------------------------------------------------------------------------


def _fastest(source: Source) -> str | None:
    winners = {s: winner for s in source.scenarios if (winner := _winner(source, s))}
    if not winners:
        return None
    sure = {s for s, name in winners.items() if _beats_all(source, name, s)}
    parts = []
    for name, wins in Counter(winners.values()).most_common():
        where = [s for s, winner in winners.items() if winner == name]
        certain = len(sure.intersection(where))
        parts.append(f"{name} on {_some(where, len(winners))} ({_certainty(certain, wins)})")
    return f"Least time per op: {'; '.join(parts)}."


def _winner(source: Source, scenario: str) -> str | None:
    times = {cell.allocator: cell.time_ns for cell in source.cells(scenario) if cell.ok}
    timed = {name: float(value) for name, value in times.items() if value}
    return min(timed, key=lambda name: timed[name]) if len(timed) > 1 else None


def _beats_all(source: Source, name: str, scenario: str) -> bool:
    others = (source.ratio(o, scenario, name) for o in source.names if o != name)
    return all(found.interval.lower > 1 for found in others if found is not None)


def _some(names: Sequence[str], total: int) -> str:
    if len(names) <= 2:
        return " and ".join(names)
    return f"all {total} scenarios" if len(names) == total else f"{len(names)} of {total} scenarios"


def _certainty(certain: int, wins: int) -> str:
    if certain == wins:
        return "sure against every other"
    return (
        "not sure against every other" if certain == 0 else f"sure against every other on {certain}"
    )


def _overall(source: Source) -> str | None:
    means = {name: geometric_mean(source, name) for name in source.names}
    ordered = sorted(
        ((n, found) for n, found in means.items() if found and not found.exact),
        key=lambda pair: pair[1].interval.estimate,
    )
    if not ordered or len(source.scenarios) < 2:
        return None
    ends = dict([ordered[0], ordered[-1]])
    told = " and ".join(f"{name} takes {_mean(found)}" for name, found in ends.items())
    return (
        f"Over all {len(source.scenarios)} scenarios (geometric mean), of the time of "
        f"{source.baseline}, {told}; {_undecided(source)}."
    )


def _mean(found: Ratio) -> str:
    doubts = [] if found.decided else ["undecided"]
    if found.mostly_replay:
        doubts.append("both mostly replay")
    doubt = f"{', '.join(doubts)}: " if doubts else ""
    return f"{format_ratio(found.interval.estimate)} ({doubt}{interval_text(found)})"


def _undecided(source: Source) -> str:
    found = [r for s in source.scenarios for r in source.ratios(s).values() if r and not r.exact]
    undecided = sum(not ratio.decided for ratio in found)
    if not undecided:
        return f"each of the {len(found)} single ratios is decided"
    return f"{undecided} of {len(found)} single ratios are undecided"


# ---- Why ---------------------------------------------------------------------------------


def _causes(source: Source) -> str | None:
    rates = {
        n: rate for n in source.names if (rate := _median(source, n, "syscalls_per_op")) is not None
    }
    if not rates:
        return None
    most = max(rates, key=lambda name: rates[name])
    quiet = [name for name, rate in rates.items() if rate == 0]
    text = (
        f"{most} makes {format_rate(rates[most])} system calls an operation (median over scenarios)"
    )
    text += f", {_listed(quiet)} none" if quiet else ""
    shares = _slow_shares(source, most)
    if shares is None:
        return f"{text}."
    told = ", ".join(
        f"{format_percent(share)} {_did(c)}"
        for c, share in zip(CAUSES, shares, strict=True)
        if share >= 0.005
    )
    return f"{text}; of its slowest thousandth of calls, {told}."


def _did(cause: str) -> str:
    return {
        "system call": "made a system call",
        "page fault": "took a page fault",
        "waited": "waited",
        "preempted": "were preempted",
        "neither": "did nothing of the kind",
    }.get(cause, cause)


def _slow_shares(source: Source, name: str) -> list[float] | None:
    """Over all scenarios; those in which it is not known why are left out."""
    counts = np.zeros(len(CAUSES))
    for cell in source.all_cells:
        if cell.allocator == name and (found := slow(cell, SLOW)) is not None:
            counts += [share * found.calls for share in found.shares.values()]
    return list(counts / counts.sum()) if counts.any() else None


def _growth(source: Source) -> str | None:
    found: dict[str, tuple[float, str]] = {}
    for scenario in source.traced:
        for name in source.names_on(scenario):
            for kind, (first, last) in source.points(name, scenario).growth.items():
                ratio = last / first
                if ratio >= max(GROWTH_RATIO, found.get(name, (0.0, ""))[0]):
                    times = f"from {format_ns(first)} to {format_ns(last)}"
                    found[name] = (ratio, f"{kind} of {name} {times} on {scenario}")
    if not found:
        return None
    told = [text for _, text in sorted(found.values(), reverse=True)]
    return (
        "Slower as the trace goes on, without a cause outside the allocator (medians of the first "
        f"and last tenth of calls, in the process shown): {'; '.join(told[:3])}."
    )


# ---- Memory ------------------------------------------------------------------------------


def _memory(source: Source) -> str | None:
    waste = {
        n: value for n in source.names if (value := _median(source, n, "fragmentation")) is not None
    }
    if len(waste) < 2:
        return None
    least, most = min(waste, key=lambda n: waste[n]), max(waste, key=lambda n: waste[n])
    return (
        f"Peak RSS is {format_ratio(1 + waste[least])} the peak live bytes with {least} (median "
        f"over scenarios) and {format_ratio(1 + waste[most])} with {most}."
    )


def _median(source: Source, name: str, metric: str) -> float | None:
    cells = (c for c in source.all_cells if c.allocator == name)
    values = [v for c in cells if (v := c.metrics.get(metric)) is not None]
    return float(np.median(values)) if values else None


def _listed(names: Sequence[str]) -> str:
    if len(names) > 4:
        return f"{format_count(len(names))} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

"""The verdict in words, by the reader's questions: which allocator is the fastest, the leanest, the
steadiest, the quietest, what the fastest costs, and whether that is sure.

Every sentence is made of the run's figures and says no more than their intervals: a winner is
followed by whether it is sure against every other, a ratio by its interval, and what intervals
leave open is said to be open.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from allocphase.analysis.frames import CAUSES
from allocphase.report.content.causes import Lift, lifts
from allocphase.report.content.matrix import geometric_mean
from allocphase.report.content.ratios import Ratio
from allocphase.report.content.rows import interval_text
from allocphase.report.content.source import Source
from allocphase.report.content.values import format_percent, format_rate
from allocphase.report.content.views import SAVED, TIME, VIEWS, View, columns_of, mean_of
from allocphase.text.units import format_count, format_ns, format_ratio

__all__ = ["Answer", "verdict"]

# The slowest calls whose causes are told.
SLOW = "p99_9"
# Calls that take this many times longer at the end of a trace than at its beginning grow slower.
GROWTH_RATIO = 3.0

_BY_NAME = {view.name: view for view in VIEWS}
SURE, NOT_SURE = "sure against every other", "not sure against every other"


@dataclass(frozen=True, slots=True)
class Answer:
    """To a question of the reader's, in a word or a few; text: whole sentences. sure: whether the
    winner is before all others, whatever noise there was; None where there is none to be sure of.
    """

    question: str
    text: str
    sure: bool | None = None

    def __str__(self) -> str:
        return f"{self.question}: {self.text}"


def verdict(source: Source, *, most: int | None = None) -> list[Answer]:
    """At most six, or the first `most`: the last one looks at every call of every cell. Those whose
    figures were not measured are left out.
    """
    parts: Sequence[Callable[[Source], Answer | None]] = (
        _fastest,
        _leanest,
        _steadiest,
        _quietest,
        _costs,
        _growth,
    )
    found = list(islice((answer for part in parts if (answer := part(source))), most))
    return found or [Answer("Verdict", "nothing was measured that one could rest on.")]


# ---- Who wins a view ---------------------------------------------------------------------


def _mean(source: Source, view: View, name: str, base: str | None = None) -> Ratio | None:
    """Over the scenarios, to an arm or to the default baseline."""
    if view is TIME:
        return geometric_mean(source, name, base)
    return mean_of(source, view, name, base)


def _ranked(source: Source, view: View) -> list[tuple[str, Ratio]]:
    """The arms that have a mean and failed nowhere, the least first; none where they are fewer
    than two.
    """
    means = ((name, _mean(source, view, name)) for name in _sound(source))
    known = [(name, found) for name, found in means if found is not None]
    ordered = sorted(known, key=lambda pair: pair[1].interval.estimate)
    return ordered if len(ordered) > 1 else []


def _sound(source: Source) -> list[str]:
    """Who fails somewhere is recommended for nothing."""
    failed = {cell.allocator for cell in source.all_cells if not cell.ok}
    return [name for name in source.names if name not in failed]


def _is_sure(source: Source, view: View, name: str) -> bool:
    """Whether all others that have a mean take more, whatever the baseline."""
    others = (_mean(source, view, other, name) for other in source.names if other != name)
    return all(found.interval.lower > 1 for found in others if found is not None)


def _best(source: Source, view: View, question: str) -> Answer | None:
    """ "fast takes 0.50x (0.50 to 1.00x) of the peak RSS of libc, sure against every other; the
    most takes phase2, 10.0x": over all scenarios that have the figure; equal ones are named
    together. None where fewer than two arms have a mean.
    """
    ranked = _ranked(source, view)
    if not ranked:
        return None
    least, most = ranked[0][1].interval.estimate, ranked[-1]
    winners = [name for name, found in ranked if found.interval.estimate == least]
    if len(winners) == len(ranked):
        return Answer(question, f"no difference in {view.noun} between {_listed(winners)}.")
    share = f"{_told(ranked[0][1])} of the {view.noun} of {source.baseline}"
    rest = f"the most takes {most[0]}, {_told(most[1])}"
    over = _over(source, view)
    if len(winners) > 1:
        text = f"{_listed(winners)} alike take {share}{over}; {rest}."
        return Answer(question, text)
    sure = _is_sure(source, view, winners[0])
    if winners[0] == source.baseline:
        share = f"the least {view.noun}"
    text = f"{winners[0]} takes {share}{over}, {SURE if sure else NOT_SURE}; {rest}."
    return Answer(question, text, sure)


def _over(source: Source, view: View) -> str:
    measured = sum(column is not None for column in columns_of(source, view).values())
    return "" if measured < 2 else f" over {measured} scenarios (geometric mean)"


def _told(found: Ratio) -> str:
    if found.exact:
        return format_ratio(found.interval.estimate)
    doubts = [] if found.decided else ["undecided"]
    if found.mostly_replay:
        doubts.append("both mostly replay")
    doubt = f"{', '.join(doubts)}: " if doubts else ""
    return f"{format_ratio(found.interval.estimate)} ({doubt}{interval_text(found)})"


# ---- Fastest -----------------------------------------------------------------------------


def _fastest(source: Source) -> Answer | None:
    winners = {s: winner for s in source.scenarios if (winner := _winner(source, s))}
    if not winners:
        return None
    sure = {s for s, name in winners.items() if _beats_all(source, name, s)}
    parts = []
    for name, wins in Counter(winners.values()).most_common():
        where = [s for s, winner in winners.items() if winner == name]
        certain = len(sure.intersection(where))
        parts.append(f"{name} on {_some(where, len(winners))} ({_certainty(certain, wins)})")
    single = "; ".join(parts)
    overall = _best(source, TIME, "Fastest") if len(source.scenarios) > 1 else None
    if overall is None:
        return Answer("Fastest", f"{single}.", len(sure) == len(winners))
    text = f"{overall.text} Least time by scenario: {single}. {_undecided(source)}."
    return replace(overall, text=text)


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
        return SURE
    return NOT_SURE if certain == 0 else f"{SURE} on {certain}"


def _undecided(source: Source) -> str:
    found = [r for s in source.scenarios for r in source.ratios(s).values() if r and not r.exact]
    undecided = sum(not ratio.decided for ratio in found)
    if not undecided:
        return f"Each of the {len(found)} single ratios is decided"
    return f"{undecided} of {len(found)} single ratios are undecided"


# ---- Leanest, steadiest, quietest --------------------------------------------------------


def _leanest(source: Source) -> Answer | None:
    found = _best(source, _BY_NAME["peak_rss"], "Leanest")
    return None if found is None else replace(found, text=f"{found.text}{_waste(source)}")


def _waste(source: Source) -> str:
    """What peak RSS is of live bytes."""
    waste = {
        n: value for n in source.names if (value := _median(source, n, "fragmentation")) is not None
    }
    if len(waste) < 2:
        return ""
    least, most = min(waste, key=lambda n: waste[n]), max(waste, key=lambda n: waste[n])
    if waste[least] == waste[most]:
        return f" Of the peak live bytes it is {format_ratio(1 + waste[least])} with all."
    return (
        f" Of the peak live bytes it is {format_ratio(1 + waste[least])} with {least} (median over "
        f"scenarios) and {format_ratio(1 + waste[most])} with {most}."
    )


def _steadiest(source: Source) -> Answer | None:
    return _best(source, _BY_NAME["p99_9"], "Steadiest")


def _quietest(source: Source) -> Answer | None:
    rates = {
        n: rate
        for n in _sound(source)
        if (rate := _median(source, n, "syscalls_per_op")) is not None
    }
    if not rates:
        return _best(source, _BY_NAME["syscalls"], "Quietest")
    least = min(rates.values())
    most = max(rates, key=lambda name: rates[name])
    quiet = [name for name, rate in rates.items() if rate == least]
    if len(quiet) == len(rates):
        return Answer("Quietest", f"all make {format_rate(least)} system calls an operation.")
    text = (
        f"{_listed(quiet)} with {format_rate(least)} system calls an operation (median over "
        f"scenarios; counted, not timed); {most} makes {format_rate(rates[most])}"
    )
    found = lifts([cell for cell in source.all_cells if cell.allocator == most], SLOW)
    if found is None:
        return Answer("Quietest", f"{text}.")
    told = _told_lifts(found)
    return Answer("Quietest", f"{text}: of its slowest thousandth of calls, {told}.")


def _told_lifts(found: Mapping[str, Lift]) -> str:
    """ "98% made a system call (of all its calls 1%: 98.0x as often), 2% ..."."""
    told = []
    for cause, lift in found.items():
        if lift.slowest < 0.005:
            continue
        text = f"{_fine_percent(lift.slowest)} {_did(cause)}"
        if cause != CAUSES[-1]:
            often = "" if lift.ratio is None else f": {format_ratio(lift.ratio)} as often"
            text += f" (of all its calls {_fine_percent(lift.every)}{often})"
        told.append(text)
    return ", ".join(told)


def _fine_percent(share: float) -> str:
    """With two digits however small: what is rare among all calls is what a lift is told of."""
    return f"{100 * share:.2g}%" if 1e-6 < share < 0.1 else format_percent(share)


def _did(cause: str) -> str:
    return {
        "system call": "made a system call",
        "page fault": "took a page fault",
        "waited": "waited",
        "preempted": "were preempted",
        "neither": "did nothing of the kind",
    }.get(cause, cause)


# ---- What it costs -----------------------------------------------------------------------


def _costs(source: Source) -> Answer | None:
    """What the fastest and the leanest take of all else, beside the baseline."""
    told: dict[str, str] = {}
    for of in (TIME, _BY_NAME["peak_rss"]):
        ranked = _ranked(source, of)
        name = ranked[0][0] if ranked else source.baseline
        found = [
            f"{_told(mean)} of its {view.noun}"
            for view in VIEWS
            if view not in (of, SAVED) and (mean := _mean(source, view, name or "")) is not None
        ]
        if name and name != source.baseline and found:
            told.setdefault(name, f"{name} takes {_joined(found)}")
    if not told:
        return None
    return Answer("What it costs", f"beside {source.baseline}, {'; '.join(told.values())}.")


def _growth(source: Source) -> Answer | None:
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
    return Answer(
        "Slower as the trace goes on",
        "without a cause outside the allocator (medians of the first and last tenth of calls, in "
        f"the process shown), {'; '.join(told[:3])}.",
    )


def _median(source: Source, name: str, metric: str) -> float | None:
    cells = (c for c in source.all_cells if c.allocator == name)
    values = [v for c in cells if (v := c.metrics.get(metric)) is not None]
    return float(np.median(values)) if values else None


def _listed(names: Sequence[str]) -> str:
    return f"{format_count(len(names))} allocators" if len(names) > 4 else _joined(names)


def _joined(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"

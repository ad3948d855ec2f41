"""Two sentences on the thesis that a file's claims share, generated from the run's figures.

Does removing the system calls remove the spikes, and what did the linear search cost? A sentence
says no more than its intervals: where one lies on both sides, it says that the rounds do not tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from allocphase.analysis.metric_names import measure
from allocphase.analysis.metrics import CONFIDENCE
from allocphase.claim.evidence import Evidence
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Need, percent, scaled, spelled
from allocphase.claim.forms.growth import SWEEP_KEYS, Levels, read_levels
from allocphase.claim.forms.ratio import paired_ratio
from allocphase.claim.forms.share import EVENTS, rates
from allocphase.claim.metric import (
    LATENCY_KINDS,
    Cell,
    Selector,
    read_allocator,
    read_scenario,
)
from allocphase.claim.missing import Missing
from allocphase.probe.probe import Probe
from allocphase.stats import Interval, growth
from allocphase.stats.values import median
from allocphase.text.units import format_count, format_ratio

__all__ = ["Thesis"]

_NAMES = ("with_calls", "without_calls", "without_search")
_KEYS = (*_NAMES, "scenario", "kind", "spike_ratio", "metric", *SWEEP_KEYS)
# The spikes' quantile, and the slowest calls whose causes are told: a thousandth is a single
# call of a process of a thousand, too few to have a share.
_TAIL, _SLOW = "p99_9", "p99"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thesis:
    """Which cells the two sentences compare.

    with_calls, without_calls: the allocator that makes system calls and the one that does
    without; the latter searches linearly, without_search does not. spike_ratio: p99.9 over p50
    above which there are spikes. levels: the sweep of the one that searches.
    """

    with_calls: Cell
    without_calls: Cell
    without_search: Cell
    kind: str
    spike_ratio: float
    levels: Levels

    @classmethod
    def read(cls, table: object, *, where: str) -> Thesis:
        """Raises UsageError."""
        fields = Fields.of(table, where=where, known=_KEYS)
        scenario = read_scenario(fields)
        cells = {name: Cell(read_allocator(fields, name), scenario) for name in _NAMES}
        swept = {"allocator": cells["without_calls"].allocator, "scenario": scenario}
        return cls(
            **cells,
            kind=fields.choice("kind", LATENCY_KINDS, "malloc"),
            spike_ratio=fields.number("spike_ratio"),
            levels=read_levels(Fields({**fields.table, **swept}, where)),
        )

    @property
    def needs(self) -> tuple[Need, ...]:
        """Latencies and system calls of two, times of all."""
        points = [self.levels.at(value).cell for value in self.levels.values]
        timed = [self.without_search, self.without_calls, *points]
        calls = [self.with_calls, self.without_calls]
        return (
            *((cell, Probe.THROUGHPUT) for cell in timed),
            *((cell, probe) for cell in calls for probe in (Probe.LATENCY, Probe.SYSCALLS)),
        )

    def sentences(self, evidence: Evidence) -> tuple[str, str]:
        """The two, in this order."""
        return self._spikes(evidence), self._search(evidence)

    def _spikes(self, evidence: Evidence) -> str:
        try:
            cut = paired_ratio(
                evidence, over=self._tail(self.without_calls), under=self._tail(self.with_calls)
            )
            factors = [
                paired_ratio(evidence, over=self._tail(cell), under=self._quantile(cell, "p50"))
                for cell in (self.without_calls, self.with_calls)
            ]
            causes = self._causes(evidence)
        except Missing as missing:
            return (
                f"Whether removing the system calls removes the spikes was not measured: {missing}."
            )
        names = [cell.key[0] for cell in (self.without_calls, self.with_calls)]
        changed = _against(cut, 1.0, ("cut", "raised", "did not measurably change"))
        verdict = _against(factors[0], self.spike_ratio, _SPIKES)
        return (
            f"Removing the system calls {changed} the p99.9 of {self.kind} "
            f"({names[0]} / {names[1]}: {spelled(cut, 'ratio')}), and {verdict}: p99.9 is "
            f"{spelled(factors[0], 'ratio')} the median in {names[0]} and "
            f"{spelled(factors[1], 'ratio')} in {names[1]}, where at most "
            f"{format_ratio(self.spike_ratio)} would be predictable; of {names[0]}'s slowest 1% "
            f"of calls, {causes}."
        )

    def _causes(self, evidence: Evidence) -> str:
        """Of each event its share among the slowest calls, beside that among all of them."""
        cell = self.without_calls
        shown = []
        for event in EVENTS:
            found = rates(evidence, cell, kind=self.kind, above=_SLOW, event=event)
            share, base, lift = (median(x) for x in (found.share, found.base, found.lift))
            text = f"{percent(share)} had a {event} ("
            if found.says_nothing:
                shown.append(text + ("as every call had)" if base else "as no call had)"))
            else:
                shown.append(f"{text}{percent(base)} of all: a lift of {scaled('ratio', lift)})")
        return f"{', '.join(shown[:-1])} and {shown[-1]}"

    def _search(self, evidence: Evidence) -> str:
        metric = self.levels.selector.metric
        over, under = Selector(self.without_calls, metric), Selector(self.without_search, metric)
        try:
            times = self.levels.by_round(evidence)
            exponent = growth(self.levels.values, times, confidence=CONFIDENCE).exponent
            ratio = paired_ratio(evidence, over=over, under=under)
        except (Missing, ValueError) as missing:
            return f"What the linear search costs was not measured: {missing}."
        first, last = (scaled(metric, float(np.nanmedian(times[:, i]))) for i in (0, -1))
        low, high = (format_count(self.levels.values[i]) for i in (0, -1))
        name, other = over.cell.key[0], under.cell.key[0]
        grows = _against(exponent, 0.0, ("falls", "grows", "does not measurably grow"))
        doubt = _against(ratio, 1.0, ("", "", ", where these rounds do not tell it from equal"))
        return (
            f"With the linear search, {name}'s time per allocation {grows} with the number of "
            f"live objects (exponent {spelled(exponent, 'exponent')}: {first} at {low}, {last} at "
            f"{high}), and on {over.cell.key[1]} it is {spelled(ratio, 'ratio')} that of {other}, "
            f"which has no such search{doubt}."
        )

    def _tail(self, cell: Cell) -> Selector:
        return self._quantile(cell, _TAIL)

    def _quantile(self, cell: Cell, quantile: str) -> Selector:
        return Selector(cell, measure(f"latency.{self.kind}.{quantile}").path)


_SPIKES = (
    "the spikes are gone",
    "the spikes are not gone",
    "whether spikes remain, these rounds do not tell",
)


def _against(interval: Interval, bound: float, words: Sequence[str]) -> str:
    """The first word where the whole interval is below the bound, the second where above."""
    if interval.upper < bound:
        return words[0]
    return words[1] if interval.lower > bound else words[2]

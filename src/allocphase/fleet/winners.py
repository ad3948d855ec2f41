"""Which allocator is the quickest on which host, and what those hosts have in common.

On one host and scenario an arm is ahead if its time is below every other arm's, by the paired
interval of their ratios; where that holds of none, those that the quickest is not told from share
the place. The intervals are each cell's own: read along a table of many cells, some are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from allocphase.analysis.baseline import Times, against, default_baseline
from allocphase.analysis.frames import Run
from allocphase.fleet.agreeing import telling_facts
from allocphase.fleet.hosts import MAIN_FACTS
from allocphase.fleet.standing import listed
from allocphase.stats import Interval

__all__ = ["Change", "Place", "changes", "places_of"]

# A ratio by definition: an arm to itself.
_ITSELF = Interval(1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Place:
    """One host and scenario. ahead: the quickest arm, and those it is not told from. ratios: of
    each arm's time to the baseline's.
    """

    ahead: tuple[str, ...]
    ratios: Mapping[str, Interval]

    @property
    def winner(self) -> str | None:
        """The one that is ahead of all others."""
        return self.ahead[0] if len(self.ahead) == 1 else None


@dataclass(frozen=True, slots=True)
class Change:
    """A scenario that different arms win. winners: by arm, its hosts, the most first. facts: that
    tell these hosts apart.
    """

    scenario: str
    winners: Mapping[str, Sequence[str]]
    facts: Sequence[str]

    @property
    def text(self) -> str:
        """ "mine on a, b; libc on c. They differ in cpu (...)"."""
        told = "; ".join(f"{arm} on {listed(hosts)}" for arm, hosts in self.winners.items())
        reason = "; ".join(self.facts)
        end = f"They differ in {reason}." if reason else "No main fact tells them apart."
        return f"{told}. {end}"


def places_of(run: Run) -> dict[str, Place]:
    """Of one host, by scenario; without those on which fewer than two arms were timed."""
    base = default_baseline(run.allocators)
    found = {}
    for scenario in run.scenarios:
        times = {arm: run.times[arm, scenario] for arm in run.allocators
                 if (arm, scenario) in run.times}  # fmt: skip
        if len(times) > 1:
            found[scenario] = Place(_ahead(times), dict(_ratios(times, base or "")))
    return found


def _ahead(times: Mapping[str, Times]) -> tuple[str, ...]:
    medians = {arm: float(np.nanmedian(values)) for arm, values in times.items()}
    first = min(medians, key=lambda arm: medians[arm])
    others = [arm for arm in times if arm != first and not _is_slower(times, arm, first)]
    return (first, *others)


def _is_slower(times: Mapping[str, Times], arm: str, first: str) -> bool:
    found = against(times[first], times[arm])
    return found is not None and found.ratio.lower > 1.0


def _ratios(times: Mapping[str, Times], base: str) -> Iterator[tuple[str, Interval]]:
    for arm, values in times.items():
        found = against(times.get(base), values)
        if found is not None:
            yield arm, _ITSELF if arm == base else found.ratio


def changes(
    places: Mapping[str, Mapping[str, Place]], facts: Mapping[str, Mapping[str, object]]
) -> list[Change]:
    """The scenarios with several winners. places, facts: by host."""
    scenarios = dict.fromkeys(name for found in places.values() for name in found)
    changed = []
    for scenario in scenarios:
        winners: dict[str, list[str]] = {}
        for host, found in places.items():
            if scenario in found and (winner := found[scenario].winner):
                winners.setdefault(winner, []).append(host)
        if len(winners) > 1:
            ordered = dict(sorted(winners.items(), key=lambda item: -len(item[1])))
            told = telling_facts(MAIN_FACTS, list(ordered.values()), facts)
            changed.append(Change(scenario, ordered, list(told)))
    return changed

"""One row over the hosts of a fleet: where it stands on each, on all rounds together, and in words.

    worse on all            named on every host that was judged
    worse on a, b           named on these
    hosts disagree          named as worse on some, better on others
    worse over all rounds   no single host is named, and the pooled signs are (stats/pooled.py)
    better on all, ...      likewise
    not worse               decided, and none of these
    not decided             on no host

beside them "decided on n of m": of the hosts that the fleet was to measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np

from allocphase.files.typed import Count, Figure, figures
from allocphase.stats import Decision, Interval
from allocphase.stats.pooled import PooledSigns, in_waves
from allocphase.stats.values import FloatArray
from allocphase.text.units import counted

__all__ = ["FleetRow", "HostStanding", "Pooled", "Standing", "listed", "pooled_signs"]

Bounded = Annotated[Interval, figures(Interval)]
# Of a long list of hosts so many are named.
_NAMED = 4


class Standing(StrEnum):
    """What is said of one row on one host."""

    WORSE = "worse"
    """Also with all hosts and rows in one family (Holm)."""
    FLAGGED = "flagged"
    """Worse by the host's own gate; over so many hosts that may be chance."""
    BETTER = "better"
    NOT_WORSE = "not worse"
    OPEN = "open"
    """The rounds do not tell."""
    UNSTEADY = "unsteady"
    """The host's canary moved: its times are not judged."""
    ABSENT = "absent"
    """Not measured there."""

    @property
    def decided(self) -> bool:
        """Whether the rounds have told."""
        return self in (Standing.WORSE, Standing.BETTER, Standing.NOT_WORSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStanding:
    """ratio: candidate over base on that host. rounds: that were judged; dropped: for which one of
    the arms has no value, left out for both. p: that it is worse by chance, before Holm; 1 where
    nothing flagged it.
    """

    host: str
    standing: Standing
    base: Figure
    candidate: Figure
    ratio: Bounded
    rounds: Count
    dropped: Count
    p: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """The signs of all hosts together. hosts: that gave any; rounds: signs that were read."""

    standing: Standing
    ratio: Bounded
    hosts: Count
    rounds: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRow:
    """One row. allocator: of a run, the one that is held against the baseline; empty in a gate.
    exact: a count. pooled: of times, where they are pooled at all.
    """

    metric: str
    scenario: str
    allocator: str
    unit: str
    theta: Figure
    exact: bool
    hosts: tuple[HostStanding, ...]
    pooled: Pooled | None

    @property
    def id(self) -> str:
        """As a gate's rows are named, and of a run with its allocator."""
        row = f"{self.metric}:{self.scenario}"
        return f"{row} of {self.allocator}" if self.allocator else row

    def on(self, *standings: Standing) -> list[str]:
        """The hosts where it stands so."""
        return [one.host for one in self.hosts if one.standing in standings]

    @property
    def decided(self) -> int:
        """On how many hosts."""
        return sum(one.standing.decided for one in self.hosts)

    @property
    def dropped(self) -> int:
        """Rounds that were left out for all arms, over the hosts."""
        return sum(one.dropped for one in self.hosts)

    @property
    def is_worse(self) -> bool:
        """On a host that is named, or over all rounds."""
        return bool(self.on(Standing.WORSE)) or self._pooled(Standing.WORSE)

    @property
    def is_better(self) -> bool:
        """Likewise, and nowhere worse."""
        better = bool(self.on(Standing.BETTER)) or self._pooled(Standing.BETTER)
        return better and not self.is_worse

    @property
    def finding(self) -> str:
        """In the words of this module."""
        worse, better = self.on(Standing.WORSE), self.on(Standing.BETTER)
        if worse and better:
            return f"hosts disagree: worse on {listed(worse)}; better on {listed(better)}"
        if worse:
            return self._where("worse", worse)
        if self._pooled(Standing.WORSE):
            return "worse over all rounds"
        if better:
            return self._where("better", better)
        if self._pooled(Standing.BETTER):
            return "better over all rounds"
        return "not worse" if self.decided else "not decided"

    @property
    def decided_text(self) -> str:
        """ "decided on 2 of 3"."""
        return f"decided on {self.decided} of {len(self.hosts)}"

    def _where(self, word: str, hosts: Sequence[str]) -> str:
        judged = len(self.hosts) - len(self.on(Standing.ABSENT, Standing.UNSTEADY))
        is_all = len(hosts) == judged and judged > 1
        return f"{word} on all" if is_all else f"{word} on {listed(hosts)}"

    def _pooled(self, standing: Standing) -> bool:
        return self.pooled is not None and self.pooled.standing is standing


def listed(hosts: Sequence[str]) -> str:
    """ "a, b, c"; of many the first ones: "17 hosts (a, b, c, d, ...)"."""
    if len(hosts) <= _NAMED:
        return ", ".join(hosts)
    return f"{counted(len(hosts), 'host')} ({', '.join(hosts[:_NAMED])}, ...)"


def pooled_signs(
    ratios: Mapping[str, FloatArray], *, waves: int, theta: float, alpha: float, rows: int
) -> Pooled | None:
    """Of all hosts' log ratios by round; None of fewer than two hosts, which have their own rows.

    waves: rounds that a host could have had. alpha: of worse and of better alike, over `rows`.
    """
    found = {host: x for host, x in ratios.items() if np.isfinite(x).any()}
    if len(found) < 2:
        return None
    rule = PooledSigns(
        hosts=len(found),
        waves=waves,
        theta=theta,
        alpha=alpha,
        better_error=alpha,
        rows=rows,
    )
    signs = in_waves(_table(found, waves))
    outcome = rule.decide(signs)
    standing = _STANDINGS[outcome.decision]
    if standing is Standing.NOT_WORSE and rule.improved(signs):
        standing = Standing.BETTER
    flagged = standing is Standing.WORSE
    return Pooled(
        standing=standing,
        # A flagged row's ratio is of the rounds up to its decision, as a host's own is.
        ratio=outcome.ratio if flagged else rule.interval(signs).exp(),
        hosts=len(found),
        rounds=outcome.rounds if flagged else int(signs.size),
    )


_STANDINGS = {
    Decision.REGRESSED: Standing.WORSE,
    Decision.NOT_REGRESSED: Standing.NOT_WORSE,
    Decision.UNDECIDED: Standing.OPEN,
}


def _table(ratios: Mapping[str, FloatArray], waves: int) -> FloatArray:
    """Shape (hosts, waves), NaN where a host has no such round."""
    table = np.full((len(ratios), waves), np.nan)
    for row, x in zip(table, ratios.values(), strict=True):
        row[: x.size] = x[:waves]
    return table

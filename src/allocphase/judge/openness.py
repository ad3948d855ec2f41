"""How many inconclusive rows are too many: the family's budget for "these rounds do not tell".

A gate of many rows always has some that noise leaves open; failing for each would make it red by
itself. So the rows together have a level, as those that regress have: the session is inconclusive
if more rows are open than identical arms would leave in noise like today's, at ERROR. What a row
adds is its own chance (stats.forecast): one that nothing could decide here counts for nothing, and
is told with the limit that could be. Rows out of the same processes are open together, so they are
one coin, as likely as all of their chances added up. The coins are unequal (Poisson binomial).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from allocphase.probe.probe import Probe

__all__ = ["Openness", "Told", "openness"]

# How often a session in which nothing changed may have too many.
ERROR = 0.05
# A session that decides fewer of its times than that has not looked.
LEAST_DECIDED = 0.5


@dataclass(frozen=True, slots=True)
class Openness:
    """rows: inconclusive ones; expected: as many as noise explains; chance: that it leaves at
    least so many. blind: more than half of the times are open, whatever explains it.
    """

    rows: int
    expected: float
    chance: float
    blind: bool

    @property
    def too_many(self) -> bool:
        """Whether the session as a whole cannot be told."""
        return self.blind or (self.rows > 0 and self.chance < ERROR)


@dataclass(frozen=True, slots=True)
class Told:
    """A row: out of which processes, whether it is inconclusive, and how often it would be though
    nothing had changed.
    """

    cell: tuple[str, Probe]
    is_open: bool
    chance: float


def openness(rows: Sequence[Told]) -> Openness:
    """Of the rows of a session that do not fail by themselves."""
    chances: dict[tuple[str, Probe], float] = {}
    for row in rows:
        chances[row.cell] = min(1.0, chances.get(row.cell, 0.0) + row.chance)
    open_cells = {row.cell for row in rows if row.is_open}
    times = [row for row in rows if row.cell[1].timed]
    return Openness(
        rows=sum(row.is_open for row in rows),
        expected=sum(row.chance for row in rows),
        chance=_at_least(len(open_cells), chances.values()),
        blind=sum(row.is_open for row in times) > (1.0 - LEAST_DECIDED) * len(times),
    )


def _at_least(count: int, chances: Iterable[float]) -> float:
    """The chance that so many or more of independent events happen."""
    distribution = np.ones(1)
    for chance in chances:
        distribution = np.convolve(distribution, [1.0 - chance, chance])
    return float(min(1.0, distribution[count:].sum()))

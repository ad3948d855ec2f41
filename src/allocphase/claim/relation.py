"""The relation that a claim states between a measured figure and its bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from allocphase.claim.fields import Fields
from allocphase.claim.verdict import Verdict
from allocphase.stats import Interval
from allocphase.stats.values import FloatArray

__all__ = ["RELATION_KEYS", "Relation", "rounding"]

_KINDS = ("equals", "at_most", "at_least", "about")
_MARGINS = ("tolerance", "within")
RELATION_KEYS = (*_KINDS, *_MARGINS, "tied_to")


Format = Callable[[float], str]


def rounding(bound: float) -> float:
    """How far beyond a bound is equal to it: bounds are written in decimals and figures are
    quotients, and equal to the ninth digit is equal.
    """
    return 1e-9 * abs(bound)


@dataclass(frozen=True, slots=True)
class Relation:
    """All values in [low, high] satisfy the claim; `bound` is the figure that it names.

    tied_to: what the figure depends on that another machine, or another implementation, does not
    share; then a value outside is no contradiction. Empty where the figure travels.
    """

    kind: str
    bound: float
    low: float
    high: float
    margin: str
    tied_to: str = ""

    @classmethod
    def read(
        cls, fields: Fields, published: Mapping[str, float], *, share: bool = False
    ) -> Relation:
        """From `at_most = 3.0`, or `about = 54` with `tolerance` (a share of it, either way as a
        factor) or `within` (absolute). The bound may be the name of a published figure. With
        any of them, `tied_to`: see the class. share: the figure is one, and so are its bounds.

        Raises UsageError.
        """
        kinds = [key for key in _KINDS if key in fields]
        margins = [key for key in _MARGINS if key in fields]
        if len(kinds) != 1:
            raise fields.fail(" / ".join(_KINDS), "one of them is needed, and only one")
        if len(margins) != (kinds[0] == "about"):
            raise fields.fail(" / ".join(_MARGINS), "goes with about: one of them, and only there")
        kind, bound = kinds[0], fields.figure(kinds[0], published, share=share)
        margin = 0.0
        if margins:
            relative = margins == ["tolerance"]
            margin = (fields.share if relative or share else fields.number)(margins[0])
            if margin < 0 or (relative and bound <= 0):
                raise fields.fail(margins[0], "wants a positive bound, and is itself not negative")
        low, high = _range(kind, bound, margin, relative=margins == ["tolerance"])
        tied_to = fields.text("tied_to") if "tied_to" in fields else ""
        return cls(kind, bound, low, high, margins[0] if margins else "", tied_to)

    def text(self, scaled: Format) -> str:
        """ "at most 3.00x", "about 54.0x (43.2x to 67.5x)"."""
        if self.kind == "equals":
            return scaled(self.bound)
        named = f"{self.kind.replace('_', ' ')} {scaled(self.bound)}"
        return f"{named} ({scaled(self.low)} to {scaled(self.high)})" if self.margin else named

    def judge_values(self, values: FloatArray) -> Verdict:
        """A count, shape (processes,): it holds where it does in each process, and is contradicted
        where it does in none.
        """
        slack = rounding(self.bound)
        holds = (self.low - slack <= values) & (values <= self.high + slack)
        if holds.all():
            return Verdict.REPRODUCED
        return Verdict.INCONCLUSIVE if holds.any() else self._outside

    def judge_interval(self, interval: Interval) -> Verdict:
        """A timing: only the whole interval decides."""
        slack = rounding(self.bound)
        if interval.within(self.low - slack, self.high + slack):
            return Verdict.REPRODUCED
        if interval.lower > self.high + slack or interval.upper < self.low - slack:
            return self._outside
        return Verdict.INCONCLUSIVE

    @property
    def _outside(self) -> Verdict:
        return Verdict.DIFFERS_HERE if self.tied_to else Verdict.CONTRADICTED


def _range(kind: str, bound: float, margin: float, *, relative: bool) -> tuple[float, float]:
    if kind == "at_most":
        return -math.inf, bound
    if kind == "at_least":
        return bound, math.inf
    if relative:
        return bound / (1.0 + margin), bound * (1.0 + margin)
    return bound - margin, bound + margin

"""What can be said of a check, and of a claim that makes several."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

__all__ = ["Verdict", "combine"]


class Verdict(StrEnum):
    """In order of precedence: the first that any check has is the claim's."""

    INCONSISTENT = "inconsistent"
    """The source's own figures contradict the claim, whatever was measured."""
    CONTRADICTED = "contradicted"
    """Measured, and outside what the claim allows; a timing with its whole interval."""
    INCONCLUSIVE = "inconclusive"
    """Measured, and the interval lies on both sides, or the rounds are too few for one."""
    NOT_MEASURED = "not measured"
    """A cell that the check needs is absent, or failed."""
    REPRODUCED = "reproduced"
    """Measured, and as claimed; a timing with its whole interval."""
    NOT_COMPARABLE = "not comparable"
    """An absolute time of another machine: what was measured here says nothing of it."""
    CONSISTENT = "consistent"
    """The source's own figures agree; there was nothing to measure."""


def combine(verdicts: Collection[Verdict]) -> Verdict:
    """The verdict on a claim from those of its checks, of which there is one at least."""
    return next(verdict for verdict in Verdict if verdict in verdicts)

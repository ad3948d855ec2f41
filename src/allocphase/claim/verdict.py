"""What can be said of a check, and of a claim that makes several."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

__all__ = ["Verdict", "combine"]


class Verdict(StrEnum):
    """In order of precedence: the first that any check has is the claim's (but see combine)."""

    INCONSISTENT = "inconsistent"
    """The source's own figures contradict the claim, whatever was measured."""
    CONTRADICTED = "contradicted"
    """Measured, and outside what the claim allows; a timing with its whole interval."""
    INCONCLUSIVE = "inconclusive"
    """Measured, and the interval or the processes lie on both sides, or are too few for one."""
    NOT_MEASURED = "not measured"
    """A cell that the check needs is absent, failed, or says nothing of that figure."""
    DIFFERS_HERE = "differs here"
    """Measured, and outside what the claim allows, of a figure that need not travel."""
    IN_PART = "reproduced in part"
    """Of a claim, never of a check: some parts reproduced, the others not comparable."""
    REPRODUCED = "reproduced"
    """Measured, and as claimed; a timing with its whole interval."""
    NOT_COMPARABLE = "not comparable"
    """An absolute time of another machine: what was measured here says nothing of it."""
    CONSISTENT = "consistent"
    """The source's own figures agree; there was nothing to measure."""
    NOTED = "noted"
    """A figure that stands beside the others and decides nothing."""


def combine(verdicts: Collection[Verdict]) -> Verdict:
    """The verdict on a claim from those of its checks, of which there is one at least.

    A claim is not reproduced as a whole where a part of it cannot be compared.
    """
    first = next(verdict for verdict in Verdict if verdict in verdicts)
    if first is Verdict.REPRODUCED and Verdict.NOT_COMPARABLE in verdicts:
        return Verdict.IN_PART
    return first

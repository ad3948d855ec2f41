"""Arithmetic on the published figures alone: does the source agree with itself?

    operation = "ratio"           how figures give another one
    of = ["phase2_ns", "phase1_ns"]
    equals = "slower_ratio"       the published figure that is tested
    tolerance = 0.05              the share by which it may be off: rounding, "about"

Or against a bound, for what a source puts in words ("slightly slower"): `at_most`, `at_least`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from allocphase.claim.evidence import Evidence
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Finding, Need, scaled
from allocphase.claim.relation import rounding
from allocphase.claim.verdict import Verdict

__all__ = ["KEYS", "Arithmetic"]

_BOUNDS = ("at_most", "at_least")
KEYS = ("operation", "of", "equals", "tolerance", *_BOUNDS)


@dataclass(frozen=True, slots=True)
class _Operation:
    """unit: what `scaled` prints its outcome by, where no published figure says."""

    operands: int
    unit: str
    formula: str
    apply: Callable[..., float]


_OPERATIONS = {
    "ratio": _Operation(2, "ratio", "{0} / {1}", lambda a, b: a / b),
    "reduction": _Operation(
        2, "reduction", "1 - {0} / {1}", lambda after, before: 1.0 - after / before
    ),
    "gain": _Operation(2, "gain", "{0} / {1} - 1", lambda a, b: a / b - 1.0),
    "product": _Operation(2, "count", "{0} x {1}", lambda a, b: a * b),
    "rate": _Operation(1, "count", "1 s / {0}", lambda each_ns: 1e9 / each_ns),
}


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`figures` are the operands with their names; all outcomes in [low, high] agree, which
    has room for rounding.

    unit: of the outcome, as `scaled` knows it.
    """

    form: ClassVar[str] = "arithmetic"
    operation: str
    figures: tuple[tuple[str, float], ...]
    unit: str
    expected: str
    low: float
    high: float

    @classmethod
    def read(cls, fields: Fields, published: Mapping[str, float]) -> Arithmetic:
        """Raises UsageError."""
        name = fields.choice("operation", _OPERATIONS)
        operation, names = _OPERATIONS[name], fields.texts("of")
        if len(names) != operation.operands:
            raise fields.fail("of", f"{name} takes {operation.operands} published figures")
        figures = tuple((each, fields.named("of", each, published)) for each in names)
        if any(value <= 0 for _, value in figures):
            raise fields.fail("of", "takes positive figures")
        if any(key in fields for key in _BOUNDS):
            return cls(name, figures, operation.unit, *_bound(fields, published, operation.unit))
        equals = fields.text("equals")
        value = fields.named("equals", equals, published)
        slack = fields.share("tolerance") * abs(value) + rounding(value)
        return cls(name, figures, equals, scaled(equals, value), value - slack, value + slack)

    @property
    def needs(self) -> tuple[Need, ...]:
        """Nothing is run for it."""
        return ()

    @property
    def subject(self) -> str:
        """The formula with its figures."""
        printed = [scaled(name, value) for name, value in self.figures]
        return f"its own figures: {_OPERATIONS[self.operation].formula.format(*printed)}"

    def judge(self, evidence: Evidence) -> Finding:  # noqa: ARG002 (figures of the source only)
        """Consistent or inconsistent."""
        computed = _OPERATIONS[self.operation].apply(*(value for _, value in self.figures))
        agrees = self.low <= computed <= self.high
        return Finding(
            form=self.form,
            subject=self.subject,
            verdict=Verdict.CONSISTENT if agrees else Verdict.INCONSISTENT,
            expected=self.expected,
            measured=scaled(self.unit, computed),
            value=computed,
        )


def _bound(fields: Fields, published: Mapping[str, float], unit: str) -> tuple[str, float, float]:
    """What is expected in words, and the least and the most that satisfy it. Raises UsageError."""
    given = [key for key in ("equals", "tolerance", *_BOUNDS) if key in fields]
    if len(given) > 1:
        raise fields.fail(" / ".join(given), "one of equals with tolerance, at_most, at_least")
    (key,) = given
    value = fields.figure(key, published)
    slack = rounding(value)
    low, high = (-math.inf, value + slack) if key == "at_most" else (value - slack, math.inf)
    return f"{key.replace('_', ' ')} {scaled(unit, value)}", low, high

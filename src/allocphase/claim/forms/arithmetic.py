"""Arithmetic on the published figures alone: does the source agree with itself?

equals = "slower_ratio"       the published figure that is tested
operation = "ratio"           how the others give it
of = ["phase2_ns", "phase1_ns"]
tolerance = 0.05              the share by which it may be off: rounding, "about"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from allocphase.claim.evidence import Evidence
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Finding, Need, scaled
from allocphase.claim.verdict import Verdict

__all__ = ["KEYS", "Arithmetic"]

KEYS = ("operation", "of", "equals", "tolerance")


@dataclass(frozen=True, slots=True)
class _Operation:
    operands: int
    formula: str
    apply: Callable[..., float]


_OPERATIONS = {
    "ratio": _Operation(2, "{0} / {1}", lambda a, b: a / b),
    "reduction": _Operation(2, "1 - {0} / {1}", lambda after, before: 1.0 - after / before),
    "gain": _Operation(2, "{0} / {1} - 1", lambda a, b: a / b - 1.0),
    "product": _Operation(2, "{0} x {1}", lambda a, b: a * b),
    "rate": _Operation(1, "1 s / {0}", lambda each_ns: 1e9 / each_ns),
}


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`figures` are the operands with their names."""

    form: ClassVar[str] = "arithmetic"
    operation: str
    figures: tuple[tuple[str, float], ...]
    name: str
    value: float
    tolerance: float

    @classmethod
    def read(cls, fields: Fields, published: Mapping[str, float]) -> Arithmetic:
        """Raises UsageError."""
        operation = fields.choice("operation", _OPERATIONS)
        names = fields.texts("of")
        if len(names) != _OPERATIONS[operation].operands:
            wanted = _OPERATIONS[operation].operands
            raise fields.fail("of", f"{operation} takes {wanted} published figures")
        figures = tuple((name, fields.named("of", name, published)) for name in names)
        if any(value <= 0 for _, value in figures):
            raise fields.fail("of", "takes positive figures")
        name = fields.text("equals")
        value = fields.named("equals", name, published)
        tolerance = fields.number("tolerance")
        if tolerance < 0:
            raise fields.fail("tolerance", "must not be negative")
        return cls(operation, figures, name, value, tolerance)

    @property
    def needs(self) -> tuple[Need, ...]:
        """Nothing is run for it."""
        return ()

    @property
    def subject(self) -> str:
        """The formula with its figures."""
        printed = [scaled(name, value) for name, value in self.figures]
        return f"its own figures: {_OPERATIONS[self.operation].formula.format(*printed)}"

    @property
    def expected(self) -> str:
        """The figure that the source gives."""
        return scaled(self.name, self.value)

    def judge(self, evidence: Evidence) -> Finding:  # noqa: ARG002 (figures of the source only)
        """Consistent or inconsistent."""
        computed = _OPERATIONS[self.operation].apply(*(value for _, value in self.figures))
        agrees = abs(computed - self.value) <= self.tolerance * abs(self.value)
        return Finding(
            form=self.form,
            subject=self.subject,
            verdict=Verdict.CONSISTENT if agrees else Verdict.INCONSISTENT,
            expected=self.expected,
            measured=scaled(self.name, computed),
            value=computed,
        )

"""Profiles of two allocators that nobody has measured."""

from __future__ import annotations

from allocphase.profile.stacks import Frame, Kind, Profile

__all__ = ["MARKUP", "PROFILES"]

MARKUP = "<b>markup</b>&"


def _frame(name: str, kind: Kind = Kind.ALLOCATOR, source: str = "") -> Frame:
    return Frame(name, "kernel" if kind is Kind.KERNEL else "mine.so", kind, source)


_MALLOC, _FREE, _SLOW = _frame("malloc", source="mine.c:7"), _frame("free"), _frame("slow")
_FAULT = _frame("page fault", Kind.KERNEL)


def _profile(name: str, per_op: float) -> Profile:
    return Profile(
        allocator=name,
        tool="callgrind",
        unit="instructions",
        stacks={
            (_MALLOC,): 40,
            (_MALLOC, _SLOW): 12,
            (_MALLOC, _SLOW, _frame(MARKUP, Kind.OTHER)): 5,
            (_MALLOC, _SLOW, _FAULT): 3,
            (_FREE,): 30,
            (_FREE, _SLOW): 10,
        },
        rest={"the replay itself": 100},
        how="by hand",
        per_op=per_op,
        op_unit="instructions",
        notes=("a note",),
    )


PROFILES = (_profile("mine", 20.0), _profile(MARKUP, 50.0))

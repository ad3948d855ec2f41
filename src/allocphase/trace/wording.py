"""An operation in words: one form, wherever one is named (driver/session.c has the same)."""

from __future__ import annotations

from allocphase.operation import Kind
from allocphase.text.units import plural

__all__ = ["operation_text"]


def operation_text(kind: int, size: int, slot: int, *, align_log2: int = 0) -> str:
    """Such as "malloc, 64 bytes, slot 2"; an alignment where there is one, in bytes."""
    name = Kind(kind).name.lower()
    unit = plural("time" if kind == Kind.WRITE else "byte", size)
    aligned = f" at a multiple of {1 << align_log2}" if align_log2 else ""
    return f"{name}, {size} {unit}{aligned}, slot {slot}"

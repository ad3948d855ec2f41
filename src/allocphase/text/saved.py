"""Time saved, in words: its sign is in the verb, so that nobody has to know which way it counts.

Under a heading that says "saved" a table has signed figures instead; `format_ns_range` is theirs.
"""

from __future__ import annotations

import math

from allocphase.text.units import format_ns, format_ns_range

__all__ = ["saved_bounds", "saved_phrase", "saved_words"]


def saved_words(saved_ns: float, *, undecided: bool = False) -> str:
    """3.14 -> "saves 3.14 ns", -3.14 -> "costs 3.14 ns"; undecided: "saves ~3.14 ns"."""
    verb = "costs" if saved_ns < 0.0 else "saves"
    return f"{verb} {'~' if undecided else ''}{format_ns(abs(saved_ns))}"


def saved_bounds(saved_ns: float, lower: float, upper: float) -> str:
    """ "2.81 to 3.40 ns": the interval, counting as the verb does; empty where a side is open."""
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return ""
    low, high = (-upper, -lower) if saved_ns < 0.0 else (lower, upper)
    return format_ns_range(low, high)


def saved_phrase(saved_ns: float, lower: float, upper: float) -> str:
    """ "saves 3.14 ns (2.81 to 3.40 ns)"; where a side is open, that the rounds were too few."""
    bounds = saved_bounds(saved_ns, lower, upper) or "too few rounds for an interval"
    return f"{saved_words(saved_ns)} ({bounds})"

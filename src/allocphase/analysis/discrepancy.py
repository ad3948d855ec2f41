"""Where time and instructions do not tell the same, and which other figures moved with the rest.

Instructions are the allocator's own, and blind to the kernel, page faults and caches: a time may
move without them, and they without the time. What moved in the same direction as the part that
instructions do not tell is named, with its figures; what nobody has counted is named as that. No
cause is claimed: figures that move together are no proof.

Place in the pipeline: what a comparison, a verdict or a report has found of one arm over another,
to sentences.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from allocphase.analysis.measures import Measure
from allocphase.analysis.metric_names import measure
from allocphase.stats import Interval
from allocphase.text.units import format_in

__all__ = ["INSTRUCTIONS", "TIME", "WITNESSES", "Change", "discrepancy"]

TIME, INSTRUCTIONS = measure("time"), measure("instructions")

# What a time may go into that is no instruction of the allocator's, and the figures that count it.
# To have one more looked at: a line here.
WITNESSES: tuple[tuple[str, Measure], ...] = (
    ("page faults", measure("steady_page_faults_per_op")),
    ("the kernel", measure("steady_syscalls_per_op")),
    ("page faults", measure("page_faults")),
    ("the kernel", measure("syscalls")),
    ("page faults", measure("peak_rss")),
)
_PLACES = ("page faults", "the kernel", "caches", "branch prediction")

# Less of a time is noise of layout; less of instructions is that of processes that differ
# (Measure.spread); less of a witness explains no time.
LEAST_TIME, LEAST_INSTRUCTIONS, LEAST_WITNESS = 0.02, 0.005, 0.05
# Two changes tell the same where the one is more than this part of the other, of their logarithms:
# the replay's own time, which no instruction of the allocator's is in, takes a part of every time.
SAME = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure of two arms, in the measure's unit. ratio: candidate over base, infinite over
    nothing, with an interval of a time, of a count between the farthest ends of what its processes
    counted.
    """

    measure: Measure
    base: float
    candidate: float
    ratio: Interval

    @property
    def log_ratio(self) -> float:
        """Above 0 where the candidate has more; NaN without both."""
        estimate = self.ratio.estimate
        return math.log(estimate) if estimate > 0 else -math.inf if estimate == 0 else math.nan

    def moved(self, least: float) -> bool:
        """Whether it is surely another, and by that share at least."""
        sure = self.ratio.lower > 1 or self.ratio.upper < 1
        return sure and abs(self.log_ratio) >= math.log1p(least)


def discrepancy(
    time: Change, instructions: Change, others: Sequence[Change], *, name: str, base: str
) -> str:
    """One or two sentences, "" where both tell the same or neither moved. `name`, `base`: what the
    arms are called; others: whatever else was counted of both.
    """
    ran, told = time.log_ratio, instructions.log_ratio
    if math.isnan(ran) or math.isnan(told):
        return ""
    if time.moved(LEAST_TIME):
        if ran * told > 0 and abs(told) > SAME * abs(ran):
            return ""
        alone = instructions.moved(LEAST_INSTRUCTIONS) and ran * told < 0
        head = f"{name} takes {_ratio(time)} of the time of {base}{_bounds(time)}, "
        head += "although" if alone else "and"
        head += f" {_ratio(instructions)} of its instructions"
        if not alone:
            head += ": they tell less than half of that"
        return f"{head}. {_rest(others, up=ran > 0)}"
    if instructions.moved(LEAST_INSTRUCTIONS) and not _is_within_reach(time, told):
        head = (
            f"{name} takes {_ratio(instructions)} of the instructions of {base}, and its time does "
            f"not follow: {_ratio(time)}{_bounds(time)}"
        )
        return f"{head}. {_rest(others, up=told < 0)}"
    return ""


def _is_within_reach(time: Change, told: float) -> bool:
    """Whether the time's interval holds as much as would follow from the instructions."""
    followed = math.exp(SAME * told)
    return not (time.ratio.upper < followed if told > 0 else time.ratio.lower > followed)


def _rest(others: Iterable[Change], *, up: bool) -> str:
    """Of what was counted beside, what moved `up` or down."""
    seen = {one.measure.name: one for one in others}
    known = [(place, seen[one.name]) for place, one in WITNESSES if one.name in seen]
    moved = [one for _, one in known if one.moved(LEAST_WITNESS) and (one.log_ratio > 0) == up]
    unseen = [place for place in _PLACES if place not in {place for place, _ in known}]
    direction = "more" if up else "less"
    if moved:
        text = f"What else is {direction}: {'; '.join(map(_told, moved))}"
    elif known:
        names = dict.fromkeys(one.measure.title for _, one in known)
        text = f"Of what was counted beside ({', '.join(names)}), nothing is {direction}"
    else:
        text = "Nothing that could account for it was counted beside"
    return f"{text}; not counted: {_listed(unseen)}." if unseen else f"{text}."


def _told(one: Change) -> str:
    values = (format_in(one.measure.unit, value) for value in (one.base, one.candidate))
    return f"{one.measure.title}, {' to '.join(values)}"


def _ratio(one: Change) -> str:
    return f"{_fine(one.ratio.estimate)}x"


def _bounds(one: Change) -> str:
    found = one.ratio
    return f" ({_fine(found.lower)} to {_fine(found.upper)}x)" if found.bounded else ""


def _fine(ratio: float) -> str:
    """With the tenth of a per cent that a gate tells."""
    return f"{ratio:.3f}" if ratio < 10 else f"{ratio:,.1f}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"

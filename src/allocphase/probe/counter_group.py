"""Readings of a group of the kernel's counters (perf_event_open(2), PERF_FORMAT_GROUP).

driver/probes/counter_group.c takes them and looks into none. A reading is, in 64-bit words:

    events, enabled ns, running ns, {value, id} for each event

in whatever order. The group counted as long as it ran. Where it was enabled for longer than that,
others had the counters in between, and whoever scales what was counted up guesses what was not: no
such figure is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["HARDWARE_COUNTERS", "HARDWARE_EVENTS", "GroupPass", "passes_of", "refusal"]

# What a process lacks that has no figure of them: driver/probes/hardware.c.
HARDWARE_COUNTERS = "hardware counters"
# The processor's that the driver opens.
HARDWARE_EVENTS = (
    "instructions",
    "cycles",
    "branch_misses",
    "l1d_misses",
    "ll_misses",
    "dtlb_misses",
)
_HEAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPass:
    """Between two readings: for how long the group was enabled, for how long it counted, both in
    nanoseconds over all threads, and by event's name how many there were.
    """

    enabled_ns: int
    running_ns: int
    counts: Mapping[str, int]


def passes_of(readings: Sequence[Sequence[int]], events: Mapping[str, int]) -> list[GroupPass]:
    """One less than there are readings. events: the id of each.

    Raises ValueError for what is no reading of that group, or runs backwards.
    """
    decoded = [_decoded(words, events) for words in readings]
    found = []
    for before, after in pairwise(decoded):
        one = GroupPass(
            enabled_ns=after.enabled_ns - before.enabled_ns,
            running_ns=after.running_ns - before.running_ns,
            counts={name: after.counts[name] - before.counts[name] for name in events},
        )
        if min(one.enabled_ns, one.running_ns, *one.counts.values()) < 0:
            raise ValueError("counters that run backwards")
        found.append(one)
    return found


def _decoded(words: Sequence[int], events: Mapping[str, int]) -> GroupPass:
    """Since the group was opened."""
    if len(words) < _HEAD or len(words) != _HEAD + 2 * words[0] or words[0] != len(events):
        raise ValueError("no reading of a group of counters")
    by_id = {words[i + 1]: words[i] for i in range(_HEAD, len(words), 2)}
    if by_id.keys() != set(events.values()):
        raise ValueError("a reading of other counters")
    return GroupPass(
        enabled_ns=words[1],
        running_ns=words[2],
        counts={name: by_id[one] for name, one in events.items()},
    )


def refusal(passes: Sequence[GroupPass]) -> str:
    """Why what was counted is no figure; "" where it is one."""
    enabled_ns = sum(one.enabled_ns for one in passes)
    running_ns = sum(one.running_ns for one in passes)
    if not passes or not enabled_ns:
        return "the kernel gave no reading"
    if not running_ns:
        return "they never ran: others hold the counters, such as the kernel's NMI watchdog or perf"
    if any(one.running_ns < one.enabled_ns for one in passes):
        share = running_ns / enabled_ns
        return f"multiplexed: others had the counters, and these ran {share:.0%} of the time"
    return ""

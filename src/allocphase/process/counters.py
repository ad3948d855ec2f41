"""A process's counters, where they have counted nothing that may be told."""

from __future__ import annotations

from dataclasses import replace

from allocphase.probe.counter_group import HARDWARE_COUNTERS, passes_of, refusal
from allocphase.probe.result import Result

__all__ = ["without_refused"]


def without_refused(result: Result) -> Result:
    """Without the readings of a group that had to share the processor's counters; what the result
    lacks then says why. Others as they are.
    """
    part = result.hardware
    if part is None or not part.events:
        return result
    why = refusal(passes_of(part.readings, part.events))
    if not why:
        return result
    return replace(
        result,
        hardware=replace(part, events={}, readings=()),
        lacks=(*result.lacks, f"{HARDWARE_COUNTERS}: {why}"),
    )

"""What is left of a result whose counters had to be shared."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from allocphase.probe.counter_group import HARDWARE_COUNTERS
from allocphase.probe.result import Hardware, Result
from allocphase.process.counters import without_refused


def result_of(*readings: Sequence[int]) -> Result:
    part = Hardware(events={"cycles": 4}, replays_per_pass=3, readings=tuple(map(tuple, readings)))
    return Result(hardware=part, lacks=("pinning to a CPU: not here",))


def test_counters_that_ran_all_the_time_stay() -> None:
    result = result_of((1, 0, 0, 0, 4), (1, 100, 100, 900, 4))
    assert without_refused(result) is result


@pytest.mark.parametrize(
    ("readings", "why"),
    [
        ([(1, 0, 0, 0, 4), (1, 100, 50, 900, 4)], "multiplexed: others had the counters"),
        ([(1, 0, 0, 0, 4), (1, 100, 0, 0, 4)], "they never ran"),
        ([(1, 0, 0, 0, 4)], "the kernel gave no reading"),
    ],
)
def test_others_are_gone_and_the_result_says_why(
    readings: Sequence[Sequence[int]], why: str
) -> None:
    found = without_refused(result_of(*readings))
    assert found.hardware is not None
    assert (found.hardware.events, found.hardware.readings) == ({}, ())
    assert found.lacks[0] == "pinning to a CPU: not here"
    assert found.lacking(HARDWARE_COUNTERS).startswith(why)


def test_a_result_without_counters_is_as_it_was() -> None:
    for result in (Result(), Result(hardware=Hardware())):
        assert without_refused(result) is result

"""Readings of counters: recorded ones, and what is no figure."""

from __future__ import annotations

import re

import pytest

from allocphase.files.typed import FieldError
from allocphase.probe.counter_group import HARDWARE_EVENTS, passes_of, refusal
from allocphase.probe.probe import Probe
from allocphase.probe.result import Hardware, Result, check_result
from allocphase.probe.status import Status
from tests.support.plugins import ROOT


def test_the_driver_opens_the_events_that_metrics_are_named_by() -> None:
    text = (ROOT / "driver" / "probes" / "counter_group.c").read_text(encoding="utf-8")
    table = text.partition("hardware[MOST_COUNTERS] = {\n")[2].partition("};")[0]
    assert tuple(re.findall(r'\{"(\w+)"', table)) == HARDWARE_EVENTS


# A driver's own: three passes of 20 ms on a kernel 6.18, its software events.
KERNELS = {"task_clock": 66269, "page_faults": 66270, "minor_faults": 66271}
RECORDED = [
    (3, 15548181, 15548181, 15548412, 66269, 27, 66270, 27, 66271),
    (3, 34934009, 34934009, 34934239, 66269, 27, 66270, 27, 66271),
    (3, 54746981, 54746981, 54747221, 66269, 31, 66270, 30, 66271),
]
# As the manual describes a processor's, of a group that was put on the counters late.
PROCESSORS = {"instructions": 71, "cycles": 72}


def test_a_pass_is_what_lies_between_two_readings() -> None:
    first, second = passes_of(RECORDED, KERNELS)
    assert first.counts == {"task_clock": 19385827, "page_faults": 0, "minor_faults": 0}
    assert second.counts == {"task_clock": 19812982, "page_faults": 4, "minor_faults": 3}
    assert (second.enabled_ns, second.running_ns) == (19812972, 19812972)
    assert refusal([first, second]) == ""


def test_values_go_by_their_ids_in_whatever_order() -> None:
    readings = [(2, 10, 10, 500, 72, 900, 71), (2, 30, 30, 1500, 72, 4900, 71)]
    (found,) = passes_of(readings, PROCESSORS)
    assert found.counts == {"instructions": 4000, "cycles": 1000}


@pytest.mark.parametrize(
    ("running", "words"),
    [
        (400, "multiplexed: others had the counters, and these ran 61% of the time"),
        (0, "they never ran: others hold the counters"),
    ],
)
def test_what_did_not_count_all_the_time_is_refused(running: int, words: str) -> None:
    readings = [(1, 0, 0, 0, 71), (1, 655, running, 900, 71)]
    found = passes_of(readings, {"instructions": 71})
    assert refusal(found).startswith(words)


def test_one_pass_that_had_to_share_is_enough_to_refuse() -> None:
    readings = [(1, 0, 0, 0, 71), (1, 100, 100, 9, 71), (1, 200, 199, 18, 71)]
    assert "multiplexed" in refusal(passes_of(readings, {"instructions": 71}))


def test_no_reading_is_no_figure() -> None:
    assert refusal(passes_of([], PROCESSORS)) == "the kernel gave no reading"


@pytest.mark.parametrize(
    "readings",
    [
        pytest.param([()], id="nothing"),
        pytest.param([(2, 10, 10, 500, 72)], id="cut off"),
        pytest.param([(1, 10, 10, 500, 72)], id="of fewer"),
        pytest.param([(2, 10, 10, 500, 72, 900, 73)], id="of others"),
        pytest.param([(2, 9, 9, 5, 72, 9, 71), (2, 9, 9, 4, 72, 9, 71)], id="backwards"),
    ],
)
def test_what_is_no_reading_of_the_group_is_refused_with_its_key(
    readings: list[tuple[int, ...]],
) -> None:
    result = Result(hardware=Hardware(events=PROCESSORS, readings=tuple(readings)))
    with pytest.raises(FieldError, match=r"^hardware\.readings: "):
        check_result(Probe.HARDWARE, Status.OK, result)

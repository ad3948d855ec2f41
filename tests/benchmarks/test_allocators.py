"""Our own allocators beside libc, recorded by the plug-in that users have: docs/pytest.md."""

from __future__ import annotations

import pytest

from allocphase.pytest_plugin.fixture import MeasureCell

ALLOCATORS = ("libc", "original", "phase1", "phase2", "phase21", "phase3", "ariax")
SCENARIOS = ("phase-report", "random-churn")
SMALL = {"phase-report": "phase-report", "random-churn": "random-churn?operations=10000"}


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_an_allocator_maps_at_least_what_is_live(
    allocator: str, scenario: str, full: bool, allocphase_cell: MeasureCell
) -> None:
    chosen = scenario if full else SMALL[scenario]
    cell = allocphase_cell(allocator, chosen, probes=("syscalls", "memory"))
    assert cell.peak_mapped_bytes >= cell.peak_live_bytes > 0

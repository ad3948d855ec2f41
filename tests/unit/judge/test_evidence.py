"""The values of the arms: each process's own, or those of passes that met with the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from allocphase.analysis.measures import MEASURES
from allocphase.judge import BASELINE, CANDIDATE, TWIN, Evidence
from allocphase.judge.evidence import Values
from tests.support.runs import process

# A neighbour is there in the turns 2 to 4, of five.
MACHINE = np.array([1.0, 1.0, 1.5, 1.5, 1.5])


def values(passes: Mapping[str, Sequence[float]], *, turns: Mapping[str, int]) -> Values:
    """Of one round."""
    evidence = Evidence()
    evidence.add(
        process(
            "throughput",
            {"warm_ns_per_op": list(times), "turns": turns[arm]},
            id=number,
            allocator=arm,
        )
        for number, (arm, times) in enumerate(passes.items())
    )
    return evidence.values(MEASURES["time"], "some")


def test_arms_that_took_turns_are_compared_pass_by_pass() -> None:
    passes = {
        BASELINE: list(10.0 * MACHINE),
        TWIN: list(10.0 * MACHINE),
        CANDIDATE: [11.0, 11.0, 11.0, 16.5, 16.5],
    }
    found = values(passes, turns=dict.fromkeys(passes, 5))
    assert found.candidate / found.base == pytest.approx([1.1])
    assert found.twin / found.base == pytest.approx([1.0])


@pytest.mark.parametrize("turns", [(0, 0), (5, 0)])
def test_processes_that_were_alone_have_their_medians(turns: tuple[int, int]) -> None:
    passes = {BASELINE: list(10.0 * MACHINE), CANDIDATE: [11.0, 11.0, 11.0, 16.5, 16.5]}
    found = values(passes, turns=dict(zip(passes, turns, strict=True)))
    assert (found.base.tolist(), found.candidate.tolist()) == ([15.0], [11.0])


def test_a_pass_of_no_time_has_no_turn() -> None:
    passes = {BASELINE: [10.0] * 3, TWIN: [10.0] * 3, CANDIDATE: [0.0] * 3}
    found = values(passes, turns=dict.fromkeys(passes, 3))
    assert np.isnan(found.candidate).all()
    assert [*found.base, *found.twin] == pytest.approx([10.0, 10.0])

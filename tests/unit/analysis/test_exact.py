"""Calls and live bytes are the same, or it is told how far they are apart."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from allocphase.analysis.exact import calls_alike, live_alike
from allocphase.analysis.frames import Run
from allocphase.recorder.alike import calls_by_kind

PROGRAMS = ("app", "nothing")
CURVE = np.concatenate([np.arange(0, 1 << 20, 16), np.arange(1 << 20, 0, -16)])


def run_of(**counts: tuple[dict[str, int] | None, dict[str, int]]) -> Run:
    """By allocator, what was counted by function: of the program, and of one that calls nothing."""
    cells: list[Any] = [
        SimpleNamespace(
            allocator=name,
            scenario=scenario,
            ok=each is not None,
            metrics={"malloc_calls_by_function": each},
        )
        for name, both in counts.items()
        for scenario, each in zip(PROGRAMS, both, strict=True)
    ]
    return cast(Run, SimpleNamespace(cell_list=cells, allocators=list(counts)))


def test_equal_curves_are_exact_and_one_byte_less_is_not() -> None:
    assert live_alike([CURVE], [CURVE.copy()]).off == 0
    once = CURVE.copy()
    once[12_345] -= 1  # at none of the shares that are looked at
    found = live_alike([CURVE], [once])
    assert 0 < found.off < 1e-5
    assert (found.rows[0].program, found.rows[0].replay) == (1 << 20, 1 << 20)


def test_curves_of_other_lengths_are_held_against_each_other_by_shares() -> None:
    assert 0 < live_alike([CURVE], [np.repeat(CURVE, 2)]).off < 0.001
    assert live_alike([CURVE], [CURVE // 2]).off == pytest.approx(0.5, abs=0.01)
    assert live_alike([CURVE], []).off == pytest.approx(1.0, abs=0.01)


def test_calls_of_another_thread_are_not_alike() -> None:
    assert live_alike([CURVE, CURVE], [CURVE, CURVE]).off == 0
    whole = np.concatenate([CURVE, CURVE])
    assert live_alike([CURVE, CURVE], [whole[:99], whole[99:]]).off > 0


def test_each_allocator_s_calls_are_those_that_the_replay_stands_for() -> None:
    replayed = {"allocations": 10, "reallocs": 4, "frees": 8}
    same = {"malloc": 7, "new": 2, "memalign": 1, "realloc": 4, "free": 5, "delete": 3}
    found = calls_alike(
        run_of(libc=(same, {}), b=(same | {"free": 7}, {"free": 2})),
        PROGRAMS,
        calls_by_kind,
        replayed,
    )
    assert found is not None
    assert found.off == 0
    assert len(found.rows) == 6
    other = calls_alike(
        run_of(libc=(same, {}), b=(same | {"free": 13}, {})), PROGRAMS, calls_by_kind, replayed
    )
    assert other is not None
    assert other.off == 0.5
    (row,) = [row for row in other.rows if row.off]
    assert (row.of, row.program, row.replay) == ("frees under b", 16, 8)


@pytest.mark.parametrize(("counted", "off"), [(9, 1), (10, 0), (11, 0), (12, 0), (13, 1)])
def test_what_loading_calls_comes_off_as_far_as_the_program_did_not_load_it_anyway(
    counted: int, off: int
) -> None:
    run = run_of(b=({"malloc": counted}, {"malloc": 2}))
    replayed = {"allocations": 10, "reallocs": 0, "frees": 0}
    found = calls_alike(run, PROGRAMS, calls_by_kind, replayed)
    assert found is not None
    assert abs(found.rows[0].program - 10) == off
    assert (found.off > 0) == bool(off)


def test_who_was_not_counted_is_left_out() -> None:
    assert calls_alike(run_of(libc=(None, {})), PROGRAMS, calls_by_kind, {}) is None

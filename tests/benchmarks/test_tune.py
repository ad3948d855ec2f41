"""Does a search find what is there, and nothing where there is nothing?

A grid of 32 settings of one allocator behind the toll of selftest/slow.c. Planted: the toll makes
every place a ninth slower, but one, which is so a tenth faster than the default. Equal: all 32 are
the default under other names. In full (`make benchmark`) this takes about half an hour on a quiet
machine; the number of sessions is ALLOCPHASE_TUNINGS (10).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase.allocator import Allocator
from allocphase.analysis.measures import MEASURES
from allocphase.process.driver import DriverExecutor
from allocphase.selftest import behind_toll, calibrate, with_toll
from allocphase.stats import proportion_interval
from allocphase.tune import Answer, Space, TuneRequest, Tuning, run_tune
from tests.benchmarks.conftest import Say
from tests.support.gates import no_progress
from tests.support.scenarios import resolve_traced

SESSIONS = int(os.environ.get("ALLOCPHASE_TUNINGS", "10"))
GRID = 32
EFFECT = 0.10
BUDGET_S = 120.0


def grid(default: Allocator, *, size: int, planted: int | None) -> Space:
    """`default`, which pays a toll, at so many places that change nothing; at `planted` it is free.

    Without extra mappings, `spared` has nothing to spare: it only names the place.
    """
    arms = []
    for place in range(1, size + 1):
        settings = {"spared": str(place)}
        arms.append(
            default.with_settings(settings | ({"iterations": "0"} if place == planted else {}))
        )
    return Space(default, arms)


def tuned(space: Space, out: Path, *, full: bool) -> Tuning:
    request = TuneRequest(
        space=space,
        scenario=resolve_traced("random-churn" if full else "phase-report")[0],
        minimize=MEASURES["time"],
        time_budget_s=BUDGET_S if full else 60.0,
        max_rounds=40 if full else 10,
        out=out,
    )
    return run_tune(request, DriverExecutor(), progress=no_progress)


def test_a_planted_optimum_is_found_and_nothing_among_equals(
    benchmark: BenchmarkFixture,
    full: bool,
    say: Say,
    tmp_path: Path,
    installed: Callable[[str], Allocator],
) -> None:
    size, sessions = (GRID, SESSIONS) if full else (1, 1)
    subject = behind_toll(installed("phase3"))
    scenario = resolve_traced("random-churn" if full else "phase-report")[0]

    def measure() -> tuple[list[Tuning], list[Tuning]]:
        toll = calibrate(
            subject, scenario, DriverExecutor(), out=tmp_path, progress=no_progress
        ).iterations(EFFECT / (1.0 - EFFECT))
        default = with_toll(subject, iterations=toll)
        planted, equal = [], []
        for session in range(sessions):
            place = 1 + (7 * session + 4) % size
            planted.append(tuned(grid(default, size=size, planted=place), tmp_path, full=full))
            equal.append(tuned(grid(default, size=size, planted=None), tmp_path, full=full))
        return planted, equal

    planted, equal = benchmark.pedantic(measure, rounds=1, iterations=1)
    right = [one for one in planted if one.use is not None and "iterations=0" in one.use]
    for what, found, of in (
        (f"planted, {EFFECT:.0%} faster at one of {size}: found", len(right), planted),
        (f"{size} equal settings: none found", sum(one.use is None for one in equal), equal),
    ):
        interval = proportion_interval(found, len(of))
        seconds = [one.seconds for one in of]
        answers = ", ".join(f"{n} {word}" for word, n in Counter(one.answer for one in of).items())
        say(
            f"{what} in {found} of {len(of)} ({interval.lower:.0%} to {interval.upper:.0%}); "
            f"{answers}; {np.median(seconds):.0f} s each, {max(seconds):.0f} at most"
        )
    benchmark.extra_info["planted"] = [one.answer for one in planted]
    benchmark.extra_info["equal"] = [one.answer for one in equal]
    assert all(one.answer is not Answer.NOT_MEASURED for one in (*planted, *equal))

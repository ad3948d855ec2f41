"""Whole searches, with an executor that makes figures up: what is found, dropped, and said."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from allocphase.allocator import Allocator
from allocphase.analysis import frames
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.process.driver import Executor, Job, TraceJob
from allocphase.tune import (
    Answer,
    Space,
    TuneRequest,
    Tuning,
    read_bound,
    run_tune,
    space_of,
    target_measure,
)
from allocphase.tune.text import print_tuning, sentences
from tests.support.gates import MEMORY, FigureExecutor, arm, no_progress, small_scenario


def grid(tmp_path: Path, size: int) -> Space:
    """A plug-in with a setting `place` of so many values."""
    path = tmp_path / "mine.so"
    path.write_bytes(b"object")
    default = replace(arm("mine", path), config={"place": "none"})
    return Space(default, [default.with_settings({"place": str(n)}) for n in range(size)])


def place(job: Job) -> str:
    """Of the arm that runs, whatever a gate calls it; "none" of the default."""
    return job.allocator.config.get("place", "")


def tune(tmp_path: Path, executor: Executor, *bounds: str, size: int = 8, **changes: Any) -> Tuning:
    clock = changes.pop("clock", count(0.0, 0.0))
    values: dict[str, Any] = {
        "space": grid(tmp_path, size),
        "scenario": small_scenario(),
        "minimize": target_measure(changes.pop("minimize", "time"), of_program=False),
        "bounds": [read_bound(text, of_program=False) for text in bounds],
        "out": tmp_path / "runs",
        "seed": 7,
    }
    request = TuneRequest(**{**values, **changes})
    return run_tune(request, executor, progress=no_progress, clock=lambda: float(next(clock)))


def times(
    *, best: int | None = None, ratio: float = 0.9, spread: float = 0.01, seed: int = 3
) -> Callable[[Job], float]:
    """About 10 ns; the place `best` takes `ratio` times as long."""
    rng = random.Random(seed)
    fast = str(best)
    return lambda job: (
        10.0 * (ratio if place(job) == fast else 1.0) * rng.lognormvariate(0.0, spread)
    )


def faster(*places: int, ratio: float = 0.8) -> Callable[[Job], float]:
    """No noise."""
    names = {str(each) for each in places}
    return lambda job: 10.0 * (ratio if place(job) in names else 1.0)


def rss(bytes_of: dict[str, int]) -> Callable[[Job], dict[str, int]]:
    """Peak RSS by place."""
    return lambda job: {**MEMORY, "peak_rss_bytes": bytes_of.get(place(job), 4096)}


# ---- What is found -----------------------------------------------------------------------


def test_a_planted_optimum_is_found_and_confirmed(tmp_path: Path) -> None:
    found = tune(tmp_path, FigureExecutor(time_ns=times(best=17, spread=0.02)), size=32)
    assert (found.answer, found.winner) == (Answer.BETTER, "mine?place=17")
    assert found.exit_code == 0
    assert found.use == "-a 'mine?place=17'"
    assert found.confirmation is not None
    assert found.confirmation.outcome == "improved"
    assert found.confirmation.ratio.estimate == pytest.approx(0.9, abs=0.02)
    assert [stage.arms for stage in found.stages] == [32, 16, 8, 4]
    assert [stage.rounds for stage in found.stages] == [3, 6, 12, 24]


def test_between_copies_of_one_setting_none_is_found(tmp_path: Path) -> None:
    for seed in range(5):
        executor = FigureExecutor(time_ns=times(spread=0.02, seed=seed))
        found = tune(tmp_path, executor, size=16, seed=seed)
        assert found.answer in (Answer.NONE_BETTER, Answer.UNDECIDED)
        assert found.use is None


def test_none_better_says_by_how_much_at_most(tmp_path: Path) -> None:
    found = tune(tmp_path, FigureExecutor(time_ns=times(spread=0.004)))
    assert found.answer is Answer.NONE_BETTER
    assert found.at_most == found.theta
    line = list(sentences(found))[-1]
    assert line == "No setting is better than the default by more than 2.0%."
    assert found.exit_code == 0


def test_what_looked_better_in_the_search_alone_is_not_better(tmp_path: Path) -> None:
    """A setting whose luck ends with the search: the gate has figures of its own."""

    def lucky(job: Job) -> float:
        searched = job.allocator.name.startswith("mine")
        return 8.0 if searched and place(job) == "3" else 10.0

    found = tune(tmp_path, FigureExecutor(time_ns=lucky))
    assert found.stages[-1].best == "mine?place=3"
    assert found.stages[-1].ratio is not None
    assert found.stages[-1].ratio.estimate == pytest.approx(0.8)
    assert (found.answer, found.use) == (Answer.NONE_BETTER, None)


def test_what_looks_better_and_was_not_shown_to_be_is_undecided(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=times(best=3, ratio=0.95, spread=0.04))
    found = tune(tmp_path, executor, size=4, max_rounds=10)
    assert (found.answer, found.exit_code, found.use) == (Answer.UNDECIDED, 4, None)
    assert "cannot tell" in list(sentences(found))[-1]


def test_all_worse_than_the_default_is_none_better(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=lambda job: 10.0 if place(job) == "none" else 13.0)
    found = tune(tmp_path, executor)
    assert (found.answer, found.at_most) == (Answer.NONE_BETTER, found.theta)


def test_equal_counts_take_four_rounds_and_the_first_of_equal_ones_wins(tmp_path: Path) -> None:
    executor = FigureExecutor(calls=lambda job: {"mmap": 1 if place(job) in set("256") else 4})
    found = tune(tmp_path, executor, minimize="syscalls")
    assert [(stage.arms, stage.rounds) for stage in found.stages] == [(8, 4)]
    assert (found.answer, found.winner) == (Answer.BETTER, "mine?place=2")
    assert found.confirmation is not None
    assert found.confirmation.exact


# ---- Rounds ------------------------------------------------------------------------------


def in_search(executor: FigureExecutor) -> list[Job]:
    return [job for job in executor.jobs if job.allocator.name.startswith("mine")]


def test_every_round_has_each_arm_that_is_left_once_and_the_default(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=times())
    tune(tmp_path, executor)
    rounds: dict[int, list[str]] = {}
    for job in in_search(executor):
        rounds.setdefault(job.round, []).append(job.allocator.name)
    assert sorted(rounds) == list(range(24))
    sizes = [len(names) for names in rounds.values()]
    assert sizes == [9] * 12 + [5] * 12
    assert all(Counter(names)["mine"] == 1 for names in rounds.values())
    assert all(len(set(names)) == len(names) for names in rounds.values())
    assert len({tuple(names) for names in rounds.values()}) > 12, "in an order of its own"


def test_drift_that_all_arms_of_a_round_share_chooses_nothing(tmp_path: Path) -> None:
    time_ns = faster(3)

    def drifting(job: Job) -> float:
        return time_ns(job) * (1.0 + job.round % 3)

    found = tune(tmp_path, FigureExecutor(time_ns=drifting))
    assert (found.answer, found.winner) == (Answer.BETTER, "mine?place=3")


def test_a_search_is_a_run_directory_like_any_other(tmp_path: Path) -> None:
    found = tune(tmp_path, FigureExecutor(time_ns=times(best=3)))
    run = frames.load(Path(found.path))
    assert {cell.allocator for cell in run.cell_list} >= {"mine", "mine?place=0", "mine?place=7"}
    assert all(cell.ok for cell in run.cell_list)
    written = json.loads((Path(found.path) / "tune.json").read_text())
    assert (written["schema"], written["answer"]) == (1, "better")
    assert written["use"] == found.use
    assert {one["name"]: one["dropped"] for one in written["arms"]}["mine?place=3"] == ""
    assert (Path(written["confirmation"]["paths"][0]) / "gate.json").is_file()


def test_a_budget_that_ends_early_compares_what_there_is_and_says_so(tmp_path: Path) -> None:
    """The clock goes on by 0.4 s at each look: a round takes that."""
    ticks = count(0.0, 0.4)
    found = tune(tmp_path, FigureExecutor(time_ns=faster(3)), clock=ticks, time_budget_s=30.0)
    assert [stage.arms for stage in found.stages] == [8, 4], "halved all the same"
    assert found.stages[-1].rounds < 24
    assert found.winner == "mine?place=3"
    assert any("the time budget had room for" in note for note in found.notes)


def test_a_budget_without_time_for_the_gate_says_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no time to judge it: .*--time-budget \d+$"):
        tune(
            tmp_path,
            FigureExecutor(time_ns=faster(3)),
            clock=count(0.0, 0.4),
            time_budget_s=3.0,
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"max_rounds": 3}, r"3 rounds can never decide 1 time: \d+ can: --max-rounds \d+"),
        ({"minimize": "p99_9"}, r"p99_9:.* is not gated: \d+ calls? lies? beyond it"),
    ],
)
def test_what_the_gate_could_never_decide_is_refused_before_the_search(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    executor = FigureExecutor(time_ns=faster(3))
    with pytest.raises(UsageError, match=words):
        tune(tmp_path, executor, **changes)
    assert executor.jobs == []


def test_a_count_that_is_known_takes_no_further_processes(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=times())
    tune(tmp_path, executor, "peak_rss<=1.1x", size=4)
    found = Counter(job.probe.value for job in in_search(executor) if place(job) == "none")
    assert found == {"throughput": 24, "memory": 4}


def test_a_tail_is_minimised_by_its_quantile(tmp_path: Path) -> None:
    """Without addresses that are the same in each process, which a run has."""
    executor = FigureExecutor(latency_ns=lambda job: 30 if place(job) == "2" else 60)
    scenario = small_scenario("phase-report?allocations=600")
    found = tune(tmp_path, executor, minimize="p90", size=4, scenario=scenario)
    assert (found.answer, found.winner) == (Answer.BETTER, "mine?place=2")
    timed = [job for job in executor.jobs if isinstance(job, TraceJob) and job.probe == "latency"]
    assert not any("fixed-addresses" in job.options for job in timed)


# ---- Arms that fail ----------------------------------------------------------------------


def test_an_arm_that_fails_is_dropped_in_its_first_round(tmp_path: Path) -> None:
    executor = FigureExecutor(
        time_ns=faster(3),
        status=lambda job: ("timeout", "after 60 s") if place(job) == "5" else None,
    )
    found = tune(tmp_path, executor)
    assert found.winner == "mine?place=3"
    (failed,) = [one for one in found.arms if one.name == "mine?place=5"]
    assert (failed.rounds, failed.dropped) == (1, "throughput: timeout: after 60 s")
    assert found.stages[0].failed == 1
    assert sum(place(job) == "5" for job in executor.jobs) == 1


def test_where_every_arm_fails_the_reasons_are_given(tmp_path: Path) -> None:
    executor = FigureExecutor(
        status=lambda job: None if place(job) in ("none", "") else ("crashed", "SIGSEGV")
    )
    found = tune(tmp_path, executor)
    assert (found.answer, found.winner, found.confirmation) == (Answer.NONE_WITHIN, None, None)
    line = list(sentences(found))[-1]
    assert line.startswith("No setting could be measured: mine?place=0: throughput: crashed")
    assert line.endswith("and 3 more.")


def test_of_many_that_fail_the_first_few_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    executor = FigureExecutor(
        time_ns=faster(9),
        status=lambda job: ("crashed", "SIGSEGV") if place(job) in set("0123456") else None,
    )
    print_tuning(tune(tmp_path, executor, size=10))
    lines = capsys.readouterr().out.splitlines()
    named = [line for line in lines if line.endswith("throughput: crashed: SIGSEGV")]
    assert named[0] == "mine?place=0: throughput: crashed: SIGSEGV"
    assert len(named) == 5
    assert "and 2 settings more" in lines


def test_a_default_that_fails_is_an_error_with_its_message(tmp_path: Path) -> None:
    executor = FigureExecutor(
        status=lambda job: ("crashed", "SIGSEGV") if place(job) == "none" else None
    )
    with pytest.raises(NothingMeasuredError, match=r"the default, mine, on .*SIGSEGV"):
        tune(tmp_path, executor)


def test_a_winner_that_corrupts_memory_is_not_the_answer(tmp_path: Path) -> None:
    """The gate verifies it; the search only times."""
    executor = FigureExecutor(
        time_ns=faster(3),
        status=lambda job: (
            ("corrupt", "blocks overlap") if job.probe == "verify" and place(job) == "3" else None
        ),
    )
    found = tune(tmp_path, executor)
    assert (found.answer, found.exit_code, found.use) == (Answer.NOT_MEASURED, 5, None)
    assert any("blocks overlap" in note for note in found.notes)


# ---- Bounds ------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["peak_rss<=1.1x", "peak_rss<=4505"])
def test_the_fastest_that_breaks_a_bound_is_left_for_one_that_keeps_it(
    tmp_path: Path, bound: str
) -> None:
    def time_ns(job: Job) -> float:
        return {"2": 5.0, "6": 8.0}.get(place(job), 10.0)

    executor = FigureExecutor(time_ns=time_ns, memory=rss({"2": 4506, "6": 4505}))
    found = tune(tmp_path, executor, bound)
    assert (found.answer, found.winner) == (Answer.BETTER, "mine?place=6")
    assert found.confirmation is not None
    assert found.confirmation.bounds == {bound: True}
    (broke,) = [one for one in found.arms if one.name == "mine?place=2"]
    assert broke.dropped == f"breaks {bound}"
    assert f"; keeps {bound}" in next(iter(sentences(found)))


def test_a_bound_below_the_default_wants_that_much_less(tmp_path: Path) -> None:
    executor = FigureExecutor(time_ns=faster(2, 6), memory=rss({"6": 2048}))
    found = tune(tmp_path, executor, "peak_rss<=0.5x")
    assert (found.answer, found.winner) == (Answer.BETTER, "mine?place=6")


@pytest.mark.parametrize("default", [[0], [4], [3, 4, 5]])
def test_no_system_calls_at_all_is_a_bound_like_any_other(
    tmp_path: Path, default: list[int]
) -> None:
    def calls(job: Job) -> dict[str, int]:
        return {"mmap": {"2": 1, "6": 0}.get(place(job), default[job.round % len(default)])}

    executor = FigureExecutor(time_ns=faster(2, 6), calls=calls)
    found = tune(tmp_path, executor, "syscalls<=0")
    assert (found.answer, found.winner) == (Answer.BETTER, "mine?place=6")
    assert found.confirmation is not None
    assert found.confirmation.bounds == {"syscalls<=0": True}


@pytest.mark.parametrize("default", [0, 4])
def test_a_call_now_and_then_breaks_the_bound_of_none(tmp_path: Path, default: int) -> None:
    """The search sees none; of the gate's processes every third one has one."""

    def calls(job: Job) -> dict[str, int]:
        if job.allocator.name == "candidate":
            return {"mmap": int(job.round % 3 == 0)}
        return {"mmap": 0 if place(job) == "6" else default}

    executor = FigureExecutor(time_ns=faster(6), calls=calls)
    found = tune(tmp_path, executor, "syscalls<=0")
    assert (found.answer, found.use) == (Answer.UNDECIDED, None)


def test_where_no_setting_keeps_a_bound_that_is_the_answer(tmp_path: Path) -> None:
    found = tune(tmp_path, FigureExecutor(time_ns=faster(2)), "peak_rss<=0.9x")
    assert (found.answer, found.exit_code) == (Answer.NONE_WITHIN, 0)
    line = list(sentences(found))[-1]
    assert line.startswith("No setting keeps peak_rss<=0.9x: mine?place=0: breaks peak_rss<=0.9x")


def test_memory_is_minimised_under_a_bound_on_time(tmp_path: Path) -> None:
    rng = random.Random(5)

    def time_ns(job: Job) -> float:
        return (20.0 if place(job) == "2" else 10.0) * rng.lognormvariate(0.0, 0.004)

    executor = FigureExecutor(time_ns=time_ns, memory=rss({"2": 1024, "6": 3072}))
    found = tune(tmp_path, executor, "time<=1.05x", minimize="peak_rss")
    assert (found.answer, found.winner) == (Answer.BETTER, "mine?place=6")


def test_a_bound_that_the_gate_finds_broken_is_undecided(tmp_path: Path) -> None:
    def memory(job: Job) -> dict[str, int]:
        candidate = job.allocator.name == "candidate"
        return {**MEMORY, "peak_rss_bytes": 8192 if candidate else 4096}

    executor = FigureExecutor(time_ns=faster(2), memory=memory)
    found = tune(tmp_path, executor, "peak_rss<=1.1x")
    assert (found.answer, found.use) == (Answer.UNDECIDED, None)
    assert "; was not shown to keep peak_rss<=1.1x" in next(iter(sentences(found)))


# ---- What to set -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "kept", "line"),
    [
        ("libc?arena_max=1&top_pad=64", {}, "GLIBC_TUNABLES="
         "glibc.malloc.arena_max=1:glibc.malloc.top_pad=64"),
        ("libc?arena_max=1", {"GLIBC_TUNABLES": "glibc.malloc.perturb=3", "OTHER": "1"},
         "GLIBC_TUNABLES=glibc.malloc.perturb=3:glibc.malloc.arena_max=1"),
        ("libc?env.MINE=two words&arena_max=2", {},
         "GLIBC_TUNABLES=glibc.malloc.arena_max=2 MINE='two words'"),
    ],
)  # fmt: skip
def test_the_line_is_what_a_shell_takes(
    tmp_path: Path, spec: str, kept: dict[str, str], line: str
) -> None:
    def time_ns(job: Job) -> float:
        return 8.0 if job.allocator.config else 10.0

    found = tune(
        tmp_path,
        FigureExecutor(time_ns=time_ns),
        space=space_of(spec),
        kept_variables=kept,
    )
    assert found.use == line


def test_what_the_harness_sets_for_scudo_is_no_part_of_the_line(
    tmp_path: Path, installed: Callable[[str], Allocator]
) -> None:
    installed("scudo")
    executor = FigureExecutor(time_ns=lambda job: 8.0 if job.allocator.config else 10.0)
    space = space_of("scudo?release_to_os_interval_ms=-1")
    found = tune(tmp_path, executor, space=space)
    assert found.use == "SCUDO_OPTIONS=release_to_os_interval_ms=-1"


def test_the_terminal_has_every_stage_and_the_line_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_tuning(tune(tmp_path, FigureExecutor(time_ns=faster(3)), "peak_rss<=1.1x"))
    lines = capsys.readouterr().out.splitlines()
    title = "mine, least time of phase-report?allocations=50, peak_rss<=1.1x"
    assert lines[0] == title
    assert re.split(r"\s+", lines[1].strip())[:4] == ["ahead", "settings", "rounds", "failed"]
    assert lines[2].split() == ["mine?place=3", "8", "12", "0", "0", "4", "-20%"]
    assert lines[3].split() == ["mine?place=3", "4", "24", "0", "0", "0", "-20%"]
    assert lines[-1] == "-a 'mine?place=3'"

"""Scaling of runs whose truth is known."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from allocphase.analysis.frames import Run
from allocphase.analysis.scaling import (
    ScalingPoint,
    levels_of,
    scaling,
    thread_sweeps,
    work_of,
)
from tests.support.scaling import ALONE_NS, ROUNDS, write_scaling


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """On two CPUs."""
    return write_scaling(tmp_path_factory.mktemp("scaling") / "run")


def found(run: Run, allocator: str) -> list[ScalingPoint]:
    (sweep,) = thread_sweeps(run)
    return scaling(run, sweep, allocator)


def ratios(points: list[ScalingPoint]) -> list[float]:
    return [point.speedup.ratio.estimate for point in points if point.speedup]


def efficiencies(points: list[ScalingPoint]) -> list[float]:
    return [point.speedup.efficiency for point in points if point.speedup]


def test_perfect_scaling_is_100_percent_efficient_beyond_the_cpus_too(run: Run) -> None:
    points = found(run, "perfect")
    assert ratios(points) == pytest.approx([1, 2, 2, 2])
    assert efficiencies(points) == pytest.approx([1.0] * 4)
    rate = 1e9 / (ALONE_NS * (1 + 0.1 * (ROUNDS // 2)))
    assert [point.ops_per_second for point in points] == pytest.approx(
        [rate, 2 * rate, 2 * rate, 2 * rate]
    )
    assert [p.ideal_per_second for p in points] == pytest.approx([p.ops_per_second for p in points])


def test_an_allocator_that_works_one_call_at_a_time_has_a_speed_up_of_1(run: Run) -> None:
    points = found(run, "serial")
    assert ratios(points) == pytest.approx([1] * 4)
    assert efficiencies(points) == pytest.approx([1, 1 / 2, 1 / 2, 1 / 2])


def test_with_a_cpu_for_each_thread_the_ideal_goes_on(tmp_path: Path) -> None:
    run = write_scaling(tmp_path / "run", cpus=8)
    assert ratios(found(run, "perfect")) == pytest.approx([1, 2, 4, 8])
    assert efficiencies(found(run, "half")) == pytest.approx([1, 3 / 4, 5 / 8, 9 / 16])
    assert not any(point.level.shared for point in found(run, "perfect"))


def test_threads_beyond_the_cpus_are_told(run: Run) -> None:
    levels = [point.level for point in found(run, "perfect")]
    assert [level.shared for level in levels] == [False, False, True, True]
    assert [level.at_once for level in levels] == pytest.approx([1, 2, 2, 2])


def test_contention_and_memory_are_by_level(run: Run) -> None:
    points = found(run, "serial")
    assert [point.futex_per_op for point in points] == pytest.approx([0, 0.2, 0.2, 0.2], rel=1e-2)
    assert [point.waited for point in points] == pytest.approx([0, 0.1, 0.1, 0.1], rel=0.05)
    assert [point.rss_bytes_per_thread for point in points] == [1 << 20] * 4
    assert {point.futex_per_op for point in found(run, "perfect")} == {0}


@pytest.mark.parametrize(
    ("spec", "work"),
    [
        ("glibc-thread?replacements=200", "each"),
        ("larson?slots=20&replacements=100", "each"),
        ("rptest-even?loops=50", "each"),
        ("alloc-test?slots=4096&operations=8000", "total"),
        ("mstress?rounds=1&scale=2", ""),  # the second of two workers has twice the work
    ],
)
def test_whether_the_work_grows_with_the_threads_is_told(
    tmp_path: Path, spec: str, work: str
) -> None:
    run = write_scaling(tmp_path / "run", spec=spec, levels=(1, 2, 4))
    (sweep,) = thread_sweeps(run)
    assert work_of(levels_of(run, sweep)) == work


def test_a_workload_with_unequal_workers_has_an_ideal_of_its_own(tmp_path: Path) -> None:
    """mstress gives worker t work in proportion to t + 1: 3 parts, of which one has 2."""
    run = write_scaling(
        tmp_path / "run", spec="mstress?rounds=2&transfers=50", levels=(1, 2), cpus=4
    )
    perfect = found(run, "perfect")
    assert ratios(perfect)[1] == pytest.approx(1.5, rel=0.05)
    assert efficiencies(perfect)[1] == pytest.approx(1)


def without(run: Run, threads: int, path: Path) -> Run:
    """The same run without the processes of one level."""
    folder = path / "part"
    shutil.copytree(run.path, folder)
    journal = folder / "processes.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if f'&threads={threads}"' not in line]
    assert len(kept) == 3 * len(lines) // 4
    journal.write_text("".join(kept), encoding="utf-8")
    return Run(folder)


def test_a_level_that_was_not_measured_leaves_the_others(run: Run, tmp_path: Path) -> None:
    first, second, third, fourth = found(without(run, 4, tmp_path), "perfect")
    figures = (third.ops_per_second, third.speedup, third.futex_per_op, third.waited)
    assert figures == (None, None, None, None)
    assert ratios([first, second, fourth]) == pytest.approx([1, 2, 2])


def test_without_the_first_level_there_is_no_speed_up(run: Run, tmp_path: Path) -> None:
    points = found(without(run, 1, tmp_path), "perfect")
    assert ratios(points) == []
    assert all(point.ops_per_second for point in points[1:])
    assert {point.ideal_per_second for point in points} == {None}

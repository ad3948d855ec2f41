"""Which calls differ: the arms' calls by kind and size class, and what is not told of them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from allocphase.analysis.latency.calls import (
    size_classes,
    size_range,
    undisturbed_calls,
    undisturbed_mallocs,
)
from allocphase.errors import DataError
from allocphase.gate import describe_arm, run_gate
from allocphase.gate.request import SavedArm
from allocphase.judge.calls import LEAST_CALLS, CallDifferences, Unknown, call_differences
from allocphase.judge.render.calls import print_calls
from allocphase.operation import Kind
from allocphase.probe.arrays import OUTLIER, SIZE_CLASSES, SLOW_CALL, Arrays, bucket_midpoints
from allocphase.probe.probe import Probe
from allocphase.process.driver import Job
from allocphase.scenario import Scenario, generate
from allocphase.trace.records import kind_of
from tests.support.gates import FigureExecutor, arm, gate_request, no_progress, small_scenario
from tests.support.runs import process

CHURN = small_scenario("random-churn?operations=4014&live=50")
OTHER = small_scenario("phase-report?allocations=50")
TIME_ONLY = ("*=off", "time=2%")


def slower(scenario: Scenario, extra: Mapping[str, int]) -> FigureExecutor:
    """Each call takes 50 ticks of a nanosecond, and in an arm of `extra` a malloc of 257 to 512
    bytes so many more.
    """
    ops = generate(scenario).ops
    band = (kind_of(ops) == Kind.MALLOC) & (ops["size"] > 256) & (ops["size"] <= 512)

    def latency_ns(job: Job) -> npt.NDArray[np.int64]:
        more = extra.get(job.allocator.name, 0)
        if job.scenario != scenario.name:
            return np.full(1, 50)
        return np.where(band, 50 + more, 50).astype(np.int64)

    return FigureExecutor(latency_ns=latency_ns, ops=len(ops))


def gated(folder: Path, executor: FigureExecutor, **changes: object) -> Path:
    request = gate_request(folder, *TIME_ONLY, **{"scenarios": [CHURN], **changes})
    verdict = run_gate(request, executor, progress=no_progress, clock=lambda: 0.0)
    return Path(verdict.sessions[0].path)


def test_the_class_that_adds_most_is_first_and_adds_what_it_adds(tmp_path: Path) -> None:
    executor = slower(CHURN, {"candidate": 20, "twin": 1})
    found = call_differences(
        gated(tmp_path, executor, explained=frozenset({CHURN.name})), CHURN.name
    )
    assert isinstance(found, CallDifferences)
    first, *others = found.told
    assert first.group == ("malloc", 9)
    assert first.p50_ns == first.p99_ns == (32.0, 52.0), "the clock's 18 ns are off"
    share = first.calls / (4014 * 50)  # its steady part has 4,014 operations
    assert first.added_ns == pytest.approx(20 * share)
    assert first.twin_added_ns == pytest.approx(share)
    assert [call.added_ns for call in others] == [0.0] * len(others)
    assert min(call.calls for call in found.told) >= LEAST_CALLS
    assert found.processes == (1, 1)
    assert found.thin > 0
    total = sum(call.calls for call in found.told) + found.thin_calls
    assert total == 4014 * 50


def test_where_calls_are_faster_what_saves_most_is_first(tmp_path: Path) -> None:
    executor = slower(CHURN, {"candidate": -20})
    folder = gated(tmp_path, executor, explained=frozenset({CHURN.name}))
    found = call_differences(folder, CHURN.name)
    assert isinstance(found, CallDifferences)
    assert found.told[0].group == ("malloc", 9)
    assert found.told[0].added_ns < 0


def test_latency_is_measured_where_it_is_to_be_explained_and_once(tmp_path: Path) -> None:
    executor = slower(CHURN, {})
    folder = gated(tmp_path, executor, scenarios=[CHURN, OTHER], explained=frozenset({CHURN.name}))
    jobs = [job for job in executor.jobs if job.probe is Probe.LATENCY and job.allocator.correct]
    assert sorted((job.allocator.name, job.scenario) for job in jobs) == [
        (arm, CHURN.name) for arm in ("baseline", "candidate", "twin")
    ]
    assert call_differences(folder, OTHER.name) is Unknown.NOT_KEPT


def test_nothing_is_measured_more_for_a_gate_that_is_not_explained(tmp_path: Path) -> None:
    executor = slower(CHURN, {})
    folder = gated(tmp_path, executor)
    assert not any(job.probe is Probe.LATENCY for job in executor.jobs)
    assert call_differences(folder, CHURN.name) is Unknown.NOT_KEPT
    (folder / "run.json").unlink()
    assert call_differences(folder, CHURN.name) is Unknown.NOT_KEPT


def test_the_table_names_the_class_and_what_is_not_told(tmp_path: Path) -> None:
    executor = slower(CHURN, {"candidate": 2000})
    folder = gated(tmp_path, executor, explained=frozenset({CHURN.name}))
    stream = io.StringIO()
    print_calls(call_differences(folder, CHURN.name), CHURN.name, stream)
    lines = stream.getvalue().splitlines()
    assert lines[0].rstrip() == f"Calls of {CHURN.name}, those first that add most"
    assert lines[2].startswith("malloc 257-512 ")
    assert "32.0 ns  2.03 µs" in lines[2]
    assert max(map(len, lines)) <= 80
    text = " ".join(stream.getvalue().split())
    assert "has fewer than 100 calls and is not told" in text
    assert "in one process each" in text
    assert "without the clock's 18.0 ns" in text


def test_where_no_latency_was_kept_it_is_said_how_to_have_it() -> None:
    stream = io.StringIO()
    print_calls(Unknown.NOT_KEPT, "larson", stream)
    text = " ".join(stream.getvalue().split())
    assert "no latency of both arms was kept" in text
    assert "Gate again with --explain time:larson, or with a limit such as p99=10%:larson." in text


def test_a_saved_baseline_has_no_single_calls(tmp_path: Path) -> None:
    saved = SavedArm(
        values={("time", CHURN.name): [10.0] * 20},
        rounds=20,
        allocator=describe_arm(arm("old")),
        note="saved",
    )
    request = gate_request(tmp_path, *TIME_ONLY, scenarios=[CHURN], saved=saved)
    request = replace(request, arms=replace(request.arms, baseline=None))
    executor = slower(CHURN, {})
    verdict = run_gate(request, executor, progress=no_progress, clock=lambda: 0.0)
    folder = Path(verdict.sessions[0].path)
    assert call_differences(folder, CHURN.name) is Unknown.SAVED
    stream = io.StringIO()
    print_calls(Unknown.SAVED, CHURN.name, stream)
    assert "Gate both objects side by side." in " ".join(stream.getvalue().split())


# ---- Classes of calls --------------------------------------------------------------------


def test_a_size_class_ends_at_a_power_of_two() -> None:
    sizes = np.array([0, 1, 2, 3, 4, 5, 256, 257, 512, 513, 2**31, 2**31 + 1], dtype=np.uint32)
    assert size_classes(sizes).tolist() == [0, 0, 1, 2, 2, 3, 8, 9, 9, 10, 31, 32]
    assert (size_range(0), size_range(1), size_range(9)) == ((0, 1), (2, 2), (257, 512))
    for group in range(SIZE_CLASSES):
        low, high = size_range(group)
        ends = np.array([low, min(high, 2**32 - 1)], dtype=np.uint32)
        assert size_classes(ends).tolist() == [group, group]


KINDS = np.array([Kind.MALLOC, Kind.MALLOC, Kind.FREE, Kind.MALLOC, Kind.WRITE], dtype=np.uint8)
SIZES = np.array([300, 300, 0, 8, 5], dtype=np.uint32)
TICKS = np.array([40, 900, 30, 20, 7], dtype=np.uint32)
CLOCK = {"clock": {"hz": 1e9, "overhead_ns": 18.0, "step_ns": 1.0}}
LATENCY = process("latency", {}, more=CLOCK)
PUT_ASIDE = np.array([(1, 0, 0, 1)], dtype=SLOW_CALL)


def told(arrays: Arrays) -> dict[tuple[str, int], list[float]]:
    found = undisturbed_calls(LATENCY, arrays, KINDS, SIZES)
    return {key: sorted(np.repeat(*pair).tolist()) for key, pair in found.items()}


def test_a_call_that_was_put_aside_is_in_no_class_and_a_write_is_no_call() -> None:
    raw = {"call_ticks": TICKS, "touch_ticks": TICKS * 0, "slow": PUT_ASIDE}
    assert {key: len(values) for key, values in told(raw).items()} == {
        ("malloc", 9): 1,
        ("malloc", 3): 1,
        ("free", 0): 1,
    }


def test_a_histogram_has_the_same_classes() -> None:
    """Ticks below 64 have a bucket each; the outlier is taken out of the one it is in."""
    buckets = np.abs(bucket_midpoints()[:, None] - TICKS).argmin(axis=0)
    counts = np.zeros((8, SIZE_CLASSES, len(bucket_midpoints())), dtype=np.uint64)
    np.add.at(counts, (KINDS, size_classes(SIZES), buckets), 1)
    outliers = np.zeros(1, dtype=OUTLIER)
    outliers[["op", "ticks", "size", "kind"]] = [(1, 900, 300, Kind.MALLOC)]
    long = {"call_histogram": counts, "outliers": outliers, "slow": PUT_ASIDE}
    raw = {"call_ticks": TICKS, "touch_ticks": TICKS * 0, "slow": PUT_ASIDE}
    assert told(long) == told(raw)
    assert np.repeat(*undisturbed_mallocs(LATENCY, long, KINDS)).size == 2


def test_samples_of_another_trace_are_refused() -> None:
    with pytest.raises(DataError, match="5 latencies for 4 operations"):
        undisturbed_calls(LATENCY, {"call_ticks": TICKS}, KINDS[:4], SIZES[:4])

"""Comparing runs: which cells are held against which, what is refused, and the figures."""

from __future__ import annotations

import io
import itertools
import json
import math
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from allocphase.analysis.comparable import ScenarioChangedError
from allocphase.compare import ComparedRuns, CompareSettings, compare_runs
from allocphase.compare.console import print_comparison
from allocphase.compare.export import csv_text, document, markdown
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.probe.probe import Probe
from allocphase.process.driver import Job
from allocphase.run.request import Request
from allocphase.run.session import run
from allocphase.stats import Interval, Verdict
from tests.support.gates import MEMORY, FigureExecutor, arm, no_progress, small_scenario

TIMES = {"old": 10.0, "new": 11.0, "same": 10.0}


def measure(
    folder: Path,
    label: str,
    *,
    names: tuple[str, ...] = ("old", "new", "same"),
    scenarios: tuple[str, ...] = ("phase-report?allocations=50",),
    times: Mapping[str, float] = TIMES,
    rounds: int = 20,
    quick: bool = False,
    executor: FigureExecutor | None = None,
) -> Path:
    """A run of those allocators, with 1% of noise that follows from name and round."""

    def time_ns(job: Job) -> float:
        noise = 1 + 0.01 * math.sin(job.round * sum(map(ord, job.allocator.name)))
        return times.get(job.allocator.name, 5.0) * noise

    def memory(job: Job) -> dict[str, int]:
        extra = 1 if job.allocator.name == "new" else 0
        return {**MEMORY, "page_faults": 5 + extra}

    request = Request(
        allocators=[arm(name) for name in names],
        scenarios=[small_scenario(spec) for spec in scenarios],
        probes=[Probe.THROUGHPUT, Probe.SYSCALLS, Probe.MEMORY],
        rounds=rounds,
        seed=1,
        out=folder,
        label=label,
        command=[],
        quick=quick,
    )
    chosen = executor or FigureExecutor(time_ns=time_ns, memory=memory)
    return run(request, chosen, progress=no_progress)


def rewrite(folder: Path, **changes: Any) -> None:
    """Changes run.json: environment facts, or other keys of the manifest."""
    path = folder / "run.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest.update(changes)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def environment(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))["environment"]
    return found


def compare(*paths: Path, **settings: Any) -> ComparedRuns:
    return compare_runs(paths, CompareSettings(**settings))


def verdicts(found: ComparedRuns) -> dict[tuple[str, str], Verdict | None]:
    return {(row.allocator, row.metric): row.verdict for row in found.rows}


def test_the_others_are_held_against_the_baseline_of_the_same_run(tmp_path: Path) -> None:
    found = compare(measure(tmp_path, "one"), baseline="old")
    by_row = verdicts(found)
    assert {allocator for allocator, _ in by_row} == {"new", "same"}
    assert by_row["new", "time"] is Verdict.REGRESSED
    assert by_row["same", "time"] is Verdict.UNCHANGED
    assert by_row["new", "page_faults"] is Verdict.REGRESSED
    assert by_row["same", "page_faults"] is Verdict.UNCHANGED


def test_a_time_has_its_interval_and_what_it_would_have_seen(tmp_path: Path) -> None:
    (row,) = compare(measure(tmp_path, "one"), baseline="old", metrics=["time"]).rows[:1]
    assert row.ratio.estimate == pytest.approx(1.1, rel=0.02)
    assert 1.05 < row.ratio.lower < row.ratio.estimate < row.ratio.upper < 1.15
    assert 1.02 < row.min_detectable_ratio < 1.06
    assert row.pairs == 20


def test_what_counts_as_a_change_is_the_users_choice(tmp_path: Path) -> None:
    path = measure(tmp_path, "one")
    assert verdicts(compare(path, baseline="old", theta=0.2))["new", "time"] is Verdict.UNCHANGED


def test_without_a_name_the_baseline_is_libc_or_the_first(tmp_path: Path) -> None:
    assert compare(measure(tmp_path, "one")).against == "old"
    assert compare(measure(tmp_path, "two", names=("old", "libc"))).against == "libc"


def test_a_baseline_that_did_not_run_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'old'"):
        compare(measure(tmp_path, "one"), baseline="odl")


def test_a_run_of_one_allocator_has_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(NothingMeasuredError, match="no two allocators"):
        compare(measure(tmp_path, "one", names=("old",)))


def test_too_few_rounds_are_said_to_be_too_few(tmp_path: Path) -> None:
    found = compare(measure(tmp_path, "one", rounds=3), baseline="old")
    assert verdicts(found)["new", "time"] is Verdict.INCONCLUSIVE
    assert any("too few rounds for a verdict" in note for note in found.notes)


def test_the_number_of_rounds_that_is_named_is_enough(tmp_path: Path) -> None:
    few = compare(measure(tmp_path, "few", rounds=3), baseline="old").notes[0]
    needed = int(few.rpartition("take ")[2].split()[0])
    enough = compare(measure(tmp_path, "enough", rounds=needed), baseline="old")
    assert verdicts(enough)["new", "time"] is Verdict.REGRESSED
    less = compare(measure(tmp_path, "less", rounds=needed - 1), baseline="old")
    assert verdicts(less)["new", "time"] is Verdict.INCONCLUSIVE


def noisy(spread: float) -> FigureExecutor:
    rng = random.Random(11)
    return FigureExecutor(time_ns=lambda _: 10.0 * rng.lognormvariate(0, spread))


def test_rounds_that_would_see_through_the_noise_are_named(tmp_path: Path) -> None:
    names = ("old", "same")
    few = compare(measure(tmp_path, "few", names=names, executor=noisy(0.04)), metrics=["time"])
    (note,) = [note for note in few.notes if "inconclusive by noise" in note]
    needed = int(note.rpartition("run -r ")[2].rstrip(")"))
    assert 20 < needed <= 1000
    assert f"1 of 1 time is inconclusive by noise: some {needed} rounds would show 4.0%" in note
    path = measure(tmp_path, "enough", names=names, executor=noisy(0.04), rounds=needed)
    (row,) = compare(path, metrics=["time"]).rows
    assert row.min_detectable_ratio < 1.045 < few.rows[0].min_detectable_ratio
    assert row.verdict is Verdict.UNCHANGED


def test_where_no_run_has_enough_rounds_that_is_said(tmp_path: Path) -> None:
    path = measure(tmp_path, "wild", names=("old", "same"), executor=noisy(0.5))
    notes = compare(path, metrics=["time"]).notes
    assert any("more than 1,000 rounds would be needed: a wider --theta" in note for note in notes)


def test_a_count_that_varies_in_processes_enough_for_a_verdict_needs_no_more(
    tmp_path: Path,
) -> None:
    rng = random.Random(5)
    executor = FigureExecutor(calls=lambda _: {"futex": rng.randrange(1000, 1100)})
    path = measure(tmp_path, "one", names=("old", "new"), executor=executor)
    notes = compare(path, metrics=["syscalls"], baseline="old").notes
    assert "1 count differs from process to process, and is judged like times" in notes


def test_a_cell_that_failed_has_no_verdict(tmp_path: Path) -> None:
    executor = FigureExecutor(
        status=lambda job: ("crashed", "") if job.allocator.name == "new" else None
    )
    found = compare(measure(tmp_path, "one", executor=executor), baseline="old")
    assert {verdicts(found)["new", name] for name in ("time", "syscalls")} == {None}
    assert verdicts(found)["same", "time"] is Verdict.UNCHANGED


# ---- Processes that did not end well ---------------------------------------------------------

FASTER = {"old": 10.0, "new": 9.0, "same": 10.0}
BROKEN = ("crashed", "corrupt", "timeout", "out-of-memory")


def failing(name: str, status: str, *, message: str = "boom", probe: Probe = Probe.SYSCALLS) -> Any:
    """Answers one process of that allocator with that status; the others are FASTER's."""

    def time_ns(job: Job) -> float:
        noise = 1 + 0.001 * math.sin(job.round * sum(map(ord, job.allocator.name)))
        return FASTER.get(job.allocator.name, 5.0) * noise

    def one(job: Job) -> tuple[str, str] | None:
        chosen = job.allocator.name == name and job.probe is probe and job.repeat == 0
        return (status, message) if chosen and job.round == 0 else None

    return FigureExecutor(time_ns=time_ns, status=one)


@pytest.mark.parametrize("status", BROKEN)
def test_a_candidate_that_is_broken_is_neither_improved_nor_unchanged(
    tmp_path: Path, status: str
) -> None:
    found = compare(measure(tmp_path, "one", executor=failing("new", status)), baseline="old")
    (note,) = found.notes
    assert note == (
        f"{status}: new on phase-report?allocations=50: syscalls: boom; so it is neither improved "
        "nor unchanged"
    )
    told = {(row.allocator, row.verdict) for row in found.rows}
    assert told == {("new", Verdict.INCONCLUSIVE), ("same", Verdict.UNCHANGED)}
    stream = io.StringIO()
    print_comparison(found, stream)
    assert f"! {status}: new on" in stream.getvalue()
    assert note in document(found)["notes"]
    assert f"- {status}: new on" in markdown(found)


def test_a_candidate_that_is_broken_has_regressed_where_it_has(tmp_path: Path) -> None:
    path = measure(tmp_path, "one", executor=failing("old", "corrupt"))
    found = compare(path, baseline="new")
    assert verdicts(found)["old", "time"] is Verdict.REGRESSED
    assert verdicts(found)["old", "page_faults"] is Verdict.INCONCLUSIVE


def test_of_a_baseline_that_is_broken_only_the_note_tells(tmp_path: Path) -> None:
    path = measure(tmp_path, "one", executor=failing("old", "crashed", message="killed."))
    found = compare(path, baseline="old", metrics=["time"])
    assert found.notes == ("crashed: old on phase-report?allocations=50: syscalls: killed.",)
    assert verdicts(found)["new", "time"] is Verdict.IMPROVED
    assert verdicts(found)["same", "time"] is Verdict.UNCHANGED


def test_what_cannot_be_measured_breaks_no_candidate(tmp_path: Path) -> None:
    path = measure(tmp_path, "one", executor=failing("new", "unsupported"))
    found = compare(path, baseline="old", metrics=["time"])
    assert found.notes == ("unsupported: new on phase-report?allocations=50: syscalls: boom",)
    assert verdicts(found)["new", "time"] is Verdict.IMPROVED


def test_of_two_runs_a_process_that_failed_is_told_with_its_run(tmp_path: Path) -> None:
    before = measure(tmp_path, "before", executor=failing("old", "crashed"))
    after = measure(tmp_path, "after", executor=failing("new", "corrupt", probe=Probe.MEMORY))
    found = compare(before, after)
    assert found.notes[-2:] == (
        f"{before}: crashed: old on phase-report?allocations=50: syscalls: boom",
        f"{after}: corrupt: new on phase-report?allocations=50: memory: boom; so it is neither "
        "improved nor unchanged",
    )
    assert verdicts(found)["old", "time"] is Verdict.UNCHANGED
    assert verdicts(found)["new", "time"] is Verdict.INCONCLUSIVE


def test_a_broken_candidate_is_not_inconclusive_by_noise(tmp_path: Path) -> None:
    noise = noisy(0.04)
    noise.status = failing("same", "crashed").status
    path = measure(tmp_path, "one", names=("old", "same"), executor=noise)
    notes = compare(path, metrics=["time"]).notes
    assert not any("by noise" in note for note in notes)


@pytest.mark.parametrize("first", ["old", "new"])
def test_runs_in_which_nothing_was_measured_are_refused_in_the_first_ones_words(
    tmp_path: Path, first: str
) -> None:
    def status(job: Job) -> tuple[str, str] | None:
        return ("crashed", "boom") if job.allocator.name in (first, "new") else None

    path = measure(tmp_path, "one", names=("old", "new"), executor=FigureExecutor(status=status))
    words = rf"both sides: crashed: {first} on .*: in every probe: boom$"
    with pytest.raises(NothingMeasuredError, match=words):
        compare(path, baseline="old")


def test_times_of_nothing_are_refused_as_not_measured(tmp_path: Path) -> None:
    path = measure(tmp_path, "one", executor=FigureExecutor(time_ns=lambda _: 0.0))
    with pytest.raises(NothingMeasuredError, match=r"no process has a figure of time$"):
        compare(path, baseline="old", metrics=["time"])


def test_two_runs_are_compared_cell_by_cell(tmp_path: Path) -> None:
    before = measure(tmp_path, "before")
    after = measure(tmp_path, "after", times={**TIMES, "old": 12.0})
    found = compare(before, after)
    assert verdicts(found)["old", "time"] is Verdict.REGRESSED
    assert verdicts(found)["new", "time"] is Verdict.UNCHANGED
    assert any("two sessions" in note for note in found.notes)


def test_two_runs_reach_a_verdict_in_as_few_rounds_as_ranks_do(tmp_path: Path) -> None:
    """Three times are a family: 5 rounds a side, where pairs would take 7."""
    before = measure(tmp_path, "before", rounds=5)
    after = measure(tmp_path, "after", rounds=5, times={**TIMES, "old": 13.0})
    found = compare(before, after, metrics=["time"])
    assert verdicts(found)["old", "time"] is Verdict.REGRESSED
    assert {row.paired for row in found.rows} == {False}
    few = compare(
        measure(tmp_path, "b3", rounds=3), measure(tmp_path, "a3", rounds=3), metrics=["time"]
    )
    assert any("they take 5 rounds or more (run -r 5)" in note for note in few.notes)


VARYING = {"threads": [6254, 4100, 7890, 5020, 9911, 3050], "modes": [1617, 1620]}


@pytest.mark.parametrize("values", VARYING.values(), ids=VARYING)
def test_identical_counts_that_vary_get_no_verdict_between_two_runs(
    tmp_path: Path, values: list[int]
) -> None:
    rng = random.Random(4)

    def run_of(label: str) -> Path:
        executor = FigureExecutor(
            calls=lambda _: {"futex": rng.choice(values)},
            memory=lambda _: {**MEMORY, "page_faults": rng.choice(values)},
        )
        return measure(tmp_path, label, names=("old",), executor=executor, rounds=1)

    runs = [run_of(f"run{n}") for n in range(12)]
    found = [
        verdicts(compare(before, after, metrics=["syscalls", "page_faults"]))
        for before, after in itertools.combinations(runs, 2)
    ]
    wrong = sum(v in (Verdict.REGRESSED, Verdict.IMPROVED) for rows in found for v in rows.values())
    assert wrong / (2 * len(found)) <= 0.05


def test_a_count_that_varies_is_judged_like_a_time_and_that_is_said(tmp_path: Path) -> None:
    rng = random.Random(5)

    def calls(job: Job) -> dict[str, int]:
        return {"futex": rng.randrange(1000, 1100) * (3 if job.allocator.name == "new" else 1)}

    found = compare(measure(tmp_path, "one", executor=FigureExecutor(calls=calls)), baseline="old")
    row = next(r for r in found.rows if (r.allocator, r.metric) == ("new", "syscalls"))
    assert not row.exact
    assert row.ratio.estimate == pytest.approx(3.0, rel=0.1)
    assert row.verdict is Verdict.INCONCLUSIVE, "two such rows, and 4 processes: 1 in 70 each"
    assert any("2 counts differ from process to process" in note for note in found.notes)


@pytest.mark.parametrize(
    ("spec", "verdict"),
    [
        ("phase-report?allocations=50", Verdict.REGRESSED),
        ("larson?slots=4&replacements=40", Verdict.INCONCLUSIVE),
    ],
)
def test_between_two_runs_a_count_of_threads_is_never_exact(
    tmp_path: Path, spec: str, verdict: Verdict
) -> None:
    """How far threads are apart is the session's: a run's processes may all agree on it."""

    def run_of(label: str, faults: int) -> Path:
        executor = FigureExecutor(memory=lambda _: {**MEMORY, "page_faults": faults})
        return measure(
            tmp_path, label, names=("old", "new"), scenarios=(spec,), executor=executor, rounds=5
        )

    before, after = run_of("before", 10), run_of("after", 12)
    found = compare(before, after, metrics=["page_faults", "peak_live", "syscalls"])
    by_row = verdicts(found)
    assert by_row["old", "page_faults"] is verdict
    assert by_row["old", "peak_live"] is Verdict.UNCHANGED
    assert all(row.exact for row in found.rows if row.metric == "peak_live")


def test_a_single_process_gives_no_verdict_on_a_count(tmp_path: Path) -> None:
    path = measure(tmp_path, "one", names=("old", "new"))
    lines = (path / "processes.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line).get("repeat", 0) == 0]
    (path / "processes.jsonl").write_text("".join(kept))
    found = verdicts(compare(path, baseline="old"))
    assert found["new", "page_faults"] is Verdict.INCONCLUSIVE
    assert found["new", "syscalls"] is Verdict.INCONCLUSIVE


def test_a_cell_that_only_one_run_has_is_named(tmp_path: Path) -> None:
    before = measure(tmp_path, "before")
    after = measure(tmp_path, "after", names=("old", "new"))
    (note,) = [note for note in compare(before, after).notes if "in one run only" in note]
    assert "same on phase-report" in note
    assert "new on" not in note


def test_runs_of_different_lengths_are_compared_by_all_that_they_have(tmp_path: Path) -> None:
    before = measure(tmp_path, "before", rounds=20)
    after = measure(tmp_path, "after", rounds=12)
    rows = compare(before, after, metrics=["time"]).rows
    assert {row.pairs for row in rows} == {12}
    alike = compare(measure(tmp_path, "short", rounds=12), after, metrics=["time"]).rows
    assert rows[0].min_detectable_ratio < alike[0].min_detectable_ratio


def test_runs_of_a_changed_scenario_are_refused(tmp_path: Path) -> None:
    before, after = measure(tmp_path, "before"), measure(tmp_path, "after")
    scenarios = json.loads((after / "run.json").read_text("utf-8"))["scenarios"]
    rewrite(after, scenarios=[{**scenarios[0], "digest": "0" * 64}])
    with pytest.raises(ScenarioChangedError, match="phase-report"):
        compare(before, after)


def test_runs_of_other_work_between_calls_are_refused_and_it_is_named(tmp_path: Path) -> None:
    before, after = measure(tmp_path, "before"), measure(tmp_path, "after")
    scenarios = json.loads((after / "run.json").read_text("utf-8"))["scenarios"]
    rewrite(after, scenarios=[{**scenarios[0], "digest": "0" * 64, "work_ns": 25}])
    with pytest.raises(ScenarioChangedError, match="work_ns is 25 now, and was 0"):
        compare(before, after)


def test_cells_of_a_run_at_different_work_are_never_a_pair(tmp_path: Path) -> None:
    names = ("phase-report?allocations=50", "phase-report?allocations=50&work_ns=25")
    run = measure(tmp_path, "run", scenarios=names)
    pairs = {(row.scenario, row.allocator) for row in compare(run).rows}
    assert {scenario for scenario, _ in pairs} == set(names)
    with pytest.raises(NothingMeasuredError, match="no cell in common"):
        compare(measure(tmp_path, "asap"), measure(tmp_path, "paced", scenarios=names[1:]))


def test_runs_without_a_common_cell_are_refused(tmp_path: Path) -> None:
    before = measure(tmp_path, "before")
    after = measure(tmp_path, "after", scenarios=("phase-report?allocations=60",))
    with pytest.raises(NothingMeasuredError, match="no cell in common"):
        compare(before, after)


COUNTS = {"syscalls", "page_faults", "peak_mapped", "peak_rss"}


@pytest.mark.parametrize(
    ("fact", "kept"),
    [("cpu", COUNTS), ("huge_page_defrag", {"syscalls"}), ("microcode", COUNTS)],
)
def test_runs_of_two_machines_are_compared_as_far_as_the_facts_hold(
    tmp_path: Path, fact: str, kept: set[str]
) -> None:
    before, after = measure(tmp_path, "before"), measure(tmp_path, "after")
    rewrite(after, environment={**environment(after), fact: "another"})
    found = compare(before, after)
    assert {row.metric for row in found.rows} == kept
    (note,) = [note for note in found.notes if note.startswith("different machines: ")]
    assert f"{fact}: " in note
    assert "another now: time" in note


@pytest.mark.parametrize("fact", ["valgrind", "valgrind_cpu"])
def test_what_valgrind_shows_moves_neither_times_nor_other_counts(
    tmp_path: Path, fact: str
) -> None:
    before, after = measure(tmp_path, "before"), measure(tmp_path, "after")
    rewrite(after, environment={**environment(after), fact: "another"})
    found = compare(before, after)
    assert {row.metric for row in found.rows} == COUNTS | {"time"}
    assert not any("do not hold" in note for note in found.notes)
    assert any(note.startswith("two sessions: ") for note in found.notes)


@pytest.mark.parametrize("fact", ["valgrind", "valgrind_cpu", "libc_sha256"])
def test_instructions_of_another_valgrind_cpu_or_libc_are_not_compared(
    tmp_path: Path, fact: str
) -> None:
    before, after = measure(tmp_path, "before"), measure(tmp_path, "after")
    rewrite(after, environment={**environment(after), fact: "another"})
    with pytest.raises(NothingMeasuredError, match=rf"{fact}: .* another now: instructions does"):
        compare(before, after, metrics=["instructions"])


def test_runs_of_which_nothing_holds_are_refused_and_the_fact_is_named(tmp_path: Path) -> None:
    before, after = measure(tmp_path, "before"), measure(tmp_path, "after")
    rewrite(after, driver_sha256="0" * 64)
    with pytest.raises(NothingMeasuredError, match=r"driver: .* then, 000000000000 now: time, "):
        compare(before, after)
    assert compare(before, after, metrics=["peak_live"]).rows


def test_a_quick_run_is_compared_on_counts_only(tmp_path: Path) -> None:
    path = measure(tmp_path, "one", quick=True)
    found = compare(path, baseline="old")
    assert "time" not in {row.metric for row in found.rows}
    assert any("quick run" in note for note in found.notes)


def test_a_metric_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'time'"):
        compare(measure(tmp_path, "one"), metrics=["tiem"])


def test_two_runs_have_no_baseline_among_their_allocators(tmp_path: Path) -> None:
    path = measure(tmp_path, "one")
    with pytest.raises(UsageError, match="of one run"):
        compare(path, path, baseline="old")


# ---- Time saved --------------------------------------------------------------------------


def saved(found: ComparedRuns) -> dict[str, Interval]:
    return {row.allocator: row.saved_ns for row in found.rows if row.saved_ns is not None}


def adding(rest: float) -> FigureExecutor:
    """`new` takes 3 ns more than `old`, and both what else there is."""
    rng = random.Random(3)
    more = {"old": 0.0, "new": 3.0}
    return FigureExecutor(
        time_ns=lambda job: 10.0 + rest + more.get(job.allocator.name, 0.0) + rng.uniform(-0.1, 0.1)
    )


@pytest.mark.parametrize("rest", [0.0, 100.0])
def test_what_is_saved_does_not_depend_on_what_else_there_is(tmp_path: Path, rest: float) -> None:
    names = ("old", "new")
    path = measure(tmp_path, "one", names=names, executor=adding(rest))
    (within,) = saved(compare(path, baseline="old")).values()
    assert within.estimate == pytest.approx(-3.0, abs=0.1)
    assert within.lower < -3.0 < within.upper
    (row,) = compare(path, metrics=["time"]).rows
    assert (row.ratio.estimate > 1.2) == (rest == 0.0)


def test_between_two_runs_it_is_the_shift_of_all_pairs(tmp_path: Path) -> None:
    before = measure(tmp_path, "before", names=("old",), executor=adding(0.0))
    after = measure(tmp_path, "after", names=("old",), executor=adding(7.0))
    found = saved(compare(before, after, metrics=["time"]))["old"]
    assert found.estimate == pytest.approx(-7.0, abs=0.1)
    assert found.lower < -7.0 < found.upper and found.upper - found.lower < 0.5


def test_a_count_saves_no_time_and_every_time_does(tmp_path: Path) -> None:
    found = compare(measure(tmp_path, "one"), baseline="old")
    assert {row.metric for row in found.rows if row.saved_ns is not None} == {"time"}
    rows = document(found)["rows"]
    told = {row["metric"]: row["saved_ns"] for row in rows if row["allocator"] == "new"}
    assert told.pop("time") == pytest.approx(-1.0, abs=0.1)
    assert set(told.values()) == {None}
    header, *lines = csv_text(found).splitlines()
    assert ",ratio_upper,saved_ns,saved_ns_lower,saved_ns_upper,theta," in header
    assert all(line.count(",") == header.count(",") for line in lines)


def test_too_few_rounds_bound_no_time_saved_and_the_document_has_null(tmp_path: Path) -> None:
    found = compare(measure(tmp_path, "one", rounds=3), baseline="old", metrics=["time"])
    row = document(found)["rows"][0]
    assert row["saved_ns"] == pytest.approx(-1.0, abs=0.2)
    assert (row["saved_ns_lower"], row["saved_ns_upper"]) == (None, None)


def test_what_the_run_was_asked_for_is_compared_and_held_against_the_time(tmp_path: Path) -> None:
    executor = FigureExecutor(
        time_ns=lambda job: {"new": 12.0, "old": 10.0}.get(job.allocator.name, 5.0),
        memory=lambda job: {**MEMORY, "page_faults": 9 if job.allocator.name == "new" else 5},
    )
    request = Request(
        allocators=[arm("old"), arm("new")],
        scenarios=[small_scenario()],
        probes=[Probe.THROUGHPUT, Probe.MEMORY, Probe.INSTRUCTIONS],
        rounds=20,
        seed=1,
        out=tmp_path,
        label="asked",
        command=[],
    )
    path = run(request, executor, progress=no_progress)
    found = compare(path, baseline="old")
    rows = {row.metric: row for row in found.rows}
    assert rows["instructions"].verdict is Verdict.UNCHANGED
    assert not any("simulated" in metric for metric in rows), "nobody asked for these"
    assert rows["instructions"].candidate == 9.0
    (note,) = (note for note in found.notes if "instructions" in note)
    assert "they tell less than half of that" in note
    assert "What else is more: page faults in operation, 5 to 9" in note
    by_kind = compare(path, baseline="old", metrics=["instructions.malloc"])
    assert [row.candidate for row in by_kind.rows] == [9.0]

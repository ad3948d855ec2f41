"""Benchmarks of other tools: what is read of their files, what is refused, what a run then says."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allocphase.analysis.frames import Run, load
from allocphase.compare import CompareSettings, compare_runs
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.export.exported import Choice
from allocphase.export.go import write as write_go
from allocphase.export.google_benchmark import write as write_google
from allocphase.run.foreign.benchmarks import Benchmarks
from allocphase.run.foreign.imported import BenchmarkSource, read_benchmarks, write_imported
from allocphase.stats import Verdict
from tests.support.benchmarks import BENCHMARKS, go_text, google, google_entry
from tests.support.exports import NOTHING

Read = Callable[..., Benchmarks]
Import = Callable[..., Run]


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., BenchmarkSource]:
    """A file with that text, as the user names it."""

    def make(text: str, name: str = "google-benchmark", **more: Any) -> BenchmarkSource:
        path = tmp_path / "file"
        path.write_text(text, encoding="utf-8")
        return BenchmarkSource(path=path, name=name, **{"allocator": "mine", **more})

    return make


@pytest.fixture
def imported(source: Callable[..., BenchmarkSource], tmp_path: Path) -> Import:
    """A run directory of it."""
    made = iter(range(100))

    def make(text: str, name: str = "google-benchmark", **more: Any) -> Run:
        described = source(text, name, **more)
        folder = tmp_path / f"run {next(made)}"
        write_imported(read_benchmarks(described), described, folder)
        return load(folder)

    return make


def times(values: list[float], name: str = "BM_alloc/64") -> list[dict[str, Any]]:
    return [google_entry(name, value) for value in values]


# ---- What is read ------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "ns"), [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)])
def test_times_of_google_benchmark_are_in_its_unit(imported: Import, unit: str, ns: float) -> None:
    run = imported(google([google_entry("BM_alloc", 1.5, time_unit=unit)]))
    assert run.times["mine", "BM_alloc"].tolist() == [1.5 * ns]


@pytest.mark.parametrize(("unit", "ns"), [("ns/op", 1.0), ("sec/op", 1e9)])
def test_times_of_go_are_in_theirs(imported: Import, unit: str, ns: float) -> None:
    run = imported(f"BenchmarkAlloc-8 100 2.5 {unit} 3 B/op\n", "go")
    assert run.times["mine", "BenchmarkAlloc-8"].tolist() == [2.5 * ns]


def test_entries_of_one_name_are_repetitions_and_aggregates_are_none(imported: Import) -> None:
    mean = google_entry("BM_alloc/64", 9.0, run_type="aggregate", aggregate_name="mean")
    older = google_entry("BM_alloc/64_stddev", 9.0, aggregate_name="stddev")
    run = imported(google([*times([3.0, 1.0, 2.0]), mean, older]))
    assert run.scenarios == ["BM_alloc/64"]
    assert run.times["mine", "BM_alloc/64"].tolist() == [3.0, 1.0, 2.0]


def test_what_is_not_measured_is_absent_and_not_0(imported: Import) -> None:
    (cell,) = imported(google(times([float(n) for n in range(10, 20)]))).cell_list
    assert cell.metrics.keys() == {
        "time_per_op_ns",
        "time_per_op_ns_interval",
        "ops_per_second",
        "allocator_stats",
        "allocator_stats_range",
        "floor_ns",
        "replay_share",
        "saved_per_op_ns",
        "saved_per_op_ns_interval",
    }
    assert cell.metrics["floor_ns"] is None
    assert cell.metrics["replay_share"] is None
    assert cell.warnings == ()


def test_counters_cpu_time_and_iterations_are_told(imported: Import) -> None:
    entry = google_entry("BM", 2.0, time_unit="us", cpu_time=1.5, peak_rss=4096, label="text")
    (cell,) = imported(google([entry])).cell_list
    assert cell.metrics["allocator_stats"] == {
        "iterations": 1000,
        "cpu_time_ns": 1500,
        "peak_rss": 4096,
    }


def test_a_benchmark_that_failed_is_a_cell_with_its_message(imported: Import) -> None:
    bad = {"name": "BM_bad", "error_occurred": True, "error_message": "no <b>memory</b>"}
    skipped = {"name": "BM_skipped", "skipped": True}
    cells = imported(google([bad, skipped, *times([1.0])])).cell_list
    assert [(cell.status.value, cell.message) for cell in cells] == [
        ("unsupported", "throughput: no <b>memory</b>"),
        ("unsupported", "throughput: no reason is given"),
        ("ok", ""),
    ]


@pytest.mark.parametrize(
    ("iterations", "time_ns", "problem"),
    [
        ("9" * 400, "1", "inf iterations of 1 ns"),
        ("9" * 5000, "1", "inf iterations of 1 ns"),
        ("9" * 19, "1", r"1e\+19 iterations of 1 ns"),
        ("9" * 17, "1e18", r"1e\+17 iterations of 1e\+18 ns"),
        ("1", "1e19", r"a time of 1e\+19 ns"),
        ("1", "nan", "a time of nan ns"),
    ],
)
def test_figures_that_no_run_can_have_are_refused_with_their_line(
    source: Callable[..., BenchmarkSource], iterations: str, time_ns: str, problem: str
) -> None:
    described = source(f"pkg: x\nBenchmarkA {iterations} {time_ns} ns/op\n", "go")
    with pytest.raises(UsageError, match=f"file: line 2: {problem}"):
        read_benchmarks(described)


def test_iterations_that_google_benchmark_cannot_have_made_are_refused(
    source: Callable[..., BenchmarkSource],
) -> None:
    entries = [*times([1.0]), google_entry("BM", 1.0, iterations=2**63)]
    with pytest.raises(UsageError, match=r"benchmarks\[1\]: 9.2\S+ iterations of 1 ns"):
        read_benchmarks(source(google(entries)))


def test_more_threads_than_any_trace_has_are_refused(
    source: Callable[..., BenchmarkSource],
) -> None:
    with pytest.raises(UsageError, match=r"benchmarks\[0\]\.threads: must be an integer between"):
        read_benchmarks(source(google([google_entry("BM", 1.0, threads=2**31)])))


def test_a_unit_that_no_run_can_hold_is_refused(source: Callable[..., BenchmarkSource]) -> None:
    with pytest.raises(UsageError, match=r"line 1: a unit of more than 300 characters"):
        read_benchmarks(source(f"BenchmarkA 1 2 ns/op 3 {'x' * 301}\n", "go"))


def test_a_time_too_short_for_a_clock_can_be_imported(imported: Import) -> None:
    run = imported("BenchmarkA 1 0.0000001 ns/op\n", "go")
    assert run.times["mine", "BenchmarkA"].tolist() == [1e-7]


def test_facts_of_the_machine_are_those_of_the_file(imported: Import) -> None:
    run = imported(google(times([1.0])))
    assert run.manifest.environment == {
        "host_name": "buildbox",
        "cpu": "that of buildbox",
        "cpus": 2,
    }
    assert run.manifest.started == "2026-11-28T10:00:00+01:00"
    run = imported(go_text({"BenchmarkA": [1.0]}), "go")
    assert run.manifest.environment == {"cpu": "Some CPU @ 2.00GHz", "machine": "x86_64"}


def test_a_file_that_does_not_say_when_is_of_when_it_was_written(
    source: Callable[..., BenchmarkSource],
) -> None:
    described = source(go_text({"BenchmarkA": [1.0]}), "go")
    os.utime(described.path, (0, 86_400))
    assert read_benchmarks(described).started == "1970-01-02T00:00:00+00:00"


def test_what_makes_its_times_doubtful_is_a_note_of_the_run(imported: Import) -> None:
    run = imported(google(times([1.0]), library_build_type="debug", cpu_scaling_enabled=True))
    notes = run.files.notes()
    assert notes[0] == "imported from file of Google Benchmark, not paired: times alone, no trace"
    assert [note for note in notes if "debugging" in note]
    assert [note for note in notes if "clock" in note]
    run = imported("BenchmarkA 1 3 B/op\nBenchmarkA 1 2 ns/op\n", "go")
    assert "1 line without ns/op" in run.files.notes()


def test_names_with_blanks_markup_and_letters_are_kept(imported: Import) -> None:
    name = "BM größe/<b>fett</b> & |x|"
    assert imported(google(times([1.0], name))).scenarios == [name]


def of_packages(*packages: str) -> str:
    """`BenchmarkAlloc` of each, of 10 ns in the first, 20 in the second; BenchmarkFree of one."""
    lines = [
        f"pkg: {name}\nBenchmarkAlloc-8 100 {10 * place}.0 ns/op"
        for place, name in enumerate(packages, start=1)
    ]
    return "\n".join([*lines, "BenchmarkFree-8 100 1.0 ns/op"]) + "\n"


@pytest.mark.parametrize(
    ("packages", "names"),
    [
        (("example.org/a", "example.org/b"), ["a.BenchmarkAlloc-8", "b.BenchmarkAlloc-8"]),
        (
            ("example.org/a/x", "example.org/b/x"),
            ["example.org/a/x.BenchmarkAlloc-8", "example.org/b/x.BenchmarkAlloc-8"],
        ),
    ],
)
def test_a_name_of_go_in_several_packages_is_a_scenario_of_each(
    imported: Import, packages: tuple[str, ...], names: list[str]
) -> None:
    run = imported(of_packages(*packages), "go")
    assert run.scenarios == [*names, "BenchmarkFree-8"]
    assert [run.times["mine", name].tolist() for name in names] == [[10.0], [20.0]]


def test_a_name_of_go_in_one_package_is_the_same_whatever_the_package(imported: Import) -> None:
    run = imported(of_packages("example.org/a", "example.org/a"), "go")
    assert run.scenarios == ["BenchmarkAlloc-8", "BenchmarkFree-8"]
    assert run.times["mine", "BenchmarkAlloc-8"].tolist() == [10.0, 20.0]


def test_a_package_that_cannot_be_printed_is_no_part_of_a_name(
    source: Callable[..., BenchmarkSource],
) -> None:
    with pytest.raises(UsageError, match="cannot be printed"):
        read_benchmarks(source(of_packages("a\u200e", "b"), "go"))


@pytest.mark.parametrize(
    "date", ["yesterday", "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"]
)
def test_a_date_that_is_none_is_told_and_the_file_s_own_stands_for_it(
    source: Callable[..., BenchmarkSource], date: str
) -> None:
    described = source(google(times([1.0]), date=date))
    os.utime(described.path, (0, 86_400))
    found = read_benchmarks(described)
    assert found.started == "1970-01-02T00:00:00+00:00"
    assert found.notes == (f"its date, '{date}', is no time: that of the file stands for it",)


# ---- Allocators, and what is paired ------------------------------------------------------

NAMED = {"BenchmarkA/allocator=one/64": [10.0, 11.0], "BenchmarkA/allocator=two/64": [5.0, 5.5]}


def test_one_of_several_allocators_is_chosen_by_its_name(imported: Import) -> None:
    run = imported(go_text(NAMED), "go", allocator="two")
    assert (run.allocators, run.scenarios) == (["two"], ["BenchmarkA/64"])
    assert run.times["two", "BenchmarkA/64"].tolist() == [5.0, 5.5]


def test_several_are_one_run_only_where_their_rounds_were_paired(
    imported: Import, source: Callable[..., BenchmarkSource]
) -> None:
    with pytest.raises(UsageError, match=r"\(one, two\): import each into a run"):
        read_benchmarks(source(go_text(NAMED), "go", allocator=None))
    run = imported(go_text(NAMED), "go", allocator=None, paired=True)
    two = next(cell for cell in run.cell_list if cell.allocator == "two")
    assert two.metrics["saved_per_op_ns"] == 5.25
    assert "in one round, as was said" in run.files.notes()[0]


def test_go_s_number_of_processors_is_the_benchmark_s_and_not_the_allocator_s(
    imported: Import,
) -> None:
    run = imported("BenchmarkA/allocator=one-8 1 2.0 ns/op\n", "go", allocator=None)
    assert (run.allocators, run.scenarios) == (["one"], ["BenchmarkA-8"])
    run = imported("BenchmarkA/allocator=one-8/64-4 1 2.0 ns/op\n", "go", allocator=None)
    assert (run.allocators, run.scenarios) == (["one-8"], ["BenchmarkA/64-4"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("go", go_text({"BenchmarkA/allocator=a/64": [1.0], "BenchmarkA/64/allocator=a": [2.0]})),
        ("google-benchmark", google([*times([1.0], "B/allocator:a/64"),
                                     *times([2.0], "B/64/allocator:a")])),
    ],
)  # fmt: skip
def test_two_benchmarks_that_are_one_without_their_allocator_are_refused_by_both_names(
    source: Callable[..., BenchmarkSource], name: str, text: str
) -> None:
    with pytest.raises(UsageError, match=r"'B\S*/allocator.a/64' and 'B\S*/64/allocator.a' are"):
        read_benchmarks(source(text, name, allocator=None))


def test_two_files_are_compared_unpaired_and_a_slowdown_is_found(imported: Import) -> None:
    before = imported(google(times([10 + 0.01 * n for n in range(10)])))
    after = imported(google(times([11 + 0.01 * n for n in range(10)])))
    same = imported(google(times([10 + 0.01 * (9 - n) for n in range(10)])))

    def row(other: Run) -> Any:
        settings = CompareSettings(baseline=None, theta=0.02, memory_theta=0.05, metrics=("time",))
        (found,) = compare_runs([before.path, other.path], settings).rows
        return found

    assert (row(after).verdict, row(after).paired) == (Verdict.REGRESSED, False)
    assert (row(same).verdict, row(same).paired) == (Verdict.UNCHANGED, False)


def test_times_of_two_machines_are_not_held_against_each_other(imported: Import) -> None:
    before = imported(google(times([1.0] * 10)))
    after = imported(google(times([9.0] * 10), host_name="another"))
    settings = CompareSettings(baseline=None, theta=0.02, memory_theta=0.05, metrics=("time",))
    with pytest.raises(NothingMeasuredError, match="cpu: that of buildbox then, that of another"):
        compare_runs([before.path, after.path], settings)


# ---- What we export ourselves ------------------------------------------------------------


def test_what_export_writes_is_imported_with_the_same_times(awkward: Run, imported: Import) -> None:
    text = write_go([awkward], Choice()).content.decode("utf-8")
    run = imported(text, "go", allocator=None, paired=True)
    assert set(run.allocators) == set(awkward.allocators) - {NOTHING}
    name = "BenchmarkReplay/scenario=keep"
    for allocator in run.allocators:
        assert run.times[allocator, name] == pytest.approx(awkward.times[allocator, "keep"])
    text = write_google([awkward], Choice()).content.decode("utf-8")
    run = imported(text)
    assert run.times["mine", "keep/libc"] == pytest.approx(awkward.times["libc", "keep"])


def test_an_allocator_with_a_number_at_its_end_comes_back_from_go_s_format(
    imported: Import,
) -> None:
    first = imported(google(times([2.0], "BM")), allocator="one-8")
    text = write_go([first], Choice()).content.decode("utf-8")
    run = imported(text, "go", allocator=None)
    assert (run.allocators, run.scenarios) == (["one-8"], ["BenchmarkImported/scenario=BM"])


# ---- What is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("google-benchmark", "{", "Expecting"),
        ("google-benchmark", "[]", "benchmarks: missing: this is no JSON of Google Benchmark"),
        ("google-benchmark", '{"benchmarks": []}', "there is no result of google-benchmark"),
        ("google-benchmark", google(times([-1.0])), r"benchmarks\[0\]\.real_time: "),
        ("google-benchmark", google([{"name": "x"}]), r"benchmarks\[0\]\.real_time: missing"),
        ("google-benchmark", google(times([1.0]), json_schema_version=2), "not 1"),
        ("google-benchmark", google(times([1.0], "a\nb")), r"benchmarks\[0\]\.name: "),
        (
            "google-benchmark",
            google([google_entry("x", 1.0, time_unit="h")]),
            r"benchmarks\[0\]\.time_unit: one of ns, us, ms, s",
        ),
        (
            "google-benchmark",
            google([google_entry("x_mean", 1.0, run_type="aggregate")]),
            "aggregates only: measure with --benchmark_repetitions=10",
        ),
        ("go", "PASS\n", "there is no result of go in it"),
        ("go", "BenchmarkA 1 x ns/op\n", "line 1: a value that is no number"),
        ("go", "BenchmarkA 1 2\n", "line 1: a value without a unit"),
        ("go", "BenchmarkA 1 nan ns/op\n", "line 1: a time of nan ns"),
        ("go", "BenchmarkA\u200e 1 2 ns/op\n", "cannot be printed"),
        ("go", "BenchmarkA/allocator=a%0Ab 1 2 ns/op\n", "cannot be printed"),
        ("google-benchmark", google(times([1.0], "/allocator:x")), "'/allocator:x' names an"),
    ],
)
def test_a_file_that_is_none_is_one_line_with_its_name_and_the_place(
    source: Callable[..., BenchmarkSource], name: str, text: str, problem: str
) -> None:
    with pytest.raises(UsageError, match=f"file: .*{problem}"):
        read_benchmarks(source(text, name))


def test_benchmarks_that_name_no_allocator_have_to_be_given_one(
    source: Callable[..., BenchmarkSource],
) -> None:
    for name, text in BENCHMARKS.items():
        with pytest.raises(UsageError, match=" --allocator NAME"):
            read_benchmarks(replace(source(text, name), allocator=None))


def test_nothing_is_left_of_a_run_that_cannot_be_written(
    source: Callable[..., BenchmarkSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = source(google(times([1.0])))
    found = read_benchmarks(described)

    def full(*_: object) -> None:
        raise UsageError("no space")

    monkeypatch.setattr("allocphase.store.writer.append_line", full)
    with pytest.raises(UsageError, match="no space"):
        write_imported(found, described, tmp_path / "run")
    assert not (tmp_path / "run").exists()

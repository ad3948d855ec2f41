"""The catalogue of metrics: complete, documented, and each taken by either of its names."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from allocphase.analysis import frames
from allocphase.analysis.measures import CATALOGUE, COMPARED_NAMES, MEASURES, Measure
from allocphase.analysis.metric_names import compared, measure
from allocphase.analysis.metrics import cell_metrics
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.claim import load
from allocphase.claim.forms.absolute import Absolute
from allocphase.claim.forms.count import Count
from allocphase.compare import DEFAULT_METRICS
from allocphase.errors import UsageError
from allocphase.judge.limits import parse_limit
from allocphase.machine.fingerprint import CALL_FACTS, INSTRUCTION_FACTS, MEMORY_FACTS, TIME_FACTS
from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.probe.result import (
    Program,
    ProgramCalls,
    ProgramMemory,
    ProgramSyscalls,
    Result,
)
from allocphase.probe.status import Status
from allocphase.pytest_plugin.cell import Cell
from allocphase.store.record import ProcessRecord
from cli import main
from tests.golden.synthetic import write_run
from tests.support.plugins import ROOT

# One of each family: what stands for its placeholders.
WORDS = {
    "kind": "free",
    "statistic": "p99_9",
    "phase": "teardown",
    "probe": "memory",
    "quantile": "p99",
    "cause": "system_call",
    "call": "mmap",
    "function": "arena_alloc",
    "stat": "pool_hits",
    "entry": "calloc",
    "event": "cycles",
}


def filled(text: str) -> str:
    return re.sub("<([a-z]+)>", lambda found: WORDS[found[1]], text)


def each(chosen: Callable[[Measure], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Parameters of a test: the chosen metrics, by each of their names."""
    return pytest.mark.parametrize(
        ("one", "name"),
        [
            pytest.param(one, filled(name), id=name)
            for one in CATALOGUE
            if chosen(one)
            for name in dict.fromkeys((one.name, one.path))
        ],
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> frames.Run:
    return frames.load(write_run(tmp_path_factory.mktemp("measures")))


def claim(tmp_path: Path, name: str, form: str) -> str:
    path = tmp_path / "claims.toml"
    figure = 'published = "x_ns"' if form == "absolute" else "at_least = 0"
    path.write_text(
        'title = "T"\nsource = "S"\n[[claim]]\nid = "A"\ntext = "t"\nsource = "s"\n'
        f'published = {{ x_ns = 1.0 }}\n[claim.check]\nform = "{form}"\nallocator = "a"\n'
        f'scenario = "s"\nmetric = "{name}"\n{figure}\n'
    )
    return str(path)


@each()
def test_a_metric_is_found_by_either_name(one: Measure, name: str) -> None:
    found = measure(name)
    assert (found.name, found.path) == (filled(one.name), filled(one.path))


@each(lambda one: one.rule is not None)
def test_a_limit_takes_either_name_and_is_printed_with_the_short_one(
    one: Measure, name: str
) -> None:
    assert str(parse_limit(f"{name}=5%:larson")) == f"{filled(one.name)}=5%:larson"


@each(lambda one: one.rule is not None and not one.probe.of_programs)
def test_compare_takes_either_name_and_prints_the_short_one(
    one: Measure, name: str, run: frames.Run
) -> None:
    """Beside the time, which every cell has."""
    arguments = ["compare", str(run.path), "--metric", name, "--metric", "time", "--json", "-"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    units = {row["metric"]: row["unit"] for row in rows}
    assert units == {"time": "ns", filled(one.name): one.unit}


@each(lambda one: one.claimed)
def test_a_claims_file_takes_either_name_and_has_the_one_with_the_unit(
    one: Measure, name: str, tmp_path: Path
) -> None:
    form = "absolute" if one.timed else "count"
    ((check,),) = (found.checks for found in load(claim(tmp_path, name, form)).claims)
    assert isinstance(check, Absolute | Count)
    assert check.selector.metric == filled(one.path)
    assert check.selector.probe is one.probe


@each(lambda one: not one.claimed)
def test_claims_refuse_what_no_process_gives_by_itself(
    one: Measure, name: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"metric: {filled(one.path)} is no number that"):
        load(claim(tmp_path, name, "count"))


@each(lambda one: one.rule is None)
def test_limits_and_compare_refuse_what_cannot_be_compared(one: Measure, name: str) -> None:
    assert measure(name).rule is one.rule is None
    with pytest.raises(UsageError, match="neither compared nor gated; these can: time, build_time"):
        compared(name)
    with pytest.raises(UsageError, match="neither compared nor gated"):
        parse_limit(f"{name}=5%")


@pytest.mark.parametrize(
    ("slip", "nearest"),
    [
        ("tiem", "time"),
        ("time_per_op", "time_per_op_ns"),
        ("peak_rs", "peak_rss"),
        ("peak_rss_byte", "peak_rss_bytes"),
        ("latency_ns.maloc.p99", "latency_ns.malloc.p99"),
        ("latency_ns.malloc", "latency_ns.malloc.p99"),
        ("peak_rss_bytes.x", "peak_rss_bytes"),
        # A phase misspelled is no system call that was never made.
        ("syscalls.operations", "syscalls.operation"),
        ("syscalls.teardwon", "syscalls.teardown"),
        ("program_syscalls.totl", "program_syscalls.total"),
    ],
)
def test_an_unknown_name_gets_the_nearest_of_all_names_and_paths(slip: str, nearest: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"{slip!r} does not exist: did you mean")) as e:
        measure(slip)
    assert str(e.value).endswith(f"{nearest!r}?")


def test_no_name_means_two_metrics() -> None:
    names = [name for one in CATALOGUE for name in {one.name, one.path}]
    # `syscalls.<phase>.<call>` of another phase is no `syscalls.operation.<call>`.
    assert sorted(names) == sorted(set(names))


def of_programs() -> set[str]:
    """Of the catalogue's paths, the first level of what programs alone have, and its intervals."""
    mine = [one for one in CATALOGUE if one.probe.of_programs]
    roots = {one.path.partition(".")[0] for one in mine}
    return roots | {f"{one.path}_interval" for one in mine if one.interval}


def test_every_metric_of_a_program_is_in_the_catalogue_and_the_reverse() -> None:
    """But for what is saved, which takes another cell."""
    part = Program(
        wall_ns=9,
        user_ns=5,
        system_ns=1,
        largest_rss_bytes=1,
        minor_faults=1,
        major_faults=0,
        voluntary_switches=1,
        involuntary_switches=1,
        wait_status=0,
        output_bytes=0,
    )
    seen = ProgramMemory(**{**asdict(part), "peak_tree_rss_bytes": 2})
    called = ProgramCalls(**{**asdict(part), "malloc_calls": {"malloc": 2}})
    found = cell_metrics(
        [
            record(Probe.PROGRAM, Result(program=part)),
            record(Probe.PROGRAM_MEMORY, Result(program_memory=seen)),
            record(Probe.PROGRAM_CALLS, Result(program_calls=called)),
            record(Probe.PROGRAM_SYSCALLS, Result(program_syscalls=calling({"mmap": 1}))),
        ]
    )
    saved = {"saved_wall_time_ns", "saved_wall_time_ns_interval"}
    assert set(found) == of_programs() - saved


def calling(calls: Mapping[str, int] | None) -> ProgramSyscalls:
    """A program that made these calls; None: nobody could count them."""
    return ProgramSyscalls(
        wall_ns=9,
        user_ns=5,
        system_ns=1,
        largest_rss_bytes=1,
        minor_faults=1,
        major_faults=0,
        voluntary_switches=1,
        involuntary_switches=1,
        wait_status=0,
        output_bytes=0,
        calls=calls,
    )


def program_calls(*processes: Mapping[str, int] | None) -> dict[str, Any]:
    """The metrics of a cell with such processes."""
    results = [Result(program_syscalls=calling(calls)) for calls in processes]
    return cell_metrics([record(Probe.PROGRAM_SYSCALLS, result) for result in results])


def test_a_program_s_calls_are_told_together_those_of_memory_and_by_name() -> None:
    found = program_calls({"mmap": 3, "munmap": 1, "brk": 2, "read": 10}, {"mmap": 4, "read": 12})
    assert found == {
        "program_syscalls": {
            "total": 16,
            "memory": 5,
            "calls": {"mmap": 3.5, "munmap": 0.5, "brk": 1, "read": 11},
        },
        "program_syscalls_range": {
            "memory": [4, 6, 2],
            "calls": {
                "mmap": [3, 4, 2],
                "munmap": [0, 1, 2],
                "brk": [0, 2, 2],
                "read": [10, 12, 2],
            },
        },
    }
    assert measure("program_syscalls").read(found) == 16
    assert measure("program_syscalls").range_of(found) is None
    assert measure("program_memory_syscalls").range_of(found) == (4, 6, 2)
    assert measure("program_syscalls.mmap").read(found) == 3.5
    assert measure("program_syscalls.mmap").range_of(found) == (3, 4, 2)
    assert measure("program_syscalls.getpid").read(found) == 0
    assert measure("program_syscalls.memory") is measure("program_memory_syscalls")


def test_calls_of_a_program_that_nobody_could_count_are_no_small_number() -> None:
    assert program_calls(None) == {}
    for name in ("program_syscalls", "program_memory_syscalls", "program_syscalls.mmap"):
        assert math.isnan(measure(name).read({}))
    assert program_calls(None, {"mmap": 2})["program_syscalls"]["total"] == 2


def record(probe: Probe, result: Result) -> ProcessRecord:
    return ProcessRecord(
        id=0,
        round=0,
        allocator="libc",
        scenario="program",
        probe=probe,
        status=Status.OK,
        message="",
        wall_s=1.0,
        result=result,
    )


def test_every_metric_of_json_is_in_the_catalogue_and_the_reverse(run: frames.Run) -> None:
    keys = {key for cell in run.cell_list for key in cell.metrics}
    ranges = {key for key in keys if key.endswith("_range")}
    found = {name.removesuffix("_range").removesuffix("_total") for name in keys}
    intervals = {f"{one.path}_interval" for one in CATALOGUE if one.interval}
    known = {one.path.partition(".")[0] for one in CATALOGUE} | intervals
    known -= of_programs()
    assert found <= known
    # What the processes of one cell count differently.
    assert ranges == {
        f"{name}_range"
        for name in (
            "fragmentation",
            "page_faults",
            "page_faults_in_calls",
            "peak_rss_bytes",
            "syscalls",
            "syscalls_per_op",
            "syscalls_total",
        )
    }
    # What the written run has no cause for: verify, valgrind, a processor's counters and single
    # threads of one trace.
    assert known - found == {
        "allocator_stats",
        "hardware_floor_per_op",
        "hardware_per_op",
        "instruction_functions",
        "instructions",
        "instructions_per_op",
        "simulated_l1_misses_per_op",
        "simulated_ll_misses_per_op",
        "simulated_mispredictions_per_op",
        "thread_syscalls",
        "thread_time_per_op_ns",
        "verified",
    }


def test_what_a_process_says_alone_is_what_a_cell_of_it_would_say(run: frames.Run) -> None:
    processes = ProcessMetrics(run.files)
    (cell, *_) = [cell for cell in run.cell_list if cell.ok]
    records = run.records_of(cell.allocator, cell.scenario)
    said = 0
    for one in (one for one in MEASURES.values() if one.probe in TRACE_PROBES):
        values = [one.read(processes.of(r)) for r in records if r.probe == one.probe]
        if not any(map(math.isnan, values)):
            # A pooled quantile lies among the processes' own; a count is the one process's.
            assert min(values) <= one.read(cell.metrics) <= max(values)
            said += 1
    assert said >= 8


def test_quantiles_that_are_kept_in_place_of_samples_are_those_of_the_samples(
    run: frames.Run,
) -> None:
    processes, without_files = ProcessMetrics(run.files), ProcessMetrics()
    timed = [record for record in run.records if record.probe == "latency" and record.ok]
    assert timed
    for record in timed:
        kept, arrays = processes.condensed(record, run.files.samples(record.id))
        assert arrays == {}
        found = without_files.of(kept)
        assert found["process_latency_ns"] == processes.of(record)["process_latency_ns"]
        assert found["clock_step_ns"] == processes.of(record)["clock_step_ns"]
        assert "latency_ns" not in found


def test_of_other_processes_all_is_kept(run: frames.Run) -> None:
    processes = ProcessMetrics(run.files)
    others = [record for record in run.records if record.probe != "latency"]
    failed = replace(run.records[0], probe=Probe.LATENCY, status=Status.CRASHED)
    for record in (*others, failed):
        arrays = {"syscalls": np.zeros(1)}
        assert processes.condensed(record, arrays) == (record, arrays)


def test_a_process_that_failed_says_nothing(run: frames.Run) -> None:
    processes = ProcessMetrics(run.files)
    record = next(r for r in run.records if r.probe == "memory")
    assert math.isnan(
        measure("peak_rss").read(processes.of(replace(record, status=Status.CRASHED)))
    )


def test_a_call_that_nobody_made_counts_nothing_and_an_unseen_one_has_no_value() -> None:
    seen = {"syscalls": {"operation": {"mmap": 3, "brk": 1}, "init": None}}
    assert measure("syscalls").read(seen) == 4
    assert measure("syscalls.mmap").read(seen) == 3
    assert measure("syscalls.munmap").read(seen) == 0
    for name in ("syscalls.init", "syscalls.init.mmap", "syscalls.teardown"):
        assert math.isnan(measure(name).read(seen))
    assert math.isnan(measure("syscalls.mmap").read({}))


def test_a_statistic_of_the_allocator_may_have_dots_in_its_name() -> None:
    stats = {"allocator_stats": {"bins.16.hits": 7.0}}
    assert measure("allocator_stats.bins.16.hits").read(stats) == 7.0


def test_compare_shows_times_then_counts_then_bytes() -> None:
    assert [name for name in DEFAULT_METRICS if not measure(name).probe.of_programs] == [
        "time",
        "syscalls",
        "page_faults",
        "peak_mapped",
        "peak_rss",
    ]
    assert [name for name in DEFAULT_METRICS if measure(name).probe.of_programs] == [
        "wall",
        "cpu",
        "program_page_faults",
        "program_syscalls",
        "program_memory_syscalls",
        "program_peak_rss",
        "largest_process_usable",
    ]


def test_the_help_of_compare_names_all_that_it_takes() -> None:
    text = " ".join(CliRunner().invoke(main, ["compare", "--help"]).output.split())
    assert ", ".join(COMPARED_NAMES) in text


def test_the_figures_of_a_pytest_cell_are_named_as_in_the_catalogue() -> None:
    roots = {one.path.partition(".")[0] for one in CATALOGUE}
    figures = {name for name, value in vars(Cell).items() if isinstance(value, property)}
    assert len(figures) >= 10
    assert figures <= roots


def documented() -> Iterator[tuple[list[str], list[str]]]:
    """The names and the short names of each row of the table of docs/schema.md."""
    text = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    table = text.partition("| metric | short name | meaning |\n| --- | --- | --- |\n")[2]
    for line in table.partition("\n\n")[0].splitlines():
        names, short, _ = line.strip("| ").split("|", 2)
        yield re.findall("`([^`]+)`", names), re.findall("`([^`]+)`", short)


def test_the_document_has_each_metric_with_both_names_and_no_other() -> None:
    found: dict[str, str] = {}
    intervals = set()
    for names, short in documented():
        paths = [name for name in names if not name.endswith("_interval")]
        intervals |= set(names) - set(paths)
        found |= dict(zip(paths, short or paths, strict=True))
    assert found == {one.path: one.name for one in CATALOGUE}
    assert intervals == {f"{one.path}_interval" for one in CATALOGUE if one.interval}


def test_the_guide_to_ci_has_each_metric_that_can_be_gated() -> None:
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    table = text.partition("## What is gated")[2].partition("\n\nA limit is")[0]
    assert [name for name in MEASURES if f"`{name}`" not in table] == []


def test_each_measure_names_the_facts_that_it_depends_on() -> None:
    assert {name for name, one in MEASURES.items() if one.facts == TIME_FACTS} == {
        name for name, one in MEASURES.items() if one.timed
    }
    assert MEASURES["syscalls"].facts == measure("syscalls.mmap").facts == CALL_FACTS
    for name in ("page_faults", "peak_rss", "peak_mapped"):
        assert MEASURES[name].facts == MEMORY_FACTS, name
    assert MEASURES["instructions"].facts == INSTRUCTION_FACTS
    assert MEASURES["simulated_l1_misses"].facts == (*INSTRUCTION_FACTS, "simulated_caches")
    assert MEASURES["peak_live"].facts == ()
    assert measure("pass.latency").facts == TIME_FACTS
    assert all(one.facts for one in CATALOGUE if one.name != "peak_live")

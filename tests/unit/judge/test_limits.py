"""Limits: which rule a row has, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase.analysis.measures import MEASURES
from allocphase.analysis.metric_names import measure
from allocphase.errors import UsageError
from allocphase.judge import Limits, Rule, planned_rows, read_limits
from allocphase.judge.limits import parse_limit
from tests.support.gates import limits


def test_by_default_time_has_theta_and_counts_are_exact() -> None:
    found = Limits(theta=0.03, memory_theta=0.07)
    assert found.rule(MEASURES["time"], "any") == Rule(0.03, exact=False, named=False)
    assert found.rule(MEASURES["syscalls"], "any") == Rule(0.07, exact=True, named=False)
    assert found.rule(MEASURES["peak_rss"], "any") == Rule(0.07, exact=False, named=False)
    assert found.rule(MEASURES["p99"], "any") is None


def test_a_program_s_wall_and_cpu_time_are_rows_and_either_can_be_left_out() -> None:
    times = ("wall:mine", "cpu:mine")
    rows = planned_rows(["mine"], Limits(theta=0.03), programs={"mine"})
    assert {row.id: row.rule.theta for row in rows if row.measure.timed} == dict.fromkeys(
        times, 0.03
    )
    found = planned_rows(["mine"], limits("wall=off:mine"), programs={"mine"})
    assert [row.id for row in found if row.measure.timed] == ["cpu:mine"]


def test_a_limit_turns_a_tail_on_where_its_scenario_matches() -> None:
    found = limits("p99=10%:larson*")
    assert found.rule(MEASURES["p99"], "larson-2") == Rule(0.10, exact=False, named=True)
    assert found.rule(MEASURES["p99"], "random-churn") is None


@pytest.mark.parametrize(
    ("line", "required"),
    [
        ("time=5%:random-churn", True),
        ("time=5%:random*", False),
        ("*=5%:random-churn", False),
        ("time=5%", False),
    ],
)
def test_a_row_is_required_by_a_limit_that_names_it_alone(line: str, required: bool) -> None:
    rule = limits(line).rule(MEASURES["time"], "random-churn")
    assert rule is not None
    assert (rule.named, rule.required) == (True, required)


def test_of_several_limits_that_match_the_last_one_holds() -> None:
    found = limits("*=off", "time=5%", "time=1%:random*")
    assert found.rule(MEASURES["time"], "larson") == Rule(0.05, exact=False, named=True)
    assert found.rule(MEASURES["time"], "random-churn") == Rule(0.01, exact=False, named=True)
    assert found.rule(MEASURES["syscalls"], "larson") is None


def test_a_system_call_has_the_rule_of_counts_and_may_have_its_own() -> None:
    found = limits("syscalls.madvise=off", "syscalls.brk=50%")
    assert found.rule(measure("syscalls.mmap"), "any") == Rule(0.05, exact=True, named=False)
    assert found.rule(measure("syscalls.madvise"), "any") is None
    assert found.rule(measure("syscalls.brk"), "any") == Rule(0.5, exact=False, named=True)


def test_what_is_said_of_all_system_calls_holds_for_each_of_them() -> None:
    found = limits("*=off", "syscalls=10%", "syscalls.brk=off")
    assert found.rule(measure("syscalls.mmap"), "any") == Rule(0.10, exact=False, named=True)
    assert found.rule(measure("syscalls.brk"), "any") is None


def test_a_limit_for_all_rows_as_exact_leaves_times_out() -> None:
    assert limits("peak*=exact").rule(MEASURES["peak_rss"], "any") == Rule(
        0.05, exact=True, named=True
    )


def test_a_glob_is_of_paths_where_it_fits_no_short_name() -> None:
    found = limits("peak_*_bytes=7%", "process_latency_ns.malloc.p99*=30%")
    assert found.rule(MEASURES["peak_rss"], "any") == Rule(0.07, exact=False, named=True)
    assert found.rule(MEASURES["p99_9"], "any") == Rule(0.30, exact=False, named=True)
    assert found.rule(MEASURES["p90"], "any") is None
    assert found.rule(MEASURES["time"], "any") == Limits().rule(MEASURES["time"], "any")
    assert found.unused([(one, "any") for one in MEASURES.values()]) == []
    assert [str(line) for line in found.lines] == [
        "peak_*_bytes=7%",
        "process_latency_ns.malloc.p99*=30%",
    ]


def test_a_glob_of_short_names_leaves_out_what_only_a_path_would_fit() -> None:
    found = limits("syscalls.*=off")
    assert found.rule(measure("syscalls.mmap"), "any") is None
    assert found.rule(MEASURES["syscalls"], "any") == Rule(0.05, exact=True, named=False)


def test_a_glob_of_calls_by_path_is_of_each_call() -> None:
    found = limits("syscalls.operation.m*=off")
    assert found.rule(measure("syscalls.mmap"), "any") is None
    assert found.rule(measure("syscalls.brk"), "any") == Rule(0.05, exact=True, named=False)
    assert found.named_members() == []


@pytest.mark.parametrize("glob", ["program_syscalls.m*", "program_syscalls.calls.m*"])
def test_a_glob_of_a_program_s_calls_is_of_each_call_and_not_of_all_together(glob: str) -> None:
    found = limits(f"{glob}=exact")
    assert found.rule(measure("program_syscalls.mmap"), "any") == Rule(0.05, exact=True, named=True)
    assert found.rule(measure("program_syscalls.brk"), "any") is None
    assert found.rule(MEASURES["program_syscalls"], "any") == Rule(0.05, exact=False, named=False)
    assert found.rule(MEASURES["program_memory_syscalls"], "any") is None


def test_a_call_that_is_named_by_its_path_is_planned_by_its_short_name() -> None:
    assert limits("syscalls.operation.mmap=exact").named_members() == ["syscalls.mmap"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("time", "METRIC="),
        ("=2%", "METRIC="),
        ("time=", "METRIC="),
        ("time=fast", "neither exact nor off, and must be a share"),
        ("time=3", r"'3' is neither exact nor off, and .*: 3% or 0[.]03"),
        ("time=1", "1% or 0.01"),
        ("p99=10:larson*", "10% or 0[.]1"),
        ("time=250", "250%"),
        ("time=-1%", "must be a share between"),
        ("time=exact", "never exact"),
        ("p9?=exact", "never exact"),
        ("tiem=2%", "did you mean 'time'"),
        ("time_per_op=2%", "did you mean 'time_per_op_ns'"),
        ("process_latency_ns.malloc.p9?=exact", "never exact"),
        ("time_per_op_ns=exact", "never exact"),
        ("paek*=2%", "metric 'pa"),
        ("fragmentation=2%", "neither compared nor gated"),
    ],
)
def test_a_limit_that_says_nothing_is_refused_with_the_reason(line: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_limit(line)


def test_lines_that_speak_of_no_row_are_named() -> None:
    found = limits("time=3%:larson", "time=3%:random*", "syscalls.brk=off")
    measures = (*MEASURES.values(), measure("syscalls.mmap"))
    unused = found.unused([(one, "random-churn") for one in measures])
    assert unused == ["time=3%:larson", "syscalls.brk=off"]


def test_the_plan_has_the_rows_that_are_on_scenario_by_scenario() -> None:
    rows = planned_rows(["a", "b"], limits("*=off", "time=2%", "p99=5%:b", "syscalls.mmap=exact"))
    expected = ["time:a", "syscalls.mmap:a", "time:b", "p99:b", "syscalls.mmap:b"]
    assert [row.id for row in rows] == expected


def test_a_limits_file_has_the_same_lines(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text('limits = ["p99=10%:larson*", "time=3%"]', encoding="utf-8")
    assert read_limits(path) == (parse_limit("p99=10%:larson*"), parse_limit("time=3%"))


def test_a_line_of_a_limits_file_that_is_none_is_told_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "gate.toml"
    path.write_text('limits = ["p99=10%", "time=3"]', encoding="utf-8")
    with pytest.raises(UsageError, match=r"gate\.toml: limits: limit 'time=3': '3' is neither"):
        read_limits(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("limit = []", "did you mean 'limits'"),
        ("limits = 3", "limits: must be a list, not 3"),
        ("limits = [3]", r"limits\[0\]: must be a string, not 3"),
        ("limits = [", "not a TOML file"),
    ],
)
def test_a_broken_limits_file_is_refused_by_name(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "gate.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=why) as caught:
        read_limits(path)
    assert str(path) in str(caught.value)


def test_a_limits_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_limits(tmp_path / "gate.toml")


def test_a_measure_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'peak_rss'"):
        measure("peak_rs")

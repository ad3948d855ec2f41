"""The judge of a session: what it still wants, and the rows it ends with."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from allocphase.analysis.measures import QUANTILES
from allocphase.analysis.metric_names import measure
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.files.typed import read
from allocphase.judge import Evidence, Judge, Limits, Outcome, planned_rows
from allocphase.judge.judge import TooFewRoundsError
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result
from allocphase.probe.status import Status
from allocphase.store.record import ProcessRecord
from tests.support.gates import MEMORY, limits

IDS = itertools.count()
Results = Mapping[str, Mapping[str, Any]]
COUNTED = (Probe.PROGRAM_SYSCALLS,)
PROGRAM = {
    "wall_ns": 9,
    "user_ns": 5,
    "system_ns": 1,
    "largest_rss_bytes": 1,
    "minor_faults": 1,
    "major_faults": 0,
    "voluntary_switches": 1,
    "involuntary_switches": 1,
    "wait_status": 0,
    "output_bytes": 0,
}


def record(
    arm: str,
    probe: str,
    result: Mapping[str, Any],
    *,
    index: int = 0,
    repeat: int = 0,
    status: str = "ok",
) -> ProcessRecord:
    return ProcessRecord(
        id=next(IDS),
        round=index,
        allocator=arm,
        scenario="s",
        probe=Probe(probe),
        status=Status(status),
        message="",
        wall_s=0.1,
        repeat=repeat,
        result=read(Result, result),
    )


def times(index: int, base: float, twin: float, candidate: float) -> list[ProcessRecord]:
    arms = {"baseline": base, "twin": twin, "candidate": candidate}
    return [
        record(arm, "throughput", {"throughput": _passes(value)}, index=index)
        for arm, value in arms.items()
    ]


def _passes(time_ns: float) -> dict[str, Any]:
    return {"cold_ns_per_op": 2 * time_ns, "warm_ns_per_op": [time_ns]}


def counts(index: int, **candidate: int) -> list[ProcessRecord]:
    """Four processes of each arm: one mmap, and the same memory, but for the candidate's calls."""
    found = []
    for arm, repeat in itertools.product(("baseline", "twin", "candidate"), range(4)):
        calls = candidate if arm == "candidate" else {"mmap": 1}
        syscalls = {"init": {}, "operation": calls, "teardown": {}, "backend": "dispatch"}
        result = {"operations": 100, "syscalls": syscalls}
        found.append(record(arm, "syscalls", result, index=index, repeat=repeat))
        found.append(record(arm, "memory", {"memory": MEMORY}, index=index, repeat=repeat))
    return found


def program_counts(lacks: str = "", **candidate: int) -> list[ProcessRecord]:
    """Four processes of each arm of a program, which made one mmap, but for the candidate's calls;
    `lacks`: why nobody could count them.
    """
    found = []
    for arm, repeat in itertools.product(("baseline", "twin", "candidate"), range(8)):
        calls = candidate if arm == "candidate" else {"mmap": 1, "read": 99}
        part = {**PROGRAM, "calls": None if lacks else calls}
        result = {"program_syscalls": part, "lacks": [lacks] if lacks else []}
        found.append(record(arm, "program_syscalls", result, repeat=repeat))
    return found


def judged_program(found: Limits, records: list[ProcessRecord]) -> dict[str, Outcome]:
    """The outcome of each row of the program_syscalls probe."""
    evidence = Evidence()
    evidence.add(records)
    rows = [r for r in planned_rows(["s"], found, programs=["s"]) if r.measure.probe in COUNTED]
    result = Judge(rows, found, by_name=True).result(evidence)
    return {row.id: judged.outcome for row, judged in result.rows}


def test_a_program_s_calls_are_gated_together_and_by_name_where_a_limit_names_one() -> None:
    few, many = program_counts(mmap=3, read=99), program_counts(mmap=30, read=99)
    assert judged_program(Limits(), few) == {"program_syscalls:s": Outcome.UNCHANGED}
    assert judged_program(Limits(), many) == {"program_syscalls:s": Outcome.REGRESSED}
    named = limits("program_syscalls.mmap=exact")
    assert judged_program(named, few) == {
        "program_syscalls:s": Outcome.UNCHANGED,
        "program_syscalls.mmap:s": Outcome.REGRESSED,
    }
    globbed = limits("program_syscalls.calls.m*=exact")
    assert judged_program(globbed, few)["program_syscalls.mmap:s"] is Outcome.REGRESSED


def test_what_nobody_can_count_of_a_program_is_no_row_unless_a_limit_names_it() -> None:
    records = program_counts("system calls: ptrace is not permitted here")
    assert judged_program(Limits(), records) == {}
    named = limits("program_syscalls=2%")
    assert judged_program(named, records) == {"program_syscalls:s": Outcome.NOT_MEASURED}


def test_of_a_program_whose_calls_only_one_side_could_count_the_row_stays() -> None:
    records = [
        *(r for r in program_counts(mmap=1) if r.allocator != "candidate"),
        *(r for r in program_counts("system calls: too many") if r.allocator == "candidate"),
    ]
    assert judged_program(Limits(), records) == {"program_syscalls:s": Outcome.NOT_MEASURED}


def judge(found: Limits, **changes: Any) -> Judge:
    return Judge(planned_rows(["s"], found), found, **changes)


def test_the_first_round_wants_every_probe_of_the_plan() -> None:
    wanted = judge(Limits()).wanted(Evidence())
    assert wanted == {("s", "throughput"), ("s", "syscalls"), ("s", "memory")}


def test_equal_counts_are_not_wanted_again_and_open_times_are() -> None:
    evidence = Evidence()
    evidence.add([*times(0, 10, 10, 10), *counts(0, mmap=1)])
    assert judge(Limits()).wanted(evidence) == {("s", "throughput")}


def test_a_higher_count_is_wanted_again_and_its_memory_is_not() -> None:
    evidence = Evidence()
    evidence.add([*times(0, 10, 10, 10), *counts(0, mmap=2)])
    assert judge(Limits()).wanted(evidence) == {("s", "throughput"), ("s", "syscalls")}


def test_nothing_is_wanted_once_every_row_is_decided() -> None:
    evidence = Evidence()
    rounds = 0
    while judge(Limits()).wanted(evidence):
        evidence.add([*times(rounds, 10, 10, 10), *(counts(0, mmap=1) if rounds == 0 else [])])
        rounds += 1
    assert 5 <= rounds <= 10
    outcomes = {judged.outcome for _, judged in judge(Limits()).result(evidence).rows}
    assert outcomes == {Outcome.UNCHANGED}


def test_a_minimum_of_rounds_is_kept_for_times() -> None:
    evidence = Evidence()
    rounds = 0
    while judge(Limits(), min_rounds=15).wanted(evidence):
        evidence.add([*times(rounds, 10, 10, 10), *(counts(0, mmap=1) if rounds == 0 else [])])
        rounds += 1
    assert rounds == 15


def test_the_budget_of_rounds_ends_a_session() -> None:
    evidence = Evidence()
    found = judge(limits("*=off", "time=2%"), max_rounds=9)
    for index in range(9):
        assert found.wanted(evidence)
        evidence.add(times(index, 10, 10, 10.2 if index % 2 else 10.3))
    assert not found.wanted(evidence)


def test_a_scenario_in_which_a_process_failed_is_not_gone_on_with() -> None:
    evidence = Evidence()
    evidence.add(times(0, 10, 10, 10))
    evidence.add([record("candidate", "memory", {}, status="crashed")])
    assert not judge(Limits()).wanted(evidence)


def test_a_baseline_that_is_not_correct_is_no_failure_of_the_session() -> None:
    evidence = Evidence()
    evidence.add([record("baseline", "verify", {}, status="corrupt")])
    assert not evidence.failures()
    evidence.add([record("candidate", "verify", {}, status="corrupt")])
    assert [found.allocator for found in evidence.failures()] == ["candidate"]


def test_each_system_call_has_a_row_by_name_once_it_is_known() -> None:
    evidence = Evidence()
    for index in range(2):
        evidence.add(counts(index, mmap=1, brk=3))
    rows = judge(limits("*=off", "syscalls=exact")).result(evidence).rows
    found = {row.id: judged.outcome for row, judged in rows}
    assert found == {
        "syscalls:s": Outcome.REGRESSED,
        "syscalls.brk:s": Outcome.REGRESSED,
        "syscalls.mmap:s": Outcome.UNCHANGED,
    }


def test_a_call_exchanged_for_another_shows_by_name_though_the_total_is_equal() -> None:
    evidence = Evidence()
    for index in range(2):
        evidence.add(counts(index, brk=1))
    rows = judge(limits("*=off", "syscalls=exact")).result(evidence).rows
    found = {row.id: judged.outcome for row, judged in rows}
    assert found["syscalls:s"] is Outcome.UNCHANGED
    assert found["syscalls.brk:s"] is Outcome.REGRESSED
    assert found["syscalls.mmap:s"] is Outcome.IMPROVED


def test_a_row_that_nobody_measured_is_not_measured() -> None:
    evidence = Evidence()
    evidence.add(times(0, 10, 10, 10))
    rows = judge(Limits()).result(evidence).rows
    found = {row.id: judged.outcome for row, judged in rows}
    assert found["syscalls:s"] is Outcome.NOT_MEASURED
    assert found["peak_rss:s"] is Outcome.NOT_MEASURED


def test_the_error_is_divided_among_the_timed_rows() -> None:
    def rounds_to_regress(*names: str) -> int:
        found = limits("*=off", *(f"{name}=2%" for name in names))
        evidence, index = Evidence(), 0
        while judge(found).wanted(evidence):
            evidence.add(times(index, 10, 10, 13))
            index += 1
        (judged, *_) = [j for row, j in judge(found).result(evidence).rows if row.id == "time:s"]
        return judged.rounds

    assert rounds_to_regress("time") < rounds_to_regress("time", "p50", "p90", "p99", "p99_9")


def test_rounds_that_can_never_decide_are_refused_with_how_many_can() -> None:
    with pytest.raises(TooFewRoundsError, match=r"^4 rounds can never decide 1 time: 5 can$"):
        judge(Limits()).within(4)
    assert judge(Limits()).within(5).max_rounds == 5
    assert judge(Limits()).within(400).max_rounds == 40


def test_without_times_any_number_of_rounds_will_do() -> None:
    assert judge(limits("*=off", "syscalls=exact")).within(1).max_rounds == 1


def test_a_count_that_varies_is_wanted_until_it_is_told() -> None:
    evidence, found, batches = Evidence(), judge(limits("*=off", "syscalls=exact")), 0
    while batches == 0 or found.wanted(evidence):
        batch = counts(batches, mmap=2)
        odd = [r for r in counts(batches, mmap=1) if (r.allocator, r.repeat) == ("candidate", 3)]
        evidence.add([*batch, *odd])
        batches += 1
    assert 2 < batches <= 10
    outcomes = {row.id: judged.outcome for row, judged in found.result(evidence).rows}
    assert outcomes["syscalls.mmap:s"] is Outcome.REGRESSED


def test_a_process_that_was_repeated_stands_for_the_one_before() -> None:
    evidence = Evidence()
    evidence.add([record("candidate", "throughput", {}, status="timeout")])
    assert [found.status for found in evidence.failures()] == ["timeout"]
    evidence.add(times(0, 10, 10, 10))
    assert not evidence.failures()
    assert len(evidence.records) == 3


def test_no_limit_of_a_latency_is_finer_than_the_clock() -> None:
    evidence = Evidence(processes=_Latencies(40.0))
    clock = {"hz": 1e9, "overhead_ns": 20.0, "step_ns": 10.0}
    for arm in ("baseline", "twin", "candidate"):
        for index in range(12):
            evidence.add([record(arm, "latency", {"clock": clock}, index=index)])
    ((_, judged),) = judge(limits("*=off", "p99=10%")).result(evidence).rows
    assert judged.theta == pytest.approx(0.25)
    assert judged.min_detectable_ratio >= 1.25
    assert judged.outcome is Outcome.UNCHANGED or judged.ratio.upper > 1.25


class _Latencies(ProcessMetrics):
    """Every process has the same quantiles; no files are read."""

    def __init__(self, latency_ns: float) -> None:
        super().__init__()
        self._latency_ns = latency_ns

    def of(self, _: ProcessRecord) -> dict[str, Any]:
        quantiles = dict.fromkeys(QUANTILES, self._latency_ns)
        found: dict[str, Any] = {}
        for name in QUANTILES:
            *levels, last = measure(name).path.split(".")
            below = found
            for level in levels:
                below = below.setdefault(level, {})
            below[last] = quantiles[name]
        return found


def test_saved_values_stand_in_for_the_baseline() -> None:
    saved = {("syscalls", "s"): [1.0] * 8, ("syscalls.mmap", "s"): [1.0] * 8}
    evidence = Evidence(saved=saved)
    for index in range(2):
        evidence.add([r for r in counts(index, mmap=1, brk=2) if r.allocator == "candidate"])
    rows = judge(limits("*=off", "syscalls=exact"), has_twin=False).result(evidence).rows
    found = {row.id: judged.outcome for row, judged in rows}
    assert found == {
        "syscalls:s": Outcome.REGRESSED,
        "syscalls.brk:s": Outcome.REGRESSED,
        "syscalls.mmap:s": Outcome.UNCHANGED,
    }


def test_a_saved_time_has_a_partner_in_each_round() -> None:
    evidence = Evidence(saved={("time", "s"): [10.0] * 30})
    for index in range(12):
        evidence.add([r for r in times(index, 0, 0, 13) if r.allocator == "candidate"])
    ((_, judged),) = judge(limits("*=off", "time=2%"), has_twin=False).result(evidence).rows
    assert judged.outcome is Outcome.REGRESSED
    assert judged.twin is None

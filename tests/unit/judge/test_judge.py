"""The judge of a session: what it still wants, and the rows it ends with."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from allocphase.errors import UsageError
from allocphase.files.typed import read
from allocphase.judge import Evidence, Judge, Limits, Outcome, planned_rows
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result
from allocphase.probe.status import Status
from allocphase.store.record import ProcessRecord
from tests.support.gates import MEMORY, limits

IDS = itertools.count()
Results = Mapping[str, Mapping[str, Any]]


def record(
    arm: str, probe: str, result: Mapping[str, Any], *, index: int = 0, status: str = "ok"
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
    """One mmap and the same memory in each arm, but for the candidate's system calls."""
    found = []
    for arm in ("baseline", "twin", "candidate"):
        calls = candidate if arm == "candidate" else {"mmap": 1}
        syscalls = {"init": {}, "operation": calls, "teardown": {}, "backend": "dispatch"}
        result = {"operations": 100, "syscalls": syscalls}
        found.append(record(arm, "syscalls", result, index=index))
        found.append(record(arm, "memory", {"memory": MEMORY}, index=index))
    return found


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
    for index in range(4):
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
    for index in range(4):
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
        return judged.pairs

    assert rounds_to_regress("time") < rounds_to_regress("time", "p50", "p90", "p99", "p99_9")


def test_rounds_that_can_never_decide_are_refused() -> None:
    with pytest.raises(UsageError, match="raise --max-rounds"):
        judge(Limits(), max_rounds=5)


def test_a_session_whose_twin_moves_is_not_valid() -> None:
    evidence = Evidence()
    for index in range(20):
        evidence.add(times(index, 10, 12, 10))
    found = judge(limits("*=off", "time=2%"))
    assert not found.result(evidence).valid


def test_saved_values_stand_in_for_the_baseline() -> None:
    saved = {("syscalls", "s"): [1.0, 1.0], ("syscalls.mmap", "s"): [1.0, 1.0]}
    evidence = Evidence(saved=saved)
    for index in range(4):
        evidence.add([r for r in counts(index, mmap=1, brk=2) if r.allocator == "candidate"])
    rows = judge(limits("*=off", "syscalls=exact")).result(evidence).rows
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
    ((_, judged),) = judge(limits("*=off", "time=2%")).result(evidence).rows
    assert judged.outcome is Outcome.REGRESSED
    assert judged.twin is None

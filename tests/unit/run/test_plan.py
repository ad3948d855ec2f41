"""The plan: which processes, in which order, decided by the seed alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.process.driver import Job
from allocphase.run.plan import (
    COUNT_PROCESSES,
    Plan,
    Workload,
    process_count,
    round_jobs,
    untimed_jobs,
)
from tests.support.runs import fake_allocator
from tests.support.scenarios import trace_of

TIMED = (Probe.THROUGHPUT, Probe.LATENCY)


@pytest.fixture
def plan() -> Plan:
    return Plan(
        allocators=[fake_allocator("null", correct=False), *map(fake_allocator, "abc")],
        workloads=[Workload(name=name, trace=Path(name), threads=1) for name in ("x", "y")],
        probes=list(TRACE_PROBES),
        rounds=4,
        seed=11,
        timeout_s=5.0,
        cpus=[1, 0],
    )


def cell(job: Job) -> tuple[str, str, Probe]:
    return (job.allocator.name, job.scenario, job.probe)


def test_each_timed_cell_runs_once_in_every_round(plan: Plan) -> None:
    expected = Counter((a, s, p) for a in ("null", *"abc") for s in "xy" for p in TIMED)
    for round_index in range(plan.rounds):
        assert Counter(map(cell, round_jobs(plan, round_index))) == expected


def every_job(plan: Plan) -> list[Job]:
    return untimed_jobs(plan) + [job for i in range(plan.rounds) for job in round_jobs(plan, i)]


def test_what_counts_runs_in_several_processes_and_a_picture_in_one(plan: Plan) -> None:
    processes = {
        Probe.SYSCALLS: COUNT_PROCESSES,
        Probe.MEMORY: COUNT_PROCESSES,
        Probe.FOOTPRINT: 1,
        Probe.FAULTS: COUNT_PROCESSES,
        Probe.VERIFY: 1,
    }
    jobs = untimed_jobs(plan)
    assert Counter(map(cell, jobs)) == {
        (a, s, probe): count for a in "abc" for s in "xy" for probe, count in processes.items()
    }
    assert {(*cell(job), job.round, job.repeat) for job in jobs} == {
        (a, s, probe, 0, repeat)
        for a in "abc"
        for s in "xy"
        for probe, count in processes.items()
        for repeat in range(count)
    }


def test_a_first_look_counts_in_one_process_a_cell(plan: Plan) -> None:
    jobs = untimed_jobs(replace(plan, quick=True))
    assert {cell(job) for job in jobs} == {cell(job) for job in untimed_jobs(plan)}
    assert set(Counter(map(cell, jobs)).values()) == {1}


def test_ids_count_on_over_the_whole_plan(plan: Plan) -> None:
    assert [job.id for job in every_job(plan)] == list(range(process_count(plan)))


def test_the_same_seed_gives_the_same_jobs(plan: Plan) -> None:
    assert round_jobs(plan, 2) == round_jobs(replace(plan), 2)
    assert untimed_jobs(plan) == untimed_jobs(replace(plan))


def test_another_seed_gives_another_order(plan: Plan) -> None:
    other = replace(plan, seed=12)
    assert [cell(j) for j in round_jobs(plan, 0)] != [cell(j) for j in round_jobs(other, 0)]


def test_each_round_has_an_order_of_its_own(plan: Plan) -> None:
    orders = {tuple(cell(job) for job in round_jobs(plan, i)) for i in range(plan.rounds)}
    assert len(orders) == plan.rounds


def test_a_round_does_not_depend_on_how_many_there_are(plan: Plan) -> None:
    assert round_jobs(replace(plan, rounds=1), 3) == round_jobs(plan, 3)


@pytest.mark.parametrize("round_index", range(4))
def test_allocators_of_one_scenario_and_probe_are_neighbours(plan: Plan, round_index: int) -> None:
    jobs = round_jobs(plan, round_index)
    blocks = [[(job.scenario, job.probe) for job in jobs[i : i + 4]] for i in range(0, 16, 4)]
    assert all(len(set(block)) == 1 for block in blocks)
    assert {block[0] for block in blocks} == {(s, p) for s in "xy" for p in TIMED}


def test_allocators_come_in_every_order_within_their_block(plan: Plan) -> None:
    orders = {
        tuple(job.allocator.name for job in round_jobs(plan, index)[:4]) for index in range(400)
    }
    assert len(orders) == 24


def test_over_many_rounds_each_cell_comes_first_and_last(plan: Plan) -> None:
    """A shuffle that left some cell in place would give it the machine's drift."""
    rounds = [round_jobs(plan, index) for index in range(400)]
    cells = {cell(job) for job in rounds[0]}
    assert {cell(jobs[0]) for jobs in rounds} == cells
    assert {cell(jobs[-1]) for jobs in rounds} == cells


def test_the_environment_s_length_is_drawn_for_each_process(plan: Plan) -> None:
    paddings = [job.padding_bytes for i in range(plan.rounds) for job in round_jobs(plan, i)]
    assert len(set(paddings)) > len(paddings) / 2
    assert all(0 <= padding < 4096 for padding in paddings)


def test_probes_that_are_joined_by_operation_have_fixed_addresses(plan: Plan) -> None:
    jobs = untimed_jobs(plan) + round_jobs(plan, 0)
    fixed = {job.probe for job in jobs if job.options.get("fixed-addresses") == "1"}
    assert fixed == {
        Probe.LATENCY,
        Probe.SYSCALLS,
        Probe.MEMORY,
        Probe.FOOTPRINT,
        Probe.FAULTS,
    }


def test_the_backend_is_an_option_of_the_syscalls_probe_alone(plan: Plan) -> None:
    asked = replace(plan, syscall_backend="ptrace", driver_options={"passes": "1"})
    for job in untimed_jobs(asked) + round_jobs(asked, 0):
        assert job.options["passes"] == "1"
        expected = "ptrace" if job.probe is Probe.SYSCALLS else None
        assert job.options.get("syscall-backend") == expected


def test_every_job_carries_the_plan_s_cpus_and_timeout(plan: Plan) -> None:
    for job in untimed_jobs(plan) + round_jobs(plan, 1):
        assert (job.cpus, job.timeout_s, trace_of(job)) == ((1,), 5.0, Path(job.scenario))


def test_a_process_is_offered_no_more_cpus_than_its_trace_has_threads(plan: Plan) -> None:
    wide = Workload(name="wide", trace=Path("wide"), threads=3)
    big = replace(plan, workloads=[*plan.workloads, wide], cpus=range(200))
    jobs = [*untimed_jobs(big), *round_jobs(big, 0)]
    assert {(job.scenario, job.cpus) for job in jobs} == {
        ("x", (0,)),
        ("y", (0,)),
        ("wide", (0, 1, 2)),
    }


def test_the_memory_of_threads_is_measured_alone_and_in_every_round(plan: Plan) -> None:
    wide = Workload(name="wide", trace=Path("wide"), threads=2)
    mixed = replace(plan, workloads=[*plan.workloads, wide])
    untimed = {job.scenario for job in untimed_jobs(mixed) if job.probe is Probe.MEMORY}
    assert untimed == {"x", "y"}
    for round_index in range(mixed.rounds):
        jobs = [job for job in round_jobs(mixed, round_index) if job.probe is Probe.MEMORY]
        assert Counter(map(cell, jobs)) == Counter((a, "wide", Probe.MEMORY) for a in "abc")
    assert [job.id for job in every_job(mixed)] == list(range(process_count(mixed)))


@pytest.mark.parametrize("rounds", [1, 2, 3, 4, 7])
def test_few_rounds_count_the_memory_of_threads_as_often_as_many(plan: Plan, rounds: int) -> None:
    wide = Workload(name="wide", trace=Path("wide"), threads=2)
    few = replace(plan, workloads=[wide], rounds=rounds)
    found = Counter(cell(job) for job in every_job(few) if job.probe is Probe.MEMORY)
    assert found == {(a, "wide", Probe.MEMORY): max(rounds, COUNT_PROCESSES) for a in "abc"}
    places = [(*cell(job), job.round, job.repeat) for job in every_job(few)]
    assert len(set(places)) == len(places)
    assert [job.id for job in every_job(few)] == list(range(process_count(few)))

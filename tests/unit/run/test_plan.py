"""The plan: which processes, in which order, decided by the seed alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from allocphase.probe.probe import Probe
from allocphase.process.driver import Job
from allocphase.run.plan import Plan, Workload, process_count, round_jobs, untimed_jobs
from tests.support.runs import fake_allocator

TIMED = (Probe.THROUGHPUT, Probe.LATENCY)


@pytest.fixture
def plan() -> Plan:
    return Plan(
        allocators=[fake_allocator("null", correct=False), *map(fake_allocator, "abc")],
        workloads=[Workload(name=name, trace=Path(name), threads=1) for name in ("x", "y")],
        probes=list(Probe),
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


def test_what_counts_runs_four_times_the_rest_once_and_the_floor_not_at_all(plan: Plan) -> None:
    processes = {Probe.SYSCALLS: 4, Probe.MEMORY: 4, Probe.FAULTS: 4}
    once = {Probe.FOOTPRINT: 1, Probe.VERIFY: 1}
    expected = Counter(
        {(a, s, p): n for a in "abc" for s in "xy" for p, n in (processes | once).items()}
    )
    jobs = untimed_jobs(plan)
    assert Counter(map(cell, jobs)) == expected
    repeats = [job.repeat for job in jobs if cell(job) == ("a", "x", Probe.MEMORY)]
    assert repeats == [0, 1, 2, 3]


def test_the_allocators_of_a_scenario_are_neighbours_in_time(plan: Plan) -> None:
    for index in range(4):
        blocks = [(job.scenario, job.probe) for job in round_jobs(plan, index)]
        changes = sum(a != b for a, b in pairwise(blocks))
        assert changes == len(set(blocks)) - 1


def test_ids_count_on_over_the_whole_plan(plan: Plan) -> None:
    every = untimed_jobs(plan) + [job for i in range(plan.rounds) for job in round_jobs(plan, i)]
    assert [job.id for job in every] == list(range(process_count(plan)))


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
        assert (job.cpus, job.timeout_s, job.trace) == ((1,), 5.0, Path(job.scenario))


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
    every = untimed_jobs(mixed) + [job for i in range(4) for job in round_jobs(mixed, i)]
    assert [job.id for job in every] == list(range(process_count(mixed)))

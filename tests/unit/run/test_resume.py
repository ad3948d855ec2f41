"""Going on with a run, with a fake executor: what runs again, what does not, what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allocphase import allocator, trace
from allocphase.errors import AllocphaseError, UsageError
from allocphase.files.typed import read
from allocphase.machine.fingerprint import fingerprint
from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.probe.result import Throughput, Work
from allocphase.probe.status import Status
from allocphase.process.callgrind import CACHE_SIM
from allocphase.process.driver import Job, Outcome
from allocphase.run import resume as resuming
from allocphase.run.plan import Plan, round_jobs, untimed_jobs
from allocphase.run.prepare import Begun, begin
from allocphase.run.request import Request
from allocphase.run.resume import resume
from allocphase.run.session import fill
from allocphase.run.traces import trace_path
from allocphase.scenario import resolve
from allocphase.store.manifest import Manifest
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord
from tests.support.runs import FakeExecutor, fake_allocator, good, no_progress, request_of
from tests.support.scenarios import trace_of

PROBES = [Probe.THROUGHPUT, Probe.LATENCY, Probe.VERIFY]
JOBS = 2 + 3 * 2 * 3


@pytest.fixture(autouse=True)
def no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time, and no power fails here; test_result says where they are."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


class BrokenError(AllocphaseError):
    """What ends the first part of a run."""


def go_on(folder: Path, executor: FakeExecutor | None = None) -> None:
    fill(resume(folder), executor or FakeExecutor(), progress=no_progress)


def broken_run(
    out: Path, after: int, answer: Callable[[Job], Outcome] = good, **changes: Any
) -> Path:
    """A run that ended after so many processes; its directory."""
    begun = begin(request_of(out, **{"probes": PROBES, **changes}))

    def answer_or_break(job: Job) -> Outcome:
        if len(executor.jobs) > after:
            raise BrokenError("broken off")
        return answer(job)

    executor = FakeExecutor(answer_or_break)
    try:
        fill(begun, executor, progress=no_progress)
    except AllocphaseError:
        return begun.path
    pytest.fail("it was not broken off")


def cells(folder: Path) -> dict[int, tuple[Any, ...]]:
    """What was measured, by process; the journal has each once, or is refused."""
    return {
        r.id: (r.round, r.allocator, r.scenario, r.probe, r.status, r.result)
        for r in RunFiles(folder).processes()
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[Any, ...]]:
    begun = begin(request_of(tmp_path_factory.mktemp("unbroken"), probes=PROBES))
    fill(begun, FakeExecutor(), progress=no_progress)
    found = cells(begun.path)
    assert list(found) == list(range(JOBS))
    return found


# ---- What runs ---------------------------------------------------------------------------


@pytest.mark.parametrize("after", range(JOBS))
def test_a_run_broken_off_anywhere_comes_to_the_same_and_runs_nothing_twice(
    tmp_path: Path, unbroken: dict[int, tuple[Any, ...]], after: int
) -> None:
    folder = broken_run(tmp_path, after)
    before = (folder / "processes.jsonl").read_bytes() if after else b""
    executor = FakeExecutor()
    go_on(folder, executor)
    assert cells(folder) == unbroken
    assert len(executor.jobs) == JOBS - before.count(b"\n")
    assert (folder / "processes.jsonl").read_bytes().startswith(before)
    assert RunFiles(folder).unfinished() is None
    assert not (folder / "traces").exists()


def test_a_journal_torn_at_any_byte_of_its_last_line_loses_that_process_only(
    tmp_path: Path,
) -> None:
    some = {"allocators": [fake_allocator(name) for name in "abc"], "probes": [Probe.VERIFY]}
    begun = begin(request_of(tmp_path, **some))
    fill(begun, FakeExecutor(), progress=no_progress)
    journal = begun.path / "processes.jsonl"
    whole, unbroken = journal.read_bytes(), cells(begun.path)
    *kept, last = whole.splitlines(keepends=True)
    assert len(last) > 100
    for cut in range(1, len(last) + 1):
        journal.write_bytes(whole[:-cut])
        (begun.path / "events.jsonl").unlink()
        executor = FakeExecutor()
        go_on(begun.path, executor)
        assert len(executor.jobs) == 1
        assert journal.read_bytes().startswith(b"".join(kept))
        assert cells(begun.path) == unbroken


def test_a_run_can_be_broken_off_again_and_again(
    tmp_path: Path, unbroken: dict[int, tuple[Any, ...]]
) -> None:
    folder = broken_run(tmp_path, 3)
    for _ in range(4):
        executor = FakeExecutor()

        def answer(job: Job, executor: FakeExecutor = executor) -> Outcome:
            if len(executor.jobs) > 2:
                raise BrokenError("broken off")
            return good(job)

        executor._answer = answer
        with pytest.raises(AllocphaseError, match="broken off"):
            go_on(folder, executor)
    go_on(folder)
    assert cells(folder) == unbroken
    notes = RunFiles(folder).notes()
    assert [note.split(",")[0] for note in notes] == [
        f"continued after {done} of {JOBS} processes" for done in (3, 5, 7, 9, 11)
    ]


def test_samples_of_a_process_that_is_not_in_the_journal_are_not_taken_for_its_own(
    tmp_path: Path,
) -> None:
    folder = broken_run(tmp_path, 4)
    stale = folder / "samples"
    for name in ("11.npz", "12.npz.partial", "99.npz"):
        (stale / name).write_bytes(b"of a process that was killed")

    def crash(job: Job) -> Outcome:
        return Outcome(status=Status.CRASHED, message="", wall_s=0.1) if job.id == 11 else good(job)

    go_on(folder, FakeExecutor(crash))
    assert RunFiles(folder).samples(11) == {}
    latencies = {r.id for r in RunFiles(folder).processes() if r.probe == "latency" and r.id != 11}
    assert {int(path.stem) for path in stale.iterdir()} == latencies


@pytest.mark.parametrize("after", [4, 7, 9, 12])
def test_a_slow_cell_stays_out_of_the_same_rounds(tmp_path: Path, after: int) -> None:
    def slow(job: Job) -> Outcome:
        outcome = good(job)
        if job.allocator.name == "two" and job.probe is Probe.THROUGHPUT and job.round == 1:
            part = Throughput(cold_ns_per_op=1e9, warm_ns_per_op=(1e9,))
            outcome = replace(outcome, result=replace(outcome.result, throughput=part))
        return outcome

    whole = begin(request_of(tmp_path / "whole", probes=PROBES))
    fill(whole, FakeExecutor(slow), progress=no_progress)
    folder = broken_run(tmp_path, after, slow)
    go_on(folder, FakeExecutor(slow))
    assert cells(folder) == cells(whole.path)
    assert len(cells(folder)) < JOBS


def test_a_resumed_cell_has_as_many_replays_as_before(tmp_path: Path) -> None:
    def repeating(job: Job) -> Outcome:
        replays = int(job.options.get("replays", 100 + job.id))
        part = Throughput(cold_ns_per_op=9.0, warm_ns_per_op=(9.0,), replays_per_pass=replays)
        return replace(good(job), result=replace(good(job).result, throughput=part))

    folder = broken_run(tmp_path, 4, repeating, probes=[Probe.THROUGHPUT])
    go_on(folder, FakeExecutor(repeating))
    found = RunFiles(folder).processes()
    pairs = {(one.allocator, one.part(Throughput).replays_per_pass) for one in found}
    assert len(pairs) == 3


def test_a_resumed_scenario_has_as_much_work_between_calls_as_before(tmp_path: Path) -> None:
    def working(job: Job) -> Outcome:
        given = int(job.options.get("work-iterations", 100 + job.id))
        work = Work(asked_ns=25, measured_ns=25.0, iterations_per_op=given, iterations=given)
        return replace(good(job), result=replace(good(job).result, work=work))

    chosen = resolve("random-churn?live=10&operations=99&work_ns=25")
    folder = broken_run(tmp_path, 4, working, probes=[Probe.THROUGHPUT], scenarios=chosen)
    go_on(folder, FakeExecutor(working))
    found = [one.result.work for one in RunFiles(folder).processes()]
    assert len({work.iterations_per_op for work in found if work is not None}) == 1


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    begun = begin(request_of(tmp_path))
    fill(begun, FakeExecutor(), progress=no_progress)
    before = files(begun.path)
    executor = FakeExecutor()
    again = resume(begun.path)
    assert again.ended
    fill(again, executor, progress=no_progress)
    assert executor.jobs == []
    assert files(begun.path) == before
    assert resume(begun.path).ended, "and is free for whoever comes next"


def test_a_run_whose_last_process_was_journaled_needs_only_its_end(tmp_path: Path) -> None:
    begun = begin(request_of(tmp_path))
    fill(begun, FakeExecutor(), progress=no_progress)
    (begun.path / "events.jsonl").unlink()
    executor = FakeExecutor()
    go_on(begun.path, executor)
    assert executor.jobs == []
    assert RunFiles(begun.path).unfinished() is None


@pytest.mark.parametrize(("budget_s", "rounds"), [(1.0, [8, 6, 0, 0]), (1e6, [8, 6, 6, 6])])
def test_a_time_budget_counts_what_was_spent_before_and_a_round_once_begun_is_ended(
    tmp_path: Path, budget_s: float, rounds: list[int]
) -> None:
    """By the journal the first round took more than 0.75 s and a third of the second 0.25."""
    folder = broken_run(tmp_path, 2 + 6 + 2, rounds=4, time_budget_s=budget_s)
    go_on(folder)
    measured = [record.round for record in RunFiles(folder).processes()]
    assert [measured.count(index) for index in range(4)] == rounds
    assert RunFiles(folder).unfinished() is None


# ---- The plan comes back -----------------------------------------------------------------


def jobs(plan: Plan) -> list[Job]:
    """Every job, without what no run needs of an allocator."""
    every = untimed_jobs(plan) + [job for i in range(plan.rounds) for job in round_jobs(plan, i)]
    return [
        replace(job, allocator=replace(job.allocator, default_scenarios=("*",))) for job in every
    ]


def plans(out: Path) -> list[Request]:
    base = request_of(out, probes=PROBES)
    sweep = [
        chosen.with_parameters({"allocations": value})
        for chosen in resolve("phase-report")
        for value in ("3", "4")
    ]
    own = [
        *allocator.resolve("phase2?objects_per_slab=1,8"),
        *allocator.resolve(f"mine={allocator.resolve('phase21')[0].path}?pool_bytes=4096"),
        *allocator.resolve("libc?arena_max=1,2"),
    ]
    some = {("one", base.scenarios[0].name, "latency"), ("two", base.scenarios[0].name, "verify")}
    return [
        base,
        replace(base, scenarios=[*sweep, *resolve("random-churn?live=10&operations=99")]),
        replace(base, allocators=own, probes=list(TRACE_PROBES), syscall_backend="ptrace"),
        replace(base, quick=True, timeout_s=2.5, seed=2**32 - 1),
        replace(base, only=frozenset(some)),
        replace(base, only=frozenset()),
        replace(base, allocators=own, kept_variables={"MALLOC_ARENA_MAX": "3"}),
        replace(base, scenarios=resolve("random-churn?live=10&operations=99&work_ns=0,25")),
    ]


@pytest.mark.parametrize("which", range(8))
def test_every_job_of_a_plan_comes_back_from_its_run_json(tmp_path: Path, which: int) -> None:
    begun = begin(plans(tmp_path)[which])
    begun.lock.release()
    again = resume(begun.path)
    assert jobs(again.plan) == jobs(begun.plan)
    assert again.time_budget_s == begun.time_budget_s
    assert all(trace_of(job).is_file() for job in jobs(again.plan))


def test_a_resumed_run_has_the_work_between_calls_that_it_had(tmp_path: Path) -> None:
    chosen = resolve("random-churn?live=10&operations=99&work_ns=25")
    begun = begin(request_of(tmp_path, scenarios=chosen))
    begun.lock.release()
    path = trace_path(begun.path, 0)
    path.unlink()
    resume(begun.path).lock.release()
    assert trace.read(path).work_ns == 25
    assert RunFiles(begun.path).manifest.scenarios[0].work_ns == 25


def test_traces_that_are_gone_or_torn_are_made_again(tmp_path: Path) -> None:
    begun = begin(request_of(tmp_path))
    begun.lock.release()
    trace = begun.path / "traces" / "0.trace"
    whole = trace.read_bytes()
    trace.write_bytes(whole[:100])
    (begun.path / "traces" / "0.trace.123.partial").write_bytes(whole[:7])
    (begun.path / "operations" / "0.npz").unlink()
    resume(begun.path).lock.release()
    assert trace.read_bytes() == whole
    assert [path.name for path in trace.parent.iterdir()] == ["0.trace"]
    assert len(RunFiles(begun.path).operations(begun.plan.workloads[0].name)["kind"]) == 10


# ---- What is refused ---------------------------------------------------------------------


def edit(folder: Path, change: Callable[[dict[str, Any]], None], *, forge: bool = False) -> None:
    """Changes run.json; `forge`: its digest too."""
    path = folder / "run.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    if forge:
        manifest["plan_sha256"] = read(Manifest, manifest).digest_of_plan()
    path.write_text(json.dumps(manifest))


def refusal(folder: Path) -> str:
    """The one line; nothing of the directory is touched, and no trace is left."""
    before = files(folder)
    with pytest.raises(UsageError) as caught:
        resume(folder)
    assert files(folder) == before
    return str(caught.value)


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m["plan"].update(seed=8), "run.json: its plan was edited"),
        (lambda m: m["plan"].update(rounds=4), "run.json: its plan was edited"),
        (lambda m: m["allocators"][1]["config"].update(a="1"), "its plan was edited"),
        (lambda m: m["environment"].update(kernel="1.0"), "kernel: 1.0 then, "),
        (lambda m: m["environment"].update(libc="musl"), "libc: musl then, "),
        (lambda m: m["environment"].update(cpu="abacus"), "cpu: abacus then, "),
        (lambda m: m["environment"].update(allocphase="0.0.1"), "allocphase: 0.0.1 then, "),
    ],
)
def test_what_changed_is_named_with_the_way_out(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    folder = broken_run(tmp_path, 4)
    edit(folder, change)
    line = refusal(folder)
    assert line.startswith(f"{folder}: cannot be continued: ")
    assert reason in line
    assert line.endswith(". Start anew: `allocphase run`")


def test_another_valgrind_is_no_reason_where_nothing_runs_under_it(tmp_path: Path) -> None:
    folder = broken_run(tmp_path, 4)
    edit(folder, lambda m: m["environment"].update(valgrind="valgrind-0", valgrind_cpu="pni"))
    executor = FakeExecutor()
    go_on(folder, executor)
    assert executor.jobs


@pytest.mark.parametrize("kept", [{}, {"MALLOC_CONF": "zero:true"}])
def test_a_run_goes_on_with_the_variables_that_it_kept_whatever_the_shell_has_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: dict[str, str]
) -> None:
    folder = broken_run(tmp_path, 4, kept_variables=kept)
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    executor = FakeExecutor()
    go_on(folder, executor)
    assert executor.jobs
    assert all(job.allocator.environment == kept for job in executor.jobs)
    assert RunFiles(folder).manifest.environment["tuning"] == kept


def test_a_run_goes_on_with_the_caches_that_it_chose(tmp_path: Path) -> None:
    caches = "I1=32768,8,64,D1=32768,8,64,LL=1048576,16,64"
    folder = broken_run(tmp_path, 4, simulated_caches=caches)
    executor = FakeExecutor()
    go_on(folder, executor)
    assert executor.jobs
    assert not any(CACHE_SIM in job.options for job in executor.jobs)  # none under callgrind
    manifest = RunFiles(folder).manifest
    assert manifest.environment["simulated_caches"] == caches
    assert manifest.plan.driver_options[CACHE_SIM] == caches


def test_a_refusal_is_one_line_whatever_the_run_says_of_its_machine(tmp_path: Path) -> None:
    folder = broken_run(tmp_path, 4)
    facts = dict.fromkeys(("kernel", "libc", "cpu", "chip", "microcode"), "x\n::error::y" * 5000)
    edit(folder, lambda m: m["environment"].update(facts))
    edit(folder, lambda m: m.update(command=["allocphase", "x" * 5000]))
    line = refusal(folder)
    assert line.isprintable()
    assert len(line) < 2000
    assert line.endswith("; and 2 more. Start anew")
    folder = broken_run(tmp_path / "other", 4)
    edit(folder, lambda m: m["allocators"][1].update(path="x" * 5000), forge=True)
    assert len(refusal(folder)) < 2000


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m["plan"].update(cpus=[77]), "CPUs to time on: [77] then, "),
        (lambda m: m.update(driver_sha256="0"), "driver: 0 then, "),
        (lambda m: m["scenarios"][0].update(digest="0"), "its operations are others now"),
        (lambda m: m["plan"].update(seed=8), "process 2 is not one of its plan"),
    ],
)
def test_a_forged_digest_hides_no_change(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    folder = broken_run(tmp_path, 4)
    edit(folder, change, forge=True)
    assert reason in refusal(folder)


def test_an_object_that_changed_or_is_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.so"
    path.write_bytes(b"one build")
    mine = replace(fake_allocator("mine"), kind="preload", path=path)
    folder = broken_run(tmp_path, 2, allocators=[mine])
    path.write_bytes(b"another")
    assert f"allocator mine: {path} is another object now" in refusal(folder)
    path.unlink()
    assert f"allocator mine: {path}: No such file or directory" in refusal(folder)
    path.write_bytes(b"one build")
    go_on(folder)


def test_every_change_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = broken_run(tmp_path, 2)
    here = fingerprint()
    monkeypatch.setattr(resuming, "fingerprint", lambda *_, **__: {**here, "driver": "0"})
    monkeypatch.setattr(resuming, "timed_cpus", lambda: [9])
    line = refusal(folder)
    assert "driver: " in line
    assert " then, 0 now; CPUs to time on" in line
    assert "\n" not in line


def test_a_journal_with_a_process_twice_is_refused(tmp_path: Path) -> None:
    folder = broken_run(tmp_path, 4)
    journal = folder / "processes.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines, lines[2]]))
    assert "line 5: process 2 is there twice" in refusal(folder)


def test_a_directory_without_run_json_is_named_and_nobody_is_told_to_remove_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "traces").mkdir()
    assert refusal(tmp_path) == (
        f"{tmp_path}: there is no run.json in it: nothing that can be continued"
    )


def test_what_is_no_directory_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run directory"):
        resume(tmp_path / "nowhere")


def test_a_gate_s_session_is_not_continued(tmp_path: Path) -> None:
    begun = begin(request_of(tmp_path, resumable=False))
    begun.lock.release()
    assert "only what `allocphase run` made can" in refusal(begun.path)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda m: m["plan"].pop("cpus"), "plan.cpus: missing"),
        (lambda m: m["plan"].update(probes=["guess"]), "plan.probes[0]: must be one of"),
        (lambda m: m["allocators"][1].update(kind="virus"), "allocators[1].kind: must be one of"),
        (
            lambda m: m["scenarios"][0].update(family="zoo"),
            "scenarios[0].family 'zoo' does not",
        ),
        (
            lambda m: m["scenarios"][0]["parameters"].update(x=1),
            "scenarios[0].parameters: key 'x' does not exist",
        ),
        (lambda m: m.pop("plan_sha256"), "plan_sha256: missing"),
    ],
)
def test_a_run_json_that_this_version_did_not_write_is_refused_by_its_key(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], key: str
) -> None:
    folder = broken_run(tmp_path, 2)
    edit(folder, change)
    assert f"run.json: {key}" in refusal(folder)


def test_a_run_that_another_process_fills_is_refused(tmp_path: Path) -> None:
    begun: Begun = begin(request_of(tmp_path))
    with pytest.raises(UsageError, match="another process is filling it"):
        resume(begun.path)
    begun.lock.release()


def test_records_are_whole_however_large(tmp_path: Path) -> None:
    """A line longer than any buffer, cut in its middle, is dropped like a short one."""

    def wordy(job: Job) -> Outcome:
        outcome = good(job)
        return replace(outcome, message="x" * 200_000, arrays={"call_ticks": np.zeros(10, "u4")})

    folder = broken_run(tmp_path, 3, wordy, probes=[Probe.VERIFY, Probe.THROUGHPUT])
    journal = folder / "processes.jsonl"
    journal.write_bytes(journal.read_bytes()[:-100_000])
    go_on(folder)
    records: list[ProcessRecord] = RunFiles(folder).processes()
    assert len(records) == 11
    assert sum(len(record.message) for record in records) == 400_000

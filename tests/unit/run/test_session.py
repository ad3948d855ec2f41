"""The runner with a fake executor: scheduling, journal and statuses, without processes."""

from __future__ import annotations

import datetime
import errno
import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allocphase import trace
from allocphase.analysis import frames
from allocphase.errors import AllocphaseError, UsageError
from allocphase.files.folder_lock import FolderLock
from allocphase.interruption import InterruptionError, interruptible
from allocphase.machine.lock import MachineLock
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput, Work
from allocphase.probe.status import Status
from allocphase.process.driver import Job, Outcome
from allocphase.run import prepare as beginning
from allocphase.run import session as running
from allocphase.run.plan import COUNT_PROCESSES, Workload, round_jobs
from allocphase.run.prepare import begin
from allocphase.run.request import draw_seed
from allocphase.run.session import OVER_LIVE, Session, run
from allocphase.scenario import Scenario, resolve
from allocphase.store.reader import RunFiles
from allocphase.store.record import Event
from allocphase.store.writer import RunWriter
from tests.support.runs import (
    FakeExecutor,
    fake_allocator,
    good,
    no_progress,
    request_of,
    small_scenario,
)
from tests.support.scenarios import trace_of
from tests.support.traces import batch, write_trace


def go(out: Path, executor: FakeExecutor, **changes: Any) -> Path:
    return run(request_of(out, **changes), executor, progress=no_progress)


# ---- Which processes ---------------------------------------------------------------------


def test_timed_cells_run_in_every_round_and_a_check_once(tmp_path: Path) -> None:
    executor = FakeExecutor()
    go(tmp_path, executor)
    counts = Counter((job.allocator.name, job.probe) for job in executor.jobs)
    assert counts == {
        ("null", Probe.THROUGHPUT): 3,
        ("one", Probe.THROUGHPUT): 3,
        ("two", Probe.THROUGHPUT): 3,
        ("one", Probe.VERIFY): 1,
        ("two", Probe.VERIFY): 1,
    }
    assert [job.round for job in executor.timed] == [0] * 3 + [1] * 3 + [2] * 3


def slow(job: Job) -> Outcome:
    """One whose replay takes seconds."""
    part = Throughput(cold_ns_per_op=1e9, warm_ns_per_op=(1e9,))
    outcome = good(job)
    if job.probe is Probe.THROUGHPUT:
        outcome = replace(outcome, result=replace(outcome.result, throughput=part))
    return outcome


def test_a_slow_cell_is_timed_once_and_counted_as_often_as_any(tmp_path: Path) -> None:
    (threads,) = resolve("larson?slots=4&replacements=40")
    executor = FakeExecutor(slow)
    probes = [Probe.THROUGHPUT, Probe.MEMORY]
    go(tmp_path, executor, scenarios=[threads], probes=probes, rounds=6)
    found = Counter((job.allocator.name, job.probe) for job in executor.jobs)
    assert found == {
        **{(name, Probe.THROUGHPUT): 1 for name in ("null", "one", "two")},
        **{(name, Probe.MEMORY): COUNT_PROCESSES for name in ("one", "two")},
    }


@pytest.mark.parametrize(("mode", "times"), [("asap", 1), ("paced", 6)])
def test_a_paced_replay_takes_long_on_purpose(tmp_path: Path, mode: str, times: int) -> None:
    path = write_trace(tmp_path / "app.trace", batch(3), gaps_ns=[100] * 6)
    executor = FakeExecutor(slow)
    go(
        tmp_path,
        executor,
        scenarios=resolve(f"{path}?mode={mode}"),
        probes=[Probe.THROUGHPUT],
        rounds=6,
    )
    assert Counter(job.allocator.name for job in executor.jobs) == dict.fromkeys(
        ("null", "one", "two"), times
    )


def repeating(job: Job) -> Outcome:
    """Each process that may choose finds another number of replays."""
    replays = int(job.options.get("replays", 100 + job.id))
    part = Throughput(cold_ns_per_op=9.0, warm_ns_per_op=(9.0,), replays_per_pass=replays)
    outcome = good(job)
    if job.probe is not Probe.THROUGHPUT:
        return outcome
    return replace(outcome, result=replace(outcome.result, throughput=part))


def working(job: Job) -> Outcome:
    """Each timed process of a paced scenario that may choose finds another amount of work."""
    asked_ns = trace.read(trace_of(job)).work_ns
    outcome = good(job)
    if not (job.probe.timed and asked_ns):
        return outcome
    iterations = int(job.options.get("work-iterations", 100 + job.id))
    work = Work(
        asked_ns=asked_ns,
        measured_ns=25.0,
        iterations_per_op=iterations,
        iterations=10 * iterations,
    )
    return replace(outcome, result=replace(outcome.result, work=work))


def replays_of(folder: Path) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for record in RunFiles(folder).processes():
        if record.probe is Probe.THROUGHPUT:
            replays = record.part(Throughput).replays_per_pass
            found.setdefault(record.allocator, set()).add(replays)
    return found


def test_all_processes_of_a_cell_have_as_many_replays_as_its_first(tmp_path: Path) -> None:
    found = replays_of(go(tmp_path, FakeExecutor(repeating), probes=[Probe.THROUGHPUT], rounds=4))
    assert {len(replays) for replays in found.values()} == {1}
    assert len(set.union(*found.values())) == 3, "the floor, one and two have their own"


def test_where_arms_share_them_the_floor_alone_has_its_own(tmp_path: Path) -> None:
    begun = begin(request_of(tmp_path, probes=[Probe.THROUGHPUT]))
    inner = FakeExecutor(repeating)
    with Session(begun, inner, progress=no_progress, arms_share_replays=True) as session:
        for index in range(3):
            session.run_round(index)
    found = replays_of(begun.path)
    assert found["one"] == found["two"] != found["null"]
    assert len(found["one"]) == 1


def test_all_timed_processes_of_a_paced_scenario_do_the_work_that_its_first_found(
    tmp_path: Path,
) -> None:
    scenarios = resolve("phase-report?allocations=5&work_ns=0,25,75")
    probes = [Probe.THROUGHPUT, Probe.LATENCY, Probe.SYSCALLS]
    executor = FakeExecutor(working)
    folder = go(tmp_path, executor, probes=probes, scenarios=scenarios, rounds=3)
    found: dict[str, set[int | None]] = {}
    for record in RunFiles(folder).processes():
        work = record.result.work
        if record.probe.timed:
            found.setdefault(record.scenario, set()).add(
                work.iterations_per_op if work is not None else None
            )
    asap, short, long = (found[one.name] for one in scenarios)
    assert asap == {None}
    assert len(short) == len(long) == 1
    assert short != long
    given = {job.probe for job in executor.jobs if "work-iterations" in job.options}
    assert given == {Probe.THROUGHPUT, Probe.LATENCY}


def test_which_process_of_its_cell_it_was_is_in_the_journal(tmp_path: Path) -> None:
    folder = go(tmp_path, FakeExecutor(), probes=[Probe.SYSCALLS])
    records = RunFiles(folder).processes()
    places = sorted((record.allocator, record.repeat) for record in records)
    assert places == [(name, repeat) for name in ("one", "two") for repeat in range(4)]
    lines = (folder / "processes.jsonl").read_text().splitlines()
    assert ["repeat" in json.loads(line) for line in lines] == [r.repeat > 0 for r in records]


def test_what_is_not_timed_is_over_before_the_first_timed_process(tmp_path: Path) -> None:
    executor = FakeExecutor()
    go(tmp_path, executor)
    assert {job.probe for job in executor.jobs[:2]} == {Probe.VERIFY}


def test_timed_processes_run_one_at_a_time(tmp_path: Path) -> None:
    running: list[Job] = []
    most = Counter[bool]()
    lock = threading.Lock()

    def answer(job: Job) -> Outcome:
        timed = job.probe is Probe.THROUGHPUT
        with lock:
            running.append(job)
            most[timed] = max(most[timed], len(running))
        time.sleep(0.01)
        with lock:
            running.remove(job)
        return good(job)

    go(tmp_path, FakeExecutor(answer), scenarios=[small_scenario(), other_scenario()])
    assert most[True] == 1


def other_scenario() -> Scenario:
    return replace(small_scenario(), name="other", seed=5)


def test_processes_side_by_side_have_a_cpu_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "timed_cpus", lambda: [3, 2, 0])
    in_use: list[int] = []
    lock = threading.Lock()

    def answer(job: Job) -> Outcome:
        assert len(job.cpus) == 1  # a trace of one thread
        with lock:
            assert job.cpus[0] not in in_use
            in_use.append(job.cpus[0])
        time.sleep(0.005)
        with lock:
            in_use.remove(job.cpus[0])
        return good(job)

    executor = FakeExecutor(answer)
    names = [fake_allocator(name) for name in "abcdefgh"]
    go(tmp_path, executor, allocators=names, probes=[Probe.VERIFY])
    assert len(executor.jobs) == 8


def test_the_floor_is_added_to_what_is_timed_and_only_there(tmp_path: Path) -> None:
    counted = FakeExecutor()
    go(tmp_path, counted, probes=[Probe.VERIFY, Probe.SYSCALLS])
    assert {job.allocator.name for job in counted.jobs} == {"one", "two"}


def test_a_floor_that_was_asked_for_is_not_added_again(tmp_path: Path) -> None:
    executor = FakeExecutor()
    floor = fake_allocator("null", correct=False)
    go(tmp_path, executor, allocators=[floor, fake_allocator("one")], rounds=1)
    assert Counter(job.allocator.name for job in executor.timed) == {"null": 1, "one": 1}


def test_an_allocator_with_the_floor_s_name_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match="'null' is the floor"):
        go(tmp_path, FakeExecutor(), allocators=[fake_allocator("null")])
    assert list(tmp_path.iterdir()) == []


def test_the_order_follows_from_the_seed(tmp_path: Path) -> None:
    orders = []
    for seed in (1, 1, 2):
        executor = FakeExecutor()
        go(tmp_path, executor, seed=seed, rounds=6)
        orders.append([(job.allocator.name, job.padding_bytes) for job in executor.timed])
    assert orders[0] == orders[1] != orders[2]


def test_drawn_seeds_differ() -> None:
    assert len({draw_seed() for _ in range(20)}) > 15


# ---- What is on disk ---------------------------------------------------------------------


def test_each_process_is_in_the_journal_before_the_next_one_starts(tmp_path: Path) -> None:
    lines_before: list[int] = []

    def answer(job: Job) -> Outcome:
        (journal,) = tmp_path.glob("*/processes.jsonl")
        lines_before.append(journal.read_bytes().count(b"\n"))
        return good(job)

    go(tmp_path, FakeExecutor(lambda job: good(job) if job.id < 2 else answer(job)))
    assert lines_before == list(range(2, 11))


def test_the_manifest_is_there_before_the_first_process(tmp_path: Path) -> None:
    def answer(job: Job) -> Outcome:
        (path,) = tmp_path.glob("*/run.json")
        manifest = json.loads(path.read_text())
        assert manifest["plan"]["processes"] == 11
        assert manifest["plan"]["seed"] == 7
        assert [entry["name"] for entry in manifest["allocators"]] == ["null", "one", "two"]
        assert trace_of(job).is_file()
        return good(job)

    go(tmp_path, FakeExecutor(answer))


def test_samples_are_stored_by_process(tmp_path: Path) -> None:
    folder = go(tmp_path, FakeExecutor(), probes=[Probe.LATENCY], rounds=2)
    files = RunFiles(folder)
    records = files.processes()
    assert len(records) == 6
    for record in records:
        assert {"call_ticks", "warm_call_ticks"} <= set(files.samples(record.id))


def test_a_torn_last_line_is_a_process_that_did_not_finish(tmp_path: Path) -> None:
    folder = go(tmp_path, FakeExecutor())
    journal = folder / "processes.jsonl"
    whole = journal.read_bytes()
    for cut in (1, 20, len(whole.splitlines(keepends=True)[-1])):
        journal.write_bytes(whole[:-cut])
        assert len(RunFiles(folder).processes()) == 10


def test_a_tool_error_ends_the_run_and_keeps_what_was_finished(tmp_path: Path) -> None:
    def answer(job: Job) -> Outcome:
        if job.id == 6:
            raise AllocphaseError("the driver is gone")
        return good(job)

    with pytest.raises(AllocphaseError, match="the driver is gone"):
        go(tmp_path, FakeExecutor(answer))
    (folder,) = tmp_path.iterdir()
    assert [record.id for record in RunFiles(folder).processes()[2:]] == [2, 3, 4, 5]
    assert frames.load(folder).cells["status"].tolist() == ["ok", "ok"]


def test_traces_are_removed_at_the_end_and_everything_else_stays(tmp_path: Path) -> None:
    folder = go(tmp_path, FakeExecutor(), probes=[Probe.LATENCY])
    names = {path.name for path in folder.iterdir()}
    assert names == {"run.json", "processes.jsonl", "events.jsonl", "samples", "operations"}


def test_runs_that_start_in_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    folders = {go(tmp_path, FakeExecutor(), rounds=1) for _ in range(3)}
    assert len(folders) == 3


@pytest.mark.parametrize(
    ("label", "end"),
    [("my run/2", "-my-run-2"), ("../../x", "-..-..-x"), ("", "-run"), ("é", "-é")],
)
def test_a_label_becomes_part_of_one_folder_s_name(tmp_path: Path, label: str, end: str) -> None:
    folder = go(tmp_path / "out", FakeExecutor(), label=label, rounds=1)
    assert folder.parent == tmp_path / "out"
    assert folder.name.endswith(end)


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match=r"file: is no folder: --out names one"):
        go(tmp_path / "file", FakeExecutor())


# ---- Failures cost their own cell --------------------------------------------------------


@pytest.mark.parametrize(
    "status", ["crashed", "timeout", "out-of-memory", "corrupt", "wrong-allocator", "unsupported"]
)
def test_a_process_that_fails_costs_its_own_cell_only(tmp_path: Path, status: str) -> None:
    def answer(job: Job) -> Outcome:
        if job.allocator.name == "two" and job.probe is Probe.THROUGHPUT and job.round == 1:
            return Outcome(status=Status(status), message="killed by SIGSEGV.", wall_s=0.5)
        return good(job)

    executor = FakeExecutor(answer)
    loaded = frames.load(go(tmp_path, executor))
    assert len(executor.jobs) == 11
    one, two = loaded.cell_list
    assert (one.status, one.message) == ("ok", "")
    assert (two.status, two.message) == (status, "throughput: killed by SIGSEGV.")
    assert one.metrics["time_per_op_ns"] == 110.0
    assert two.metrics["time_per_op_ns"] == 110.0  # of the two processes that ended well
    (failed,) = [record for record in loaded.records if record.status != "ok"]
    assert (failed.allocator, failed.round, failed.wall_s) == ("two", 1, 0.5)


# ---- Rounds, budgets, progress -----------------------------------------------------------


def test_progress_is_told_after_each_process(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    request = request_of(tmp_path)
    run(request, FakeExecutor(), progress=lambda _, done, total: told.append((done, total)))
    assert told == [(done, 11) for done in range(1, 12)]


def test_a_time_budget_ends_the_run_after_a_whole_round(tmp_path: Path) -> None:
    def slow(job: Job) -> Outcome:
        time.sleep(0.02)
        return good(job)

    executor = FakeExecutor(slow)
    go(tmp_path, executor, rounds=100, time_budget_s=0.001)
    assert [job.round for job in executor.timed] == [0, 0, 0]


def test_a_quick_run_is_marked_and_shortens_the_passes(tmp_path: Path) -> None:
    executor = FakeExecutor()
    folder = go(tmp_path, executor, quick=True)
    assert RunFiles(folder).manifest.plan.quick is True
    assert all(job.options["passes"] == "1" for job in executor.jobs)
    assert RunFiles(go(tmp_path, FakeExecutor())).manifest.plan.quick is False


def test_a_session_can_be_taken_a_round_at_a_time(tmp_path: Path) -> None:
    session = Session(begin(request_of(tmp_path)), FakeExecutor(), progress=no_progress)
    first, third = session.run_round(0), session.run_round(2)
    assert {record.round for record in first} == {0}
    assert {record.probe for record in first} == {"throughput", "verify"}
    assert [record.round for record in third] == [2, 2, 2]
    session.close()
    assert len(RunFiles(session.path).processes()) == 8


# ---- However it ends ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [AllocphaseError("gone"), KeyboardInterrupt(), OSError(28, "full")]
)
@pytest.mark.parametrize("at", [0, 4])
def test_traces_and_locks_are_gone_however_the_executor_ends(
    tmp_path: Path, error: BaseException, at: int
) -> None:
    def answer(job: Job) -> Outcome:
        if job.id == at:
            raise error
        return good(job)

    with pytest.raises((AllocphaseError, KeyboardInterrupt)):
        go(tmp_path, FakeExecutor(answer))
    (folder,) = tmp_path.iterdir()
    assert not (folder / "traces").exists()
    assert RunFiles(folder).unfinished() is not None
    FolderLock(folder).release()
    machine = MachineLock(folder)
    machine.acquire()
    assert machine.waited_s < 0.1
    machine.release()


def test_a_session_left_by_an_exception_has_not_ended(tmp_path: Path) -> None:
    session = Session(begin(request_of(tmp_path)), FakeExecutor(), progress=no_progress)
    with pytest.raises(ZeroDivisionError), session:
        session.run_round(0)
        1 / 0  # noqa: B018
    assert not (session.path / "traces").exists()
    assert RunFiles(session.path).unfinished() == (5, 11)


def test_an_error_of_the_tool_says_how_to_go_on(tmp_path: Path) -> None:
    def full(_: Job) -> Outcome:
        raise OSError(28, "No space left on device", "/tmp/x")

    with pytest.raises(AllocphaseError) as caught:
        go(tmp_path, FakeExecutor(full))
    (folder,) = tmp_path.iterdir()
    assert str(caught.value) == (
        "/tmp/x: No space left on device; what is finished is kept, go on with"
        f" `allocphase run --resume {folder}`"
    )


def test_when_one_of_many_side_by_side_fails_no_other_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "timed_cpus", lambda: [1, 0])

    def answer(job: Job) -> Outcome:
        if job.id == 0:
            raise AllocphaseError("the first fails")
        time.sleep(0.05)
        return good(job)

    executor = FakeExecutor(answer)
    names = [fake_allocator(f"a{number}") for number in range(40)]
    with pytest.raises(AllocphaseError, match="the first fails"):
        go(tmp_path, executor, allocators=names, probes=[Probe.VERIFY])
    assert len(executor.jobs) < 10


@pytest.mark.parametrize("at", [0, 1, 2, 7])
def test_a_signal_ends_the_run_before_the_next_process(tmp_path: Path, at: int) -> None:
    """Process `at` is under way when the signal comes; it ends well all the same."""

    def answer(job: Job) -> Outcome:
        if job.id == at:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)  # in another thread: the main one has to have its turn
        return good(job)

    executor = FakeExecutor(answer)
    with pytest.raises(InterruptionError), interruptible(lambda _: None):
        go(tmp_path, executor, probes=[Probe.THROUGHPUT, Probe.VERIFY])
    (folder,) = tmp_path.iterdir()
    begun = {job.id for job in executor.jobs}
    assert at in begun <= set(range(max(at + 1, 2)))  # two at a time before the first timed one
    assert {record.id for record in RunFiles(folder).processes()} == begun


def test_a_directory_that_could_not_be_finished_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AllocphaseError("no room")

    monkeypatch.setattr(RunWriter, "write_manifest", fail)
    with pytest.raises(AllocphaseError, match="no room"):
        go(tmp_path, FakeExecutor())
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_the_machine_s_lock_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOCPHASE_LOCK", "")
    (note,) = RunFiles(go(tmp_path, FakeExecutor())).notes()
    assert note == (
        "another run may have disturbed this one: no machine lock: ALLOCPHASE_LOCK is empty"
    )
    assert RunFiles(go(tmp_path, FakeExecutor(), probes=[Probe.VERIFY])).notes() == []


def test_the_machine_is_held_from_the_first_timed_process_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    monkeypatch.setenv("ALLOCPHASE_LOCK", str(path))
    held: dict[str, set[bool]] = {}

    def answer(job: Job) -> Outcome:
        content = path.read_text() if path.exists() else ""
        held.setdefault(job.probe, set()).add(bool(content))
        return good(job)

    go(tmp_path / "out", FakeExecutor(answer))
    assert held == {"verify": {False}, "throughput": {True}}
    assert path.read_text() == ""


def test_jobs_of_one_s_own_are_kept_like_the_plan_s(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    begun = begin(request_of(tmp_path))
    executor = FakeExecutor()
    with Session(begun, executor, progress=lambda _, done, total: told.append((done, total))) as s:
        s.run_round(0)
        jobs = [replace(j, id=200 + i) for i, j in enumerate(round_jobs(s.plan, 1) * 2)]
        assert [record.id for record in s.run_jobs(jobs)] == list(range(200, 206))
    assert told[-1] == (11, 11)
    assert len(RunFiles(begun.path).processes()) == 11


@pytest.mark.parametrize("arms", [1, 2])
@pytest.mark.parametrize("enough", [True, False])
def test_arms_take_turns_where_there_are_several_and_memory_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arms: int, enough: bool
) -> None:
    begun = begin(request_of(tmp_path))
    (load,) = begun.plan.workloads
    assert isinstance(load, Workload)
    assert load.live_bytes > 0
    needed = arms * OVER_LIVE * load.live_bytes
    monkeypatch.setattr(running, "half_of_memory", lambda: needed if enough else needed - 1)
    executor = FakeExecutor()
    with Session(begun, executor, progress=no_progress) as session:
        jobs = [job for job in round_jobs(session.plan, 0) if job.allocator.correct][:arms]
        records = session.run_compared(jobs)
    assert [record.id for record in records] == [job.id for job in jobs]
    assert [job.turn is not None for job in executor.jobs] == [enough and arms > 1] * arms


def test_a_clock_that_jumps_moves_no_duration_and_no_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock goes back to 1970, forth, and back: only names and `started` follow it."""
    walls = itertools.cycle([0.0, 4e9, 1e9])

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Clock:
            return cls.fromtimestamp(next(walls), tz=tz)

    monkeypatch.setattr(datetime, "datetime", Clock)
    monkeypatch.setattr(time, "time", lambda: next(walls))
    folders = [go(tmp_path, FakeExecutor(), rounds=2, time_budget_s=60.0) for _ in range(4)]
    assert len(set(folders)) == 4
    for folder in folders:
        records = RunFiles(folder).processes()
        assert [record.round for record in records] == [0] * 5 + [1] * 3
        assert {record.wall_s for record in records} == {0.125}
        assert frames.load(folder).cell_list[0].status == "ok"


def test_two_runs_at_once_into_one_folder_do_not_meet(tmp_path: Path) -> None:
    folders: list[Path] = []
    start = threading.Barrier(4)

    def one() -> None:
        start.wait()
        folders.append(go(tmp_path, FakeExecutor(), rounds=1, probes=[Probe.VERIFY]))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 4
    assert all(len(RunFiles(folder).processes()) == 2 for folder in folders)


def test_a_process_that_fails_on_a_full_disk_is_not_the_allocator_s_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(job: Job) -> Outcome:
        if job.id == 4:
            return Outcome(status=Status.CRASHED, message="ended with exit code 1", wall_s=0.1)
        return good(job)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(AllocphaseError, match=r"/traces: No space left on device; what is finish"):
        go(tmp_path, FakeExecutor(crash))
    (folder,) = tmp_path.iterdir()
    assert {record.status for record in RunFiles(folder).processes()} == {"ok"}
    monkeypatch.undo()
    crashed = RunFiles(go(tmp_path, FakeExecutor(crash))).processes()
    assert [record.id for record in crashed if record.status == "crashed"] == [4]


def test_a_run_that_has_ended_has_no_traces_whenever_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    tell = RunWriter.tell

    def watched(writer: RunWriter, event: Event, message: str) -> None:
        seen.append((writer.path / "traces").exists())
        tell(writer, event, message)

    monkeypatch.setattr(RunWriter, "tell", watched)
    go(tmp_path, FakeExecutor())
    assert seen == [False]

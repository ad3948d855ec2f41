"""The controller on an executor without hosts: whatever happens, each host does its own job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pytest

from allocphase import __version__
from allocphase.hosts.archive import pack
from allocphase.hosts.document import Fleet, HostEntry, HostStatus, host_folder, write_fleet
from allocphase.hosts.executor import AwayError, JobState, Progress
from allocphase.hosts.inventory import Announced
from allocphase.hosts.job import HostResult, Job
from allocphase.hosts.jobs import MOST_ATTEMPTS, Controller, reopen

HOSTS = ("arm", "epyc")
RUNNING = JobState(progress=Progress.RUNNING)
UNKNOWN = JobState(progress=Progress.UNKNOWN)
BROKEN = JobState(progress=Progress.BROKEN, reason="its worker was lost")


@dataclass
class Played:
    """An executor that plays what a test wrote: by host, one state after the other, the last for
    ever. None: the host is away.
    """

    plays: dict[str, list[JobState | None]]
    archives: Path
    given: list[tuple[str, int]] = field(default_factory=list)
    spoilt: int = 0
    gone: int = 0

    def hosts(self) -> Mapping[str, Announced]:
        if self.gone > 0:
            self.gone -= 1
            raise AwayError("the scheduler is away")
        return {
            host: Announced(host=host, version=__version__, facts={"cpu": host}, address="tls://1")
            for host, states in self.plays.items()
            if states[0] is not None
        }

    def submit(self, job: Job, *, attempt: int) -> None:
        self.given.append((job.host, attempt))

    def poll(self, jobs: Sequence[Job]) -> Mapping[str, JobState]:
        states = {job.host: self.plays[job.host] for job in jobs}
        now = {host: left[0] or UNKNOWN for host, left in states.items()}
        for left in states.values():
            del left[: len(left) > 1]
        return now

    def fetch(self, job: Job, result: HostResult, target: BinaryIO) -> None:
        content = (self.archives / job.host).read_bytes()
        if self.spoilt > 0:
            self.spoilt -= 1
            content = content[:-1]
        assert len(content) <= result.size_bytes
        target.write(content)


@dataclass
class Dying(Played):
    """The controller is killed while it fetches the second archive."""

    fetched: list[str] = field(default_factory=list)

    def fetch(self, job: Job, result: HostResult, target: BinaryIO) -> None:
        self.fetched.append(job.host)
        if len(self.fetched) == 2:
            raise KeyboardInterrupt
        super().fetch(job, result, target)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    hosts = tuple(HostEntry(name=name, status=HostStatus.WAITING) for name in HOSTS)
    fleet = Fleet(
        id="f00d",
        version=__version__,
        kind="run",
        label="trial",
        started="2026-11-28T10:00:00+00:00",
        command=(),
        scheduler="tls://10.0.0.1:8786",
        options=(),
        objects=(),
        hosts=hosts,
    )
    path = tmp_path / "fleet"
    path.mkdir()
    write_fleet(path, fleet)
    return path


def ended(folder: Path, host: str) -> JobState:
    """With an archive as a host makes it, in the folder beside the fleet's."""
    results = folder.parent / f"{host}-run"
    results.mkdir(exist_ok=True)
    (results / "run.json").write_text(host, encoding="utf-8")
    digest, size_bytes = pack({"": results}, folder.parent / host)
    result = HostResult(exit_code=0, archive=digest, size_bytes=size_bytes)
    return JobState(progress=Progress.ENDED, result=result)


def played(
    folder: Path,
    arm: Sequence[JobState | None],
    *,
    patience_s: float = 10.0,
    spoilt: int = 0,
    gone: int = 0,
) -> tuple[Played, Fleet, list[str]]:
    """What becomes of `arm`, beside a host that does its job at once; and what was told of it."""
    done = ended(folder, "epyc")
    executor = Played({"arm": list(arm), "epyc": [UNKNOWN, done]}, folder.parent)
    executor.spoilt, executor.gone = spoilt, gone
    told: list[str] = []
    now = [0.0]
    controller = Controller(
        folder,
        executor,
        lambda entry: told.append(f"{entry.name} {entry.status.value}"),
        patience_s=patience_s,
        clock=lambda: now[0],
        sleep=lambda s: now.__setitem__(0, now[0] + s),
    )
    fleet = controller.run()
    assert fleet.host("epyc").status is HostStatus.DONE
    assert {host for host, _ in executor.given} <= set(HOSTS)
    return executor, fleet, [line for line in told if line.startswith("arm")]


def test_a_host_is_given_its_job_once_and_fetched_from(folder: Path) -> None:
    executor, fleet, told = played(folder, [UNKNOWN, RUNNING, RUNNING, ended(folder, "arm")])
    assert sorted(executor.given) == [("arm", 1), ("epyc", 1)]
    assert told == ["arm running", "arm done"]
    assert fleet.host("arm").facts == {"cpu": "arm"}
    for host in HOSTS:
        assert (host_folder(folder, host) / "run.json").read_text(encoding="utf-8") == host


def test_a_broken_job_is_given_to_the_same_host_under_another_number(folder: Path) -> None:
    states = [UNKNOWN, RUNNING, BROKEN, RUNNING, ended(folder, "arm")]
    executor, fleet, _ = played(folder, states)
    assert [one for one in executor.given if one[0] == "arm"] == [("arm", 1), ("arm", 2)]
    assert fleet.host("arm").status is HostStatus.DONE


def test_a_host_that_comes_back_is_given_its_job_again(folder: Path) -> None:
    states = [UNKNOWN, RUNNING, None, None, None, UNKNOWN, RUNNING, ended(folder, "arm")]
    executor, fleet, told = played(folder, states)
    assert [one for one in executor.given if one[0] == "arm"] == [("arm", 1), ("arm", 1)]
    assert told == ["arm running", "arm lost", "arm waiting", "arm running", "arm done"]
    assert fleet.host("arm").reason == ""


def test_a_host_that_stays_away_is_lost_and_the_others_are_not(folder: Path) -> None:
    _, fleet, _ = played(folder, [UNKNOWN, RUNNING, None], patience_s=5.0)
    assert fleet.host("arm").status is HostStatus.LOST
    assert "fleet resume" in fleet.host("arm").reason


def test_a_scheduler_that_is_away_for_a_while_costs_nothing(folder: Path) -> None:
    _, fleet, _ = played(folder, [UNKNOWN, ended(folder, "arm")], gone=4)
    assert fleet.host("arm").status is HostStatus.DONE


def test_what_a_controller_has_fetched_before_it_dies_the_next_one_does_not(folder: Path) -> None:
    states = [ended(folder, host) for host in HOSTS]
    executor = Dying(
        {host: [state] for host, state in zip(HOSTS, states, strict=True)}, folder.parent
    )
    with pytest.raises(KeyboardInterrupt):
        Controller(folder, executor, lambda _: None).run()
    fleet = Controller(folder, executor, lambda _: None).run()
    assert executor.fetched == ["arm", "epyc", "epyc"]
    assert {entry.status for entry in fleet.hosts} == {HostStatus.DONE}


def test_a_spoilt_archive_is_fetched_again(folder: Path) -> None:
    executor, fleet, told = played(folder, [UNKNOWN, RUNNING, ended(folder, "arm")], spoilt=2)
    assert fleet.host("arm").status is HostStatus.DONE
    assert max(attempt for _, attempt in executor.given) > 1  # the host is to look at it, too
    assert told[-1] == "arm done"
    assert not list(folder.glob(".*"))


def test_a_job_that_breaks_for_ever_fails_with_its_reason(folder: Path) -> None:
    executor, fleet, _ = played(folder, [UNKNOWN, BROKEN])
    assert fleet.host("arm").status is HostStatus.FAILED
    assert "its worker was lost" in fleet.host("arm").reason
    assert max(attempt for _, attempt in executor.given) == MOST_ATTEMPTS


def test_a_job_without_results_failed_and_can_be_asked_for_again(folder: Path) -> None:
    failed = JobState(
        progress=Progress.ENDED, result=HostResult(exit_code=2, reason="no such allocator")
    )
    _, fleet, _ = played(folder, [UNKNOWN, failed])
    entry = fleet.host("arm")
    assert (entry.status, entry.exit_code) == (HostStatus.FAILED, 2)
    assert entry.reason == "no such allocator"
    reopen(folder)
    executor, fleet, _ = played(folder, [UNKNOWN, ended(folder, "arm")])
    assert executor.given == [("arm", 2)]
    assert fleet.host("arm").status is HostStatus.DONE
    assert fleet.host("arm").reason == ""


def test_fetch_alone_gives_no_job_and_does_not_wait(folder: Path) -> None:
    executor = Played({"arm": [UNKNOWN], "epyc": [ended(folder, "epyc")]}, folder.parent)
    controller = Controller(
        folder, executor, lambda _: None, sleep=lambda _: pytest.fail("it waited")
    )
    fleet = controller.run(only_fetch=True)
    assert executor.given == []
    statuses = [entry.status for entry in fleet.hosts]
    assert statuses == [HostStatus.WAITING, HostStatus.DONE]

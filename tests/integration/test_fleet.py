"""Three hosts on this machine, with TLS: a run and a gate, and what SIGKILL leaves of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from allocphase.hosts.document import host_folder, read_fleet
from allocphase.judge.document import read_verdict
from allocphase.store.reader import RunFiles
from allocphase.store.record import Event
from tests.support.fleets import END_S, TrialFleet, whole_cells
from tests.support.plugins import Plugins

HOSTS = ("epyc", "xeon", "arm")
QUICK = ("-s", "phase-report?allocations=500", "-p", "throughput", "-r", "3")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialFleet]:
    with TrialFleet(tmp_path_factory.mktemp("fleet"), HOSTS).running() as found:
        yield found


def test_a_run_survives_the_death_of_worker_scheduler_and_controller(
    fleet: TrialFleet, plugins: Plugins
) -> None:
    """Every cell of every host is there once, and was measured there; the object under test came
    along, and is the one that was named.
    """
    ours = fleet.folder / "ours.so"
    shutil.copy(plugins("libc"), ours)
    running = fleet.controller("run", *fleet.on_all_hosts(), "-a", f"ours={ours}", *QUICK)
    folder = fleet.begun()
    ours.unlink()  # what was asked for is kept
    fleet.await_measured("epyc")
    running.kill()
    running.wait()
    fleet.kill("epyc")
    fleet.kill("xeon", whole=True)
    fleet.kill("scheduler")
    fleet.start("xeon")
    fleet.start("scheduler")
    resumed = fleet.controller("resume", str(folder))
    assert resumed.wait(END_S) == 0, fleet.said()
    found = whole_cells(folder, fleet.jobs)
    assert [entry.name for entry in found.hosts] == sorted(HOSTS)
    for host in HOSTS:
        manifest = RunFiles(host_folder(folder, host)).manifest
        (entry,) = (one for one in manifest.allocators if one.name == "ours")
        sent = fleet.jobs / host / "jobs" / f"{found.id}-{host}" / "objects" / "0" / "ours.so"
        assert str(entry.path) == str(sent)
    events = (host_folder(folder, "epyc") / "events.jsonl").read_text(encoding="utf-8")
    assert Event.RESUMED.value in events


def test_a_gate_is_fetched_without_the_controller_that_began_it(fleet: TrialFleet) -> None:
    count = len(list((fleet.folder / "out").glob("*")))
    arms = ("--baseline", "phase21", "--candidate", "phase2")
    limits = ("--limit", "*=off", "--limit", "syscalls.mmap=exact", "--max-rounds", "6")
    gated = fleet.controller("gate", "--host", "arm", *arms, *QUICK[:2], *limits)
    folder = fleet.begun(count + 1)
    fleet.await_file(folder, "arm", "job.json")
    gated.kill()
    fleet.await_file(folder, "arm", "result.json")
    assert fleet.controller("fetch", str(folder)).wait(END_S) == 3, fleet.said()
    assert [entry.exit_code for entry in read_fleet(folder).hosts] == [3]
    assert read_verdict(host_folder(folder, "arm")).exit_code == 3
    assert list(RunFiles(host_folder(folder, "arm") / "confirm").processes())


def test_a_job_that_no_host_can_do_fails_with_its_reason(fleet: TrialFleet) -> None:
    count = len(list((fleet.folder / "out").glob("*")))
    asked = fleet.controller("run", "--host", "ep*", "-a", "nosuch", *QUICK)
    assert asked.wait(END_S) == 5
    folder = fleet.begun(count + 1)
    (entry,) = read_fleet(folder).hosts
    assert entry.reason.startswith("allocator 'nosuch' does not exist")
    assert not host_folder(folder, entry.name).exists()

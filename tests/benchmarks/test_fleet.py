"""A fleet under SIGKILL, and what an idle worker costs whoever measures beside it.

In full (`make benchmark`) there are three hosts, as root in network namespaces of their own, and 30
kills of workers, scheduler and controller at drawn moments (ALLOCPHASE_FLEET_KILLS,
ALLOCPHASE_FLEET_SEED); a minute of idleness; and 60 pairs of processes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase.allocator import resolve
from allocphase.hosts.document import host_folder, read_fleet
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.store.reader import RunFiles
from tests.benchmarks.conftest import MakeTrace, Say
from tests.support.driving import Driver
from tests.support.fleets import END_S, TrialFleet, namespaces, whole_cells

KILLS = int(os.environ.get("ALLOCPHASE_FLEET_KILLS", "30"))
SEED = int(os.environ.get("ALLOCPHASE_FLEET_SEED", "20"))
HOSTS = ("one", "two", "three")
# Between two kills: a worker needs some seconds to be back, and a process takes half of one.
MOMENT_S = (1.0, 15.0)
# Another phase of one allocator makes other system calls.
ARMS = ("--baseline", "phase21", "--candidate", "phase2", "-s", "phase-report?allocations=500")
PAIRS = 60
IDLE_S = 60.0


@contextmanager
def started(folder: Path, hosts: tuple[str, ...], *, apart: bool) -> Iterator[TrialFleet]:
    """apart: each host in a network namespace of its own."""
    separate: AbstractContextManager[Mapping[str, Sequence[str]]]
    separate = namespaces(hosts) if apart else nullcontext({})
    with separate as prefix:
        address = "10.77.0.1" if apart else "127.0.0.1"
        with TrialFleet(folder, hosts, address=address, prefix=prefix).running() as fleet:
            yield fleet


class Killer:
    """Kills what a fleet consists of, and starts again what nobody else does."""

    def __init__(self, fleet: TrialFleet, kills: int) -> None:
        self.fleet = fleet
        self.left = kills
        self.killed: Counter[str] = Counter()
        self._rng = random.Random(SEED)

    def run(self, count: int, *plan: str) -> Path:
        """The `count`-th fleet, killed until it has ended or no kill is left; its folder."""
        controller = self.fleet.controller("run", *self.fleet.on_all_hosts(), *plan)
        folder = self.fleet.begun(count)
        while self.left:
            time.sleep(self._rng.uniform(*MOMENT_S))
            if controller.poll() is not None:
                break
            controller = self._kill(controller, folder)
        assert controller.wait(END_S) == 0, self.fleet.said()
        return folder

    def _kill(self, controller: subprocess.Popen[bytes], folder: Path) -> subprocess.Popen[bytes]:
        what = self._rng.choice(("worker", "worker and supervisor", "scheduler", "controller"))
        self.left -= 1
        self.killed[what] += 1
        if what == "controller":
            controller.kill()
            controller.wait()
            return self.fleet.controller("resume", str(folder))
        who = "scheduler" if what == "scheduler" else self._rng.choice(self.fleet.hosts)
        self.fleet.kill(who, whole=what != "worker")
        if what != "worker":
            self.fleet.start(who)
        return controller


def test_every_cell_of_every_host_is_there_once_after_kills(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    hosts, kills = (HOSTS, KILLS) if full else (HOSTS[:1], 0)
    apart = full and os.geteuid() == 0
    plan = ("-a", "libc", "-a", "phase2", "-s", "random-churn", "-p", "throughput")
    rounds = ("-r", "20" if full else "2")
    where = "network namespaces" if apart else "loopback"

    def measure() -> tuple[Counter[str], int, int]:
        cells = fleets = 0
        with started(tmp_path, hosts, apart=apart) as fleet:
            killer = Killer(fleet, kills)
            while killer.left or not fleets:
                folder = killer.run(fleets + 1, *plan, *rounds)
                fleets += 1
                for entry in whole_cells(folder, fleet.jobs).hosts:
                    cells += len(list(RunFiles(host_folder(folder, entry.name)).processes()))
                if not full:
                    break
            if full:
                code = fleet.controller("gate", *fleet.on_all_hosts(), *ARMS).wait(END_S)
                entries = read_fleet(fleet.begun(fleets + 1)).hosts
                assert [entry.exit_code for entry in entries] == [3] * len(hosts)
                say(f"a gate on {len(hosts)} hosts ({where}, TLS): exit code {code} on each")
        return killer.killed, cells, fleets

    killed, cells, fleets = benchmark.pedantic(measure, rounds=1, iterations=1)
    dead = ", ".join(f"{count} x {what}" for what, count in sorted(killed.items()))
    say(
        f"{len(hosts)} hosts ({where}, TLS), seed {SEED}: {killed.total()} kills ({dead}) in "
        f"{fleets} fleets; all {cells} processes are there once, each on its host"
    )
    assert cells > 0


def process_tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            found += process_tree(int(child))
    return found


def spent(pids: list[int]) -> tuple[float, int]:
    """CPU seconds and context switches of all threads."""
    cpu_ns = switches = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            cpu_ns += int((task / "schedstat").read_text(encoding="ascii").split()[0])
            lines = (task / "status").read_text(encoding="ascii").splitlines()
            switches += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return cpu_ns / 1e9, switches


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialFleet]:
    """One host whose worker has registered, and rests."""
    with started(tmp_path_factory.mktemp("fleet"), HOSTS[:1], apart=False) as fleet:
        fleet.await_registered(HOSTS[0])
        yield fleet


def test_an_idle_worker_costs_next_to_nothing(
    benchmark: BenchmarkFixture, full: bool, say: Say, idle: TrialFleet
) -> None:
    pids = process_tree(idle.pid(HOSTS[0]))
    duration_s = IDLE_S if full else 0.5

    def measure() -> tuple[float, float]:
        before, start = spent(pids), time.monotonic()
        time.sleep(duration_s)
        after, took_s = spent(pids), time.monotonic() - start
        return (after[0] - before[0]) / took_s, (after[1] - before[1]) / took_s

    share, rate = benchmark.pedantic(measure, rounds=1, iterations=1)
    say(
        f"idle worker with its supervisor, {duration_s:g} s: {share:.2%} of a core, "
        f"{rate:.1f} context switches a second"
    )
    assert len(pids) == 2


def test_a_timed_process_does_not_notice_the_worker(
    benchmark: BenchmarkFixture,
    full: bool,
    say: Say,
    idle: TrialFleet,
    driver: Driver,
    trace_of: MakeTrace,
) -> None:
    """In pairs, in drawn order: the worker as it is, and stopped by SIGSTOP."""
    pids = process_tree(idle.pid(HOSTS[0]))
    trace, subject = trace_of("random-churn"), resolve("phase1")[0]
    rng = random.Random(SEED)

    def timed(*, with_worker: bool) -> float:
        for pid in pids:
            os.kill(pid, signal.SIGCONT if with_worker else signal.SIGSTOP)
        outcome = driver.measure(Probe.THROUGHPUT, trace, subject)
        return float(np.median(outcome.result.part(Throughput).warm_ns_per_op))

    def pair() -> float:
        order = [True, False]
        rng.shuffle(order)
        found = {with_worker: timed(with_worker=with_worker) for with_worker in order}
        return found[True] / found[False]

    def measure() -> list[float]:
        try:
            return [pair() for _ in range(PAIRS if full else 1)]
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    ratios = np.array(benchmark.pedantic(measure, rounds=1, iterations=1))
    slower = int((ratios > 1).sum())
    low, high = np.quantile(ratios, [0.25, 0.75])
    say(
        f"with and without a worker, phase1 on random-churn, {len(ratios)} pairs: median ratio "
        f"{np.median(ratios):.4f}, half of them within {low:.4f} to {high:.4f}, slower in {slower}"
    )
    assert np.isfinite(ratios).all()

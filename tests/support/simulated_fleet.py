"""A fleet of simulated hosts under the real controller, through failures of every kind.

    python -m tests.support.simulated_fleet HOSTS FOLDER

Nothing here measures, and no second is waited for: a host is a journal of cells that grows with a
clock of its own, and the executor is that of the controller's protocol. What is real is all that
runs on the controller: fleet.json, archives, their checks, and the judging of what came back.
Prints one line of JSON: what came of it, what it took, and how much went over the wire.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from allocphase import __version__
from allocphase.compare import CompareSettings
from allocphase.fleet import FleetVerdict, compare_fleet, read_files
from allocphase.hosts.archive import pack
from allocphase.hosts.document import Fleet, HostEntry, HostStatus, host_folder, write_fleet
from allocphase.hosts.executor import AwayError, JobState, Progress
from allocphase.hosts.inventory import Announced, announce
from allocphase.hosts.job import HostResult, Job, written
from allocphase.hosts.jobs import Controller
from tests.support.made_fleets import MadeHost, made_runs

__all__ = ["GONE", "WORSE", "Simulation", "simulate"]

CELLS = 30  # of a host's job, each some seconds
CELL_S = 20.0
# A worker dies, a host goes away, the scheduler and the controller are killed: chances a second.
WORKER_DIES, HOST_AWAY, SCHEDULER_DIES, CONTROLLER_DIES = 1 / 400, 1 / 900, 1 / 150, 1 / 60
AWAY_S = (5.0, 80.0)  # within the controller's patience
JOURNAL = "cells.json"
GONE, WORSE = 2, 3
PATIENCE_S = 100.0


class KilledError(BaseException):
    """The controller is gone, wherever it was."""


@dataclass
class SimulatedHost:
    """cells: its journal, which outlives its worker. finished_s: of the cell that runs. back_s:
    when it is there again, infinite for never.
    """

    name: str
    results: Path
    cells: list[int] = field(default_factory=list)
    jobs: set[str] = field(default_factory=set)
    running: bool = False
    finished_s: float = 0.0
    back_s: float = 0.0

    def advance(self, now_s: float) -> None:
        """Cells end one after the other; one that was broken off is measured anew."""
        while self.running and len(self.cells) < CELLS and self.finished_s <= now_s:
            self.cells.append(len(self.cells))
            self.finished_s += CELL_S
        if len(self.cells) == CELLS:
            self.running = False

    def begin(self, job: Job, now_s: float) -> None:
        """Or goes on, from the cell after the journal's last one."""
        assert job.host == self.name, "a job came to another host"
        self.jobs.add(job.id)
        if not self.running:
            self.running = len(self.cells) < CELLS
            self.finished_s = now_s + CELL_S

    def stop(self, until_s: float) -> None:
        """Its worker is gone, with what it was measuring."""
        self.running = False
        self.back_s = until_s


@dataclass
class Simulation:
    """The executor, and the world that it is in. tasks: what the scheduler remembers, by host: the
    last attempt, and whether its worker was lost. sent: messages, and bytes by kind.
    """

    hosts_by_name: dict[str, SimulatedHost]
    facts: Mapping[str, Mapping[str, object]]
    rng: random.Random
    archives: Path
    now_s: float = 0.0
    away_until_s: float = 0.0
    tasks: dict[str, tuple[int, bool]] = field(default_factory=dict)
    packed: dict[str, HostResult] = field(default_factory=dict)
    deaths: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)

    # ---- The executor's protocol ---------------------------------------------------------

    def hosts(self) -> Mapping[str, Announced]:
        """Those that are there."""
        self._ask("announced")
        return {
            name: Announced(
                host=name, version=__version__, facts=self.facts[name], address="tls://x"
            )
            for name, host in self.hosts_by_name.items()
            if host.back_s <= self.now_s
        }

    def submit(self, job: Job, *, attempt: int) -> None:
        """A host that has ended its job says so again."""
        self._ask("jobs", len(written(job)))
        self.tasks[job.host] = (attempt, False)
        host = self.hosts_by_name[job.host]
        if host.back_s <= self.now_s:
            host.begin(job, self.now_s)

    def poll(self, jobs: Sequence[Job]) -> Mapping[str, JobState]:
        """What the scheduler knows, which is nothing after its death."""
        self._ask("polls")
        return {job.host: self._state(job) for job in jobs}

    def fetch(self, job: Job, result: HostResult, target: BinaryIO) -> None:
        """Now and then it breaks off, or a byte is wrong, or the controller dies meanwhile."""
        content = (self.archives / job.host).read_bytes()
        assert len(content) == result.size_bytes
        self._ask("archives", len(content))
        fault = self.rng.random()
        if fault < 0.03:
            target.write(content[: len(content) // 2])
            self.deaths["fetches broken off"] += 1
            raise AwayError("the connection is gone")
        if fault < 0.06:
            content = content[:-9] + b"\0" + content[-8:]
            self.deaths["archives spoilt"] += 1
        target.write(content)
        if fault > 0.98:
            self.deaths["controllers"] += 1
            raise KilledError

    def _ask(self, kind: str, size: int = 0) -> None:
        if self.away_until_s > self.now_s:
            raise AwayError("the scheduler is away")
        self.sent[kind] += 1
        self.sent[f"{kind}, bytes"] += size

    def _state(self, job: Job) -> JobState:
        host = self.hosts_by_name[job.host]
        if job.host not in self.tasks:
            return JobState(progress=Progress.UNKNOWN)
        attempt, lost = self.tasks[job.host]
        if lost:
            return JobState(progress=Progress.BROKEN, reason=f"attempt {attempt} lost its worker")
        if host.back_s > self.now_s or not host.jobs:
            return JobState(progress=Progress.WAITING)
        if len(host.cells) < CELLS:
            return JobState(progress=Progress.RUNNING)
        return JobState(progress=Progress.ENDED, result=self._result(host))

    def _result(self, host: SimulatedHost) -> HostResult:
        if host.name not in self.packed:
            journal = json.dumps({"host": host.name, "cells": host.cells})
            (host.results / JOURNAL).write_text(journal, encoding="utf-8")
            digest, size = pack({"": host.results}, self.archives / host.name)
            self.packed[host.name] = HostResult(exit_code=0, archive=digest, size_bytes=size)
        return self.packed[host.name]

    # ---- The world ------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        """A second or so, in which anything may happen."""
        self.now_s += seconds
        for host in self.hosts_by_name.values():
            host.advance(self.now_s)
            if host.back_s > self.now_s:
                continue
            if self.rng.random() < WORKER_DIES * seconds:
                self._lose(host, 0.0, "workers")
            elif self.rng.random() < HOST_AWAY * seconds:
                self._lose(host, self.rng.uniform(*AWAY_S), "hosts away")
        if self.away_until_s <= self.now_s and self.rng.random() < SCHEDULER_DIES * seconds:
            self.deaths["schedulers"] += 1
            self.tasks.clear()
            self.away_until_s = self.now_s + self.rng.uniform(1.0, 20.0)
        if self.rng.random() < CONTROLLER_DIES * seconds:
            self.deaths["controllers"] += 1
            raise KilledError

    def _lose(self, host: SimulatedHost, seconds: float, what: str) -> None:
        self.deaths[what] += 1
        host.stop(self.now_s + seconds)
        if host.name in self.tasks and len(host.cells) < CELLS:
            self.tasks[host.name] = (self.tasks[host.name][0], True)


def simulate(
    count: int, folder: Path, *, gone: int = GONE, worse: int = WORSE, seed: int = 1
) -> Simulation:
    """Runs a fleet of `count` hosts to its end. Of them the first `gone` are away and never come
    back, and on the last `worse` the allocator `mine` is 6% slower.
    """
    templates = {
        kind: _template(folder, kind, factor) for kind, factor in (("same", 1.0), ("worse", 1.06))
    }
    names = [f"host-{number:04}" for number in range(count)]
    announced = announce("any")["facts"]
    assert isinstance(announced, dict)
    simulation = Simulation(
        hosts_by_name={},
        facts={name: {**announced, "cpu": f"CPU {i % 7}"} for i, name in enumerate(names)},
        rng=random.Random(seed),
        archives=folder / "archives",
    )
    simulation.archives.mkdir()
    for number, name in enumerate(names):
        results = folder / "on-hosts" / name
        shutil.copytree(templates["worse" if number >= count - worse else "same"], results)
        simulation.hosts_by_name[name] = SimulatedHost(name, results)
    for name in names[:gone]:
        simulation.hosts_by_name[name].back_s = float("inf")
    fleet = folder / "fleet"
    fleet.mkdir()
    write_fleet(fleet, _fleet(names, simulation.facts))
    _control(fleet, simulation)
    return simulation


def _control(fleet: Path, simulation: Simulation) -> None:
    """A controller, and the next one wherever it is killed."""
    while True:
        controller = Controller(
            fleet,
            simulation,
            lambda _: None,
            patience_s=PATIENCE_S,
            poll_s=5.0,
            clock=lambda: simulation.now_s,
            sleep=simulation.sleep,
        )
        try:
            controller.run()
        except KilledError:
            continue
        return


def _template(folder: Path, kind: str, factor: float) -> Path:
    """A run directory as a host makes it."""
    made = MadeHost(kind, factor=lambda arm, _: factor if arm == "mine" else 1.0)
    place = folder / kind
    place.mkdir()
    return host_folder(made_runs(place, [made]), kind)


def _fleet(names: Sequence[str], facts: Mapping[str, Mapping[str, object]]) -> Fleet:
    return Fleet(
        id="f1ee7",
        version=__version__,
        kind="run",
        label="simulated",
        started="2026-11-28T10:00:00+00:00",
        command=("allocphase", "fleet", "run"),
        scheduler="tls://10.0.0.1:8786",
        options=(),
        objects=(),
        hosts=tuple(
            HostEntry(name=name, status=HostStatus.WAITING, version=__version__, facts=facts[name])
            for name in names
        ),
    )


def _peak_bytes() -> int:
    (kib,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return int(kib) * 1024  # ru_maxrss has what the process was before it was this program


def _told(simulation: Simulation, verdict: FleetVerdict, fleet: Path) -> dict[str, object]:
    files = read_files(fleet)
    journals = {
        host.name: json.loads((host.path / JOURNAL).read_text("utf-8"))
        for host in files.measured
        if host.path is not None
    }
    (row,) = [row for row in verdict.rows if row.metric == "time"][:1]
    return {
        "statuses": Counter(str(host.entry.status) for host in files.hosts),
        "whole": sum(
            journal == {"host": name, "cells": list(range(CELLS))}
            for name, journal in journals.items()
        ),
        "finding": row.finding,
        "worse": row.on(*[one.standing for one in row.hosts if one.standing == "worse"][:1]),
        "decided": row.decided_text,
        "deaths": simulation.deaths,
        "sent": simulation.sent,
        "simulated_s": simulation.now_s,
        "document_bytes": (fleet / "fleet.json").stat().st_size,
    }


def main() -> None:
    """See the module's docstring."""
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    start, start_cpu = time.perf_counter(), time.process_time()
    simulation = simulate(count, folder)
    controller_cpu_s, controller_bytes = time.process_time() - start_cpu, _peak_bytes()
    verdict = compare_fleet(read_files(folder / "fleet"), CompareSettings())
    told = {
        **_told(simulation, verdict, folder / "fleet"),
        "seconds": time.perf_counter() - start,
        "cpu_s": time.process_time() - start_cpu,
        "controller_cpu_s": controller_cpu_s,
        "controller_peak_bytes": controller_bytes,
        "peak_bytes": _peak_bytes(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()

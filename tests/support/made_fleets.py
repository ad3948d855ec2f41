"""Fleets without dask: each host's gate or run by a made-up executor, where a fleet has it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from allocphase.gate import run_gate
from allocphase.hosts.document import Fleet, HostEntry, HostStatus, host_folder, write_fleet
from allocphase.probe.probe import Probe
from allocphase.process.driver import Job
from allocphase.run.request import Request
from allocphase.run.session import run
from allocphase.scenario import Scenario
from tests.support.gates import (
    MEMORY,
    FigureExecutor,
    arm,
    gate_request,
    no_progress,
    small_scenario,
)

__all__ = ["SCENARIOS", "MadeHost", "made_gates", "made_runs", "write_hosts"]

SCENARIOS = ("phase-report?allocations=5", "random-churn?live=8&operations=60")
SECONDS = 1e9  # more than any test's clock tells


@dataclass(frozen=True)
class MadeHost:
    """One host of a made-up fleet. factor: by (allocator or arm, scenario) what its time is times
    the host's own; drift: how much slower it is in the last round than in the first; facts: of its
    machine, over this one's; faults: page faults by arm.
    """

    name: str
    ns: float = 10.0
    factor: Callable[[str, str], float] = lambda _arm, _scenario: 1.0
    noise: float = 0.003
    drift: float = 0.0
    facts: Mapping[str, object] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    status: HostStatus = HostStatus.DONE
    reason: str = ""

    def executor(self, *, rounds: int = 40) -> FigureExecutor:
        """Noise is drawn anew for each process, by the host's name."""
        rng = np.random.default_rng([ord(letter) for letter in self.name])

        def time_ns(job: Job) -> float:
            trend = 1.0 + self.drift * job.round / rounds
            noise = float(np.exp(rng.normal(0.0, self.noise)))
            return self.ns * trend * noise * self.factor(job.allocator.name, job.scenario)

        def memory(job: Job) -> dict[str, int]:
            return {**MEMORY, "page_faults": self.faults.get(job.allocator.name, 5)}

        return FigureExecutor(time_ns=time_ns, memory=memory)


def made_gates(folder: Path, hosts: Sequence[MadeHost], *limits: str, **changes: Any) -> Path:
    """A fleet's gate of a plug-in against another one; the fleet's folder."""

    def gate(host: MadeHost, out: Path) -> Path:
        request = gate_request(
            out,
            *(limits or ("build_time=off", "drain_time=off", "p99*=off", "p50=off")),
            scenarios=_scenarios(),
            time_budget_s=SECONDS,
            **changes,
        )
        verdict = run_gate(request, host.executor(), progress=no_progress)
        first, *again = (Path(session.path) for session in verdict.sessions)
        for session in again:
            shutil.move(session, first / "confirm")
        return first

    return write_hosts(folder, hosts, gate, kind="gate")


def made_runs(
    folder: Path,
    hosts: Sequence[MadeHost],
    *,
    allocators: Sequence[str] = ("libc", "mine"),
    rounds: int = 20,
) -> Path:
    """A fleet's run of these allocators; the fleet's folder."""

    def measure(host: MadeHost, out: Path) -> Path:
        request = Request(
            allocators=[arm(name) for name in allocators],
            scenarios=_scenarios(),
            probes=[Probe.THROUGHPUT, Probe.SYSCALLS, Probe.MEMORY],
            rounds=rounds,
            seed=1,
            out=out,
            label="fleet",
            command=["allocphase", "run"],
        )
        return run(request, host.executor(rounds=rounds), progress=no_progress)

    return write_hosts(folder, hosts, measure, kind="run")


def _scenarios() -> list[Scenario]:
    return [small_scenario(spec) for spec in SCENARIOS]


def write_hosts(
    folder: Path,
    hosts: Sequence[MadeHost],
    measure: Callable[[MadeHost, Path], Path],
    *,
    kind: Any,
) -> Path:
    """Measures each host that is done, and writes fleet.json over all of them."""
    fleet = folder / "20261128-100000-trial"
    (fleet / "hosts").mkdir(parents=True)
    # No test of what survives a power cut: a journal that is synced line by line takes its time.
    with patch("os.fsync"):
        for host in (one for one in hosts if one.status is HostStatus.DONE):
            place = host_folder(fleet, host.name)
            shutil.move(measure(host, folder / f"made-{host.name}"), place)
            _set_facts(place / "run.json", host.facts)
    entries = [
        HostEntry(name=h.name, status=h.status, reason=h.reason, facts=dict(h.facts)) for h in hosts
    ]
    write_fleet(
        fleet,
        Fleet(
            id="f00d",
            version="0.1.0",
            kind=kind,
            label="trial",
            started="2026-11-28T10:00:00+00:00",
            command=("allocphase", "fleet", kind),
            scheduler=None,
            local=len(hosts),
            options=(),
            objects=(),
            hosts=tuple(entries),
        ),
    )
    return fleet


def _set_facts(path: Path, facts: Mapping[str, object]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    document["environment"] |= facts
    path.write_text(json.dumps(document), encoding="utf-8")

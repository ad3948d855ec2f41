"""The controller: gives each host its job, waits for all of them, and brings their results back.

All that it knows is in fleet.json, so that it may be killed at any moment and started again. It is
a loop over what is there: a host that has no job is given it, one that has ended is fetched from,
one that is away is waited for. A job that was broken off is given to the same host again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from allocphase.errors import UsageError
from allocphase.files.durable import named_errors
from allocphase.hosts.archive import unpack
from allocphase.hosts.document import (
    Fleet,
    HostEntry,
    HostStatus,
    host_folder,
    read_fleet,
    write_fleet,
)
from allocphase.hosts.executor import AwayError, Executor, JobState, Progress
from allocphase.hosts.inventory import Announced
from allocphase.hosts.job import HostResult, Job, job_of

__all__ = ["PATIENCE_S", "Controller", "reopen"]

POLL_S = 1.0
# How long a host may be away, if nobody says: a reboot.
PATIENCE_S = 600.0
# A job whose worker dies each time is not the fleet's to mend.
MOST_ATTEMPTS = 50
_WORKER_AWAY = "its worker is away"
_WAY_OUT = "`allocphase fleet resume` goes on when it is back"


@dataclass(slots=True)
class Controller:
    """One fleet in its folder. `tell` is told of each host that is another way now.

    patience_s: how long a host may be away before it is called lost for this time.
    """

    folder: Path
    executor: Executor
    tell: Callable[[HostEntry], None]
    patience_s: float = PATIENCE_S
    poll_s: float = POLL_S
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _seen: dict[str, float] = field(default_factory=dict)
    _given_up: set[str] = field(default_factory=set)

    def run(self, *, only_fetch: bool = False) -> Fleet:
        """Until every host has ended, or has been away for too long. only_fetch: gives no job, and
        waits for nothing: brings back what has ended.

        Raises AllocphaseError where the folder cannot be written.
        """
        fleet = read_fleet(self.folder)
        start = self.clock()
        self._seen = {entry.name: start for entry in fleet.hosts}
        self._given_up = set()
        while open_hosts := self._open(fleet):
            fleet = self._step(fleet, open_hosts, only_fetch=only_fetch)
            if only_fetch or not self._open(fleet):
                break
            self.sleep(self.poll_s)
        return fleet

    def _open(self, fleet: Fleet) -> list[str]:
        return [
            entry.name
            for entry in fleet.hosts
            if not entry.status.ended and entry.name not in self._given_up
        ]

    def _step(self, fleet: Fleet, names: list[str], *, only_fetch: bool) -> Fleet:
        """Looks once at all hosts; fleet.json is written where one of them has changed, and at once
        where one has ended: to fetch from hundreds takes a while, and what a controller has fetched
        before it dies, the next one need not.
        """
        jobs = {name: job_of(fleet, name) for name in names}
        before = {entry.name: entry for entry in fleet.hosts}
        entries = dict(before)
        there: Mapping[str, Announced] = {}
        away = _WORKER_AWAY
        try:
            there = self.executor.hosts()
            states = self.executor.poll(list(jobs.values()))
        except AwayError as error:
            there, states, away = {}, {}, str(error)
        for name, job in jobs.items():
            entry = self._looked_up(entries[name], there.get(name), away)
            state = states.get(name, JobState(progress=Progress.UNKNOWN))
            try:
                entry = self._moved(entry, job, state, name in there, only_fetch=only_fetch)
            except AwayError as error:
                entry = replace(entry, reason=str(error))
            entries[name] = entry
            if entry.status.ended:
                write_fleet(self.folder, replace(fleet, hosts=tuple(entries.values())))
        changed = [entry for name, entry in entries.items() if entry != before[name]]
        if changed:
            fleet = replace(fleet, hosts=tuple(entries.values()))
            write_fleet(self.folder, fleet)
        for entry in changed:
            if _shown(entry) != _shown(before[entry.name]):
                self.tell(entry)
        return fleet

    def _looked_up(self, entry: HostEntry, there: Announced | None, away: str) -> HostEntry:
        """Lost, for this time or for good, where its worker is not there. away: why that is."""
        if there is None:
            if self.clock() - self._seen[entry.name] >= self.patience_s:
                self._given_up.add(entry.name)
            return replace(entry, status=HostStatus.LOST, reason=f"{away}; {_WAY_OUT}")
        self._seen[entry.name] = self.clock()
        return replace(
            entry, address=there.address, version=there.version, facts=there.facts or entry.facts
        )

    def _moved(
        self, entry: HostEntry, job: Job, state: JobState, there: bool, *, only_fetch: bool
    ) -> HostEntry:
        if state.progress is Progress.ENDED and state.result is not None:
            try:
                return self._fetched(entry, job, state.result)
            except UsageError as error:  # it is not there any more, or not what the host said
                state = JobState(progress=Progress.BROKEN, reason=str(error))
        if not there:
            return replace(entry, reason=state.reason or entry.reason)
        if state.progress in (Progress.UNKNOWN, Progress.BROKEN):
            if only_fetch:
                return replace(entry, reason=state.reason)
            return self._given(entry, job, state)
        running = state.progress is Progress.RUNNING
        status = HostStatus.RUNNING if running else HostStatus.WAITING
        return replace(entry, status=status, reason="")

    def _given(self, entry: HostEntry, job: Job, state: JobState) -> HostEntry:
        """A broken one under another number: what is known of the last one is its end."""
        again = state.progress is Progress.BROKEN
        attempts = max(entry.attempts + again, 1)
        if attempts > MOST_ATTEMPTS:
            reason = f"given {MOST_ATTEMPTS} times, and never came to an end: {state.reason}"
            return replace(entry, status=HostStatus.FAILED, reason=reason)
        self.executor.submit(job, attempt=attempts)
        return replace(entry, status=HostStatus.WAITING, attempts=attempts, reason=state.reason)

    def _fetched(self, entry: HostEntry, job: Job, result: HostResult) -> HostEntry:
        """Done once its archive lies here, verified. Raises UsageError where it is another."""
        if result.archive is None:
            return replace(
                entry,
                status=HostStatus.FAILED,
                exit_code=result.exit_code,
                reason=result.reason or f"exit code {result.exit_code}",
            )
        partial = self.folder / f".{entry.name}.archive"
        try:
            with named_errors(partial), partial.open("wb") as file:
                self.executor.fetch(job, result, file)
            unpack(partial, host_folder(self.folder, entry.name), sha256=result.archive)
        finally:
            partial.unlink(missing_ok=True)
        return replace(
            entry,
            status=HostStatus.DONE,
            archive=result.archive,
            exit_code=result.exit_code,
            reason=result.reason,
        )


def _shown(entry: HostEntry) -> tuple[HostStatus, str]:
    return entry.status, entry.reason


def reopen(folder: Path) -> None:
    """What failed is open again: somebody has mended it, and asks for more. Raises UsageError."""
    fleet = read_fleet(folder)
    hosts = tuple(
        replace(entry, status=HostStatus.WAITING, reason="", attempts=entry.attempts + 1)
        if entry.status is HostStatus.FAILED
        else entry
        for entry in fleet.hosts
    )
    write_fleet(folder, replace(fleet, hosts=hosts))

"""Begins a fleet: its folder, what is sent along, the hosts that are chosen, and fleet.json."""

from __future__ import annotations

import datetime
import re
import secrets
import time
from collections.abc import Callable, Sequence
from fnmatch import filter as filter_names
from pathlib import Path

from allocphase import __version__
from allocphase.errors import AllocphaseError, NothingMeasuredError
from allocphase.files.durable import named_errors
from allocphase.hosts.document import Fleet, HostEntry, HostStatus, Kind, write_fleet
from allocphase.hosts.executor import AwayError, Executor
from allocphase.hosts.inventory import Announced, chosen
from allocphase.hosts.objects import Collected

__all__ = ["begin", "new_folder"]

# How long a scheduler that was just started may know of no worker.
ARRIVAL_S = 30.0
POLL_S = 0.5


def new_folder(out: Path, label: str) -> Path:
    """A folder of its own for each fleet. Raises AllocphaseError."""
    stem = datetime.datetime.now(tz=datetime.UTC).strftime("%Y%m%d-%H%M%S")
    name = re.sub(r"[^\w.-]+", "-", label).strip("-") or "fleet"
    for attempt in range(100):
        folder = out / (f"{stem}-{name}-{attempt}" if attempt else f"{stem}-{name}")
        with named_errors(folder):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
        return folder
    raise AllocphaseError(f"{out}: a hundred fleets named {stem}-{name} already")


def begin(
    folder: Path,
    executor: Executor,
    *,
    kind: Kind,
    label: str,
    command: Sequence[str],
    scheduler: str | None,
    local: int,
    given: Sequence[tuple[str, str | None]],
    patterns: Sequence[str],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Fleet:
    """Writes fleet.json; gives no job yet. given: flags and values; patterns: of hosts' names.

    Raises UsageError for what cannot be sent and for hosts that are not there or are of another
    version, NothingMeasuredError where there is none, AwayError.
    """
    collected = Collected(folder / "objects")
    for flag, value in given:
        collected.add(flag, value)
    until = clock() + ARRIVAL_S
    while not _complete(there := _there(executor), patterns, max(local, 1)) and clock() < until:
        sleep(POLL_S)
    hosts = chosen(there, patterns)
    if not hosts:
        raise NothingMeasuredError(
            "no worker is there: start `allocphase fleet worker SCHEDULER` on each host"
        )
    fleet = Fleet(
        id=secrets.token_hex(6),
        version=__version__,
        kind=kind,
        label=label,
        started=datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        command=tuple(command),
        scheduler=scheduler,
        local=local,
        options=tuple(collected.options),
        objects=tuple(collected.objects),
        hosts=tuple(
            HostEntry(
                name=one.host,
                status=HostStatus.WAITING,
                address=one.address,
                version=one.version,
                facts=one.facts,
            )
            for one in hosts
        ),
    )
    write_fleet(folder, fleet)
    return fleet


def _complete(there: Sequence[Announced], patterns: Sequence[str], least: int) -> bool:
    """Whether there are so many, and one for each of the patterns."""
    names = [one.host for one in there]
    return len(names) >= least and all(filter_names(names, pattern) for pattern in patterns)


def _there(executor: Executor) -> list[Announced]:
    try:
        return list(executor.hosts().values())
    except AwayError as error:
        raise AwayError(f"{error}: is the scheduler running?") from None

"""What came back of each host of a fleet, and the facts of its machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from allocphase.analysis import frames
from allocphase.analysis.frames import Run
from allocphase.errors import DataError
from allocphase.hosts.document import (
    FILE,
    Fleet,
    HostEntry,
    HostStatus,
    host_folder,
    read_fleet,
)
from allocphase.machine.fingerprint import fact_text
from allocphase.text.line import plain
from allocphase.text.units import format_bytes

__all__ = [
    "MAIN_FACTS",
    "FleetFiles",
    "Host",
    "Separating",
    "facts_of",
    "is_fleet",
    "read_files",
    "separating",
]

# What people tell machines apart by, in this order. docs/schema.md says what each moves.
MAIN_FACTS = (
    "cpu",
    "machine",
    "cores",
    "cpus",
    "smt",
    "caches",
    "memory_bytes",
    "virtual",
    "kernel",
    "libc",
    "page_bytes",
    "transparent_huge_pages",
    "governor",
    "boost",
    "cpu_quota",
)
# What says nothing of a machine, or changes by the minute.
_PASSING = ("load_average", "user", "python", "allocphase")
_DIGEST_LETTERS = 64
_SHOWN_LETTERS = 12


@dataclass(frozen=True, slots=True)
class Host:
    """One host. path: its run directory, None where nothing is at hand; `why` then says why."""

    entry: HostEntry
    path: Path | None
    why: str = ""

    @property
    def name(self) -> str:
        """As the fleet calls it."""
        return self.entry.name

    def run(self) -> Run:
        """Its run directory, read anew: a fleet's are not held all at once."""
        assert self.path is not None, "asked of hosts that are at hand"
        return frames.load(self.path)


@dataclass(frozen=True, slots=True)
class FleetFiles:
    """A fleet's folder, read. facts: by host, of its machine."""

    path: Path
    fleet: Fleet
    hosts: tuple[Host, ...]

    @property
    def measured(self) -> Sequence[Host]:
        """Those of which there is something to read."""
        return [host for host in self.hosts if host.path is not None]

    @property
    def missing(self) -> Sequence[Host]:
        """The others."""
        return [host for host in self.hosts if host.path is None]

    @property
    def is_running(self) -> bool:
        """Whether more is to come: until then nothing is pooled (stats/pooled.py)."""
        waited_for = (HostStatus.WAITING, HostStatus.RUNNING)
        return any(host.entry.status in waited_for for host in self.hosts)


def is_fleet(folder: Path) -> bool:
    """Whether the folder is a fleet's, and not a run directory."""
    return (folder / FILE).is_file()


def read_files(folder: Path) -> FleetFiles:
    """Raises UsageError where there is no fleet, DataError where a document is broken."""
    fleet = read_fleet(folder)
    return FleetFiles(folder, fleet, tuple(_host(folder, entry) for entry in fleet.hosts))


def _host(folder: Path, entry: HostEntry) -> Host:
    path = host_folder(folder, entry.name)
    if (path / "run.json").is_file():
        return Host(entry, path)
    if entry.status is HostStatus.DONE:
        raise DataError(
            f"{path}: there is no run directory, and {FILE} says that host {entry.name} is done: "
            f"`allocphase fleet fetch {folder}` brings it"
        )
    reason = plain(entry.reason)
    return Host(entry, None, f"{entry.status}: {reason}" if reason else str(entry.status))


def facts_of(host: Host) -> Mapping[str, object]:
    """Of its machine: what its run says, or what its worker announced."""
    if host.path is None:
        return host.entry.facts
    run = host.run()
    return {**run.manifest.environment, "driver": run.manifest.driver_sha256}


@dataclass(frozen=True, slots=True)
class Separating:
    """One fact over the hosts: texts by host; differs: whether two that know it differ in it."""

    fact: str
    texts: Mapping[str, str]
    differs: bool


def separating(facts: Mapping[str, Mapping[str, object]]) -> list[Separating]:
    """The main facts of all hosts, and of the others those in which two hosts differ."""
    every = dict.fromkeys([*MAIN_FACTS, *(name for found in facts.values() for name in found)])
    rows = []
    for name in every:
        texts = {host: _text(name, found.get(name)) for host, found in facts.items()}
        known = {texts[host] for host, found in facts.items() if found.get(name) is not None}
        differs = len(known) > 1
        if (name in MAIN_FACTS or differs) and name not in _PASSING:
            rows.append(Separating(name, texts, differs))
    return rows


def _text(name: str, value: object) -> str:
    if name in ("memory_bytes", "page_bytes") and isinstance(value, int):
        return format_bytes(value)
    text = plain(fact_text(value))
    return text[:_SHOWN_LETTERS] if len(text) == _DIGEST_LETTERS else text

"""fleet.json: what was asked of which hosts, and how far each of them is. Nothing here starts
anything, so that whoever judges or renders a fleet can read it.

    out/<time>-<label>/fleet.json          this document
    out/<time>-<label>/hosts/<host>/       what came back of a host that is done: a run directory,
                                           or a gate's, its confirming session in confirm/
    out/<time>-<label>/objects/<sha256>    the files that were sent along, to be sent again
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from allocphase.errors import UsageError
from allocphase.files.durable import write_text
from allocphase.files.typed import Check, Count, Name, load_json, plain

__all__ = [
    "FILE",
    "Digest",
    "Fleet",
    "HostEntry",
    "HostName",
    "HostStatus",
    "Kind",
    "Option",
    "SentFile",
    "SentObject",
    "host_folder",
    "is_below",
    "is_host_name",
    "read_fleet",
    "write_fleet",
]

FILE = "fleet.json"
SCHEMA = 1

Kind = Literal["run", "gate"]

# A host's name is that of a folder, and part of a resource of dask's.
_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
MOST_PATH_LETTERS = 1000


def is_host_name(value: object) -> bool:
    """Letters, digits, dots, dashes and underscores, 64 at most."""
    return isinstance(value, str) and _HOST_NAME.fullmatch(value) is not None


def is_below(value: object) -> bool:
    """A path that leads nowhere but below the folder that it is taken from."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > MOST_PATH_LETTERS:
        return False
    parts = value.split("/")
    return all(part not in ("", ".", "..") for part in parts) and "\\" not in value


HostName = Annotated[
    str, Check("a host's name: letters, digits, dots, dashes and underscores", is_host_name)
]
Digest = Annotated[
    str,
    Check(
        "a SHA-256 in hex",
        lambda value: isinstance(value, str) and _DIGEST.fullmatch(value) is not None,
    ),
]
PathBelow = Annotated[str, Check("a path within its folder", is_below)]


class HostStatus(StrEnum):
    """How far a host is. Lost: it is away, and what it has measured is on its own disk."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    LOST = "lost"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of the job."""
        return self in (HostStatus.DONE, HostStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """One file that the job brings along, from its object's folder on."""

    path: PathBelow
    sha256: Digest
    size_bytes: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class SentObject:
    """What an option names: a file or folder, and the files that it needs. main: which of them, or
    the folder that they are in.
    """

    main: PathBelow
    files: tuple[SentFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of `allocphase run` or `gate`: `flag=value`, the flag alone where value is None.

    sent: the place among the fleet's objects of the one whose path comes after `value`, and before
    `rest`: `mine=` OBJECT `?pool=64`.
    """

    flag: Name
    value: str | None = None
    sent: Count | None = None
    rest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEntry:
    """One host. address: where its worker was last; version, facts: of allocphase there, and of the
    machine (machine.fingerprint), as the worker announced them. attempts: how often the job was
    given to it. archive: digest of what came back; exit_code: of `run` or `gate` there; reason: of
    what is lost or failed.
    """

    name: HostName
    status: HostStatus
    address: str = ""
    version: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    attempts: Count = 0
    archive: Digest | None = None
    exit_code: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A fleet's run or gate. id: tells its jobs from those of all others. version: of allocphase,
    which every host must have. started: ISO 8601, UTC. command: as it was given. scheduler: dask's,
    None of a trial on this machine, which has `local` workers.
    """

    id: Name
    version: str
    kind: Kind
    label: str
    started: str
    command: tuple[str, ...]
    scheduler: str | None
    local: Count = 0
    options: tuple[Option, ...]
    objects: tuple[SentObject, ...]
    hosts: tuple[HostEntry, ...]

    def host(self, name: str) -> HostEntry:
        """Raises KeyError where there is none of that name."""
        found = {entry.name: entry for entry in self.hosts}
        return found[name]

    def with_host(self, changed: HostEntry) -> Fleet:
        """The same with one host's entry changed."""
        hosts = tuple(changed if one.name == changed.name else one for one in self.hosts)
        return replace(self, hosts=hosts)


def host_folder(folder: Path, host: str) -> Path:
    """Where the result of a host lies, once it is done."""
    return folder / "hosts" / host


def read_fleet(folder: Path) -> Fleet:
    """Raises UsageError where there is no fleet, DataError where its document is broken."""
    try:
        fleet = load_json(Fleet, folder / FILE, schema=SCHEMA)
    except FileNotFoundError:
        raise UsageError(f"{folder}: no fleet ran there: there is no {FILE} in it") from None
    return fleet


def write_fleet(folder: Path, fleet: Fleet) -> None:
    """Whole or not at all. Raises AllocphaseError."""
    text = json.dumps({"schema": SCHEMA, **plain(fleet)}, indent=1, ensure_ascii=False)
    write_text(folder / FILE, text + "\n")

"""Which hosts there are: what a worker announces of its machine, and which of them are chosen."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from allocphase import __version__
from allocphase.errors import UsageError
from allocphase.files.typed import FieldError, plain, read
from allocphase.hosts.document import HostName
from allocphase.machine.fingerprint import fingerprint

__all__ = [
    "DIR_VARIABLE",
    "HOST_VARIABLE",
    "Announced",
    "announce",
    "announced",
    "chosen",
    "own_folder",
    "own_name",
]

# For workers that something else starts; `allocphase fleet worker` has options.
HOST_VARIABLE = "ALLOCPHASE_FLEET_HOST"
DIR_VARIABLE = "ALLOCPHASE_FLEET_DIR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What a worker says of its host. facts: machine.fingerprint, the driver's digest among them.
    address: dask's, which is another after each start.
    """

    host: HostName
    version: str
    facts: Mapping[str, object]
    address: str = ""

    @property
    def refusal(self) -> str | None:
        """Why it is given no job."""
        if self.version == __version__:
            return None
        return f"it has allocphase {self.version}, and this is {__version__}: install the same"


def announce(host: str) -> dict[str, object]:
    """Plain values. Raises AllocphaseError where the driver is not installed."""
    found: dict[str, object] = plain(
        Announced(host=host, version=__version__, facts=fingerprint()), defaults=True
    )
    return found


def announced(values: object, *, address: str) -> Announced | None:
    """What one said; None where it is no worker of ours."""
    if not isinstance(values, dict):
        return None
    try:
        return read(Announced, {**values, "address": address})
    except FieldError:
        return None


def chosen(there: Iterable[Announced], patterns: Sequence[str]) -> list[Announced]:
    """The hosts of that name, or of a glob, in the order of their names; all without one.

    Raises UsageError for what names none, and for one of another version.
    """
    hosts = {one.host: one for one in sorted(there, key=lambda one: one.host)}
    for pattern in patterns:
        if not any(fnmatchcase(host, pattern) for host in hosts):
            known = ", ".join(hosts) or "none"
            raise UsageError(f"--host {pattern!r}: no worker is there of that host: {known}")
    found = [
        one
        for host, one in hosts.items()
        if not patterns or any(fnmatchcase(host, pattern) for pattern in patterns)
    ]
    for one in found:
        if one.refusal:
            raise UsageError(f"host {one.host}: {one.refusal}, or leave it out by --host")
    return found


def own_name() -> str:
    """What the host is called where nobody says: the machine's name."""
    given = os.environ.get(HOST_VARIABLE)
    return given or re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).strip("-._") or "host"


def own_folder() -> Path:
    """Where jobs go where nobody says: the user's state, which outlives a reboot."""
    if given := os.environ.get(DIR_VARIABLE):
        return Path(given)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "allocphase" / "fleet"

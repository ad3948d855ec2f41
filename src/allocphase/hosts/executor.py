"""What brings jobs to hosts, as the controller sees it: dask's, or a test's with hosts of its own.

An executor remembers nothing that the controller has to rely on: what it does not know, it calls
UNKNOWN, and is given again. A host takes a job that it has, or has ended, as often as it comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Protocol

from allocphase.errors import AllocphaseError
from allocphase.hosts.inventory import Announced
from allocphase.hosts.job import HostResult, Job

__all__ = ["AwayError", "Executor", "JobState", "Progress"]


class AwayError(AllocphaseError):
    """Nobody answers: what was asked may have been done or not, and can be asked again."""


class Progress(StrEnum):
    """UNKNOWN: nobody has the job. WAITING: its host has not begun. BROKEN: it was given, and
    its worker was lost or stopped: it can be gone on with. ENDED: there is a result, if only a
    reason.
    """

    UNKNOWN = "unknown"
    WAITING = "waiting"
    RUNNING = "running"
    BROKEN = "broken"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """result: of what has ended; reason: of what is broken."""

    progress: Progress
    result: HostResult | None = None
    reason: str = ""


class Executor(Protocol):
    """Every method raises AwayError where the scheduler is gone."""

    def hosts(self) -> Mapping[str, Announced]:
        """The hosts whose workers are there now, by name."""

    def submit(self, job: Job, *, attempt: int) -> None:
        """Gives the job to its host, and to no other, with the files that it lacks."""

    def poll(self, jobs: Sequence[Job]) -> Mapping[str, JobState]:
        """How far they are, by host."""

    def fetch(self, job: Job, result: HostResult, target: BinaryIO) -> None:
        """Writes the archive of a job that has ended."""

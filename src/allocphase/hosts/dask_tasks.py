"""What a worker is asked to do: the five functions that a controller names, and no others.

dask pickles a function of an installed module as its name, and what goes in and out here is text
and bytes. `HOST` is this process's, set once as its worker starts.
"""

from __future__ import annotations

from allocphase.errors import AllocphaseError, UsageError
from allocphase.hosts.execution import Host, JobStoppedError
from allocphase.hosts.job import HostResult, job_id, written

__all__ = ["HOST", "ended", "hold", "keep", "lacking", "piece", "run_job", "start_on"]

HOST: Host | None = None


def hold() -> Host:
    """The host of this process. Raises UsageError in one that is no worker of a fleet."""
    if HOST is None:
        raise UsageError("this worker was not started for a fleet: see docs/fleet.md")
    return HOST


def start_on(host: Host) -> None:
    """Makes this process that host's."""
    global HOST
    HOST = host


def run_job(text: str, *kept: str) -> str:
    """A job's result as JSON; one that is refused is a result, too. kept: files that it waits for.

    Raises JobStoppedError where it can be gone on with.
    """
    del kept
    try:
        return written(hold().run(text))
    except JobStoppedError:
        raise
    except AllocphaseError as error:
        return written(HostResult(exit_code=error.exit_code, reason=str(error)))


def ended(fleet: str) -> str:
    """The result of that fleet's job, as JSON; empty where there is none yet."""
    host = hold()
    result = host.ended(job_id(fleet, host.name))
    return "" if result is None else written(result)


def lacking(digests: list[str]) -> list[str]:
    """Files that are not here yet."""
    return hold().lacking(digests)


def keep(content: bytes) -> str:
    """Keeps a file; its digest."""
    return hold().keep(content)


def piece(job_id: str, offset: int) -> bytes:
    """A part of a job's archive."""
    return hold().piece(job_id, offset)

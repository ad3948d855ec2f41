"""An executor on dask.distributed: its scheduler moves jobs and results, and decides nothing.

A job is one task that only its host can run (dask_worker.resource), under a key of its own; dask is
told not to forget it when the controller goes, and a controller that comes back gives the same key.
What dask does not know any more after its scheduler's death, the host knows from its disk.

What dask's protocol trusts, and this cannot mend: functions and results are pickled, so whoever
holds a certificate of the fleet's authority can run anything on its scheduler, its workers and its
controllers, as the users that they run as.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import dask
from distributed import Client, Future, LocalCluster, Nanny, fire_and_forget

from allocphase.errors import UsageError
from allocphase.hosts import dask_tasks
from allocphase.hosts.dask_worker import ANNOUNCED, be_quiet, resource
from allocphase.hosts.executor import AwayError, JobState, Progress
from allocphase.hosts.inventory import DIR_VARIABLE, HOST_VARIABLE, Announced, announced
from allocphase.hosts.job import HostResult, Job, read_result, written
from allocphase.hosts.objects import read_object

__all__ = ["DaskExecutor", "local_cluster", "require_secure"]

CONNECT_S = 10
ANSWER_S = 60
# What a lost connection, a scheduler that ended and a worker that died look like.
_GONE = (
    OSError,
    TimeoutError,
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
    RuntimeError,
)
# dask warns of what it holds to be data in a graph; objects under test are that, and few.
_LARGE = {"distributed.admin.large-graph-warning-threshold": "1GB"}


def require_secure(scheduler: str, *, secured: bool) -> None:
    """Raises UsageError for what is no address, and for one that others reach without TLS."""
    parts = urlsplit(scheduler)
    if parts.scheme not in ("tls", "tcp") or not parts.hostname:
        raise UsageError(f"scheduler {scheduler!r}: it is written tls://HOST:PORT")
    if parts.scheme == "tls" and not secured:
        raise UsageError(
            f"{scheduler}: add --certificates DIR; `allocphase fleet certificates` makes some"
        )
    if parts.scheme == "tcp" and secured:
        raise UsageError(f"{scheduler}: certificates are for tls://")
    if parts.scheme == "tcp" and not _is_loopback(parts.hostname):
        raise UsageError(
            f"{scheduler}: without TLS anybody who reaches it can run anything on every host: use "
            "tls:// and --certificates DIR; tcp:// is for this machine alone"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


class _LocalHost(Nanny):
    """A worker of a trial, whose host is called after its number."""

    def __init__(self, scheduler: str, *, name: object, local_folder: str, **options: Any) -> None:
        env = {HOST_VARIABLE: f"local-{name}", DIR_VARIABLE: local_folder}
        super().__init__(scheduler, **{**options, "name": name, "env": env})


def local_cluster(count: int, folder: Path) -> LocalCluster:
    """Workers on this machine, called local-0 and so on, for a trial: they share it, and one
    measures while the others wait for it. folder: of their jobs.
    """
    be_quiet()
    return LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        memory_limit=0,
        dashboard_address=None,
        worker_class=_LocalHost,
        local_folder=str(folder.absolute()),
        preload=["allocphase.hosts.dask_preload"],
    )


class DaskExecutor:
    """See executor.Executor. scheduler: an address, or a cluster of this process; objects: the
    folder of what is sent along.
    """

    def __init__(self, scheduler: str | LocalCluster, *, objects: Path, security: Any) -> None:
        self._scheduler = scheduler
        self._objects = objects
        self._security = security
        self._client: Client | None = None
        self._futures: dict[str, Future[str]] = {}
        self._there: Mapping[str, Announced] = {}

    def close(self) -> None:
        """The jobs go on: dask was told not to forget them."""
        if self._client is not None:
            with contextlib.suppress(*_GONE):
                self._client.close(timeout=ANSWER_S)
        self._client = None

    def hosts(self) -> Mapping[str, Announced]:
        """Raises AwayError."""
        with self._connected() as client:
            workers = client.scheduler_info(n_workers=-1)["workers"]
        found = (
            announced(worker.get(ANNOUNCED), address=address) for address, worker in workers.items()
        )
        self._there = {one.host: one for one in found if one is not None}
        return self._there

    def submit(self, job: Job, *, attempt: int) -> None:
        """Raises AwayError, and DataError where what is to be sent is no longer there."""
        there = self._there.get(job.host)
        if there is None:
            raise AwayError(f"{job.host}: its worker is away")
        only_there = {resource(job.host): 1}
        with self._connected() as client, dask.config.set(_LARGE):
            missing = self._ask(client, there.address, dask_tasks.lacking, sorted(job.digests))
            kept = [
                client.submit(
                    dask_tasks.keep,
                    read_object(self._objects, digest),
                    key=f"{job.id}-{attempt}-{digest}",
                    resources=only_there,
                )
                for digest in missing
            ]
            future = client.submit(
                dask_tasks.run_job,
                written(job),
                *kept,
                key=f"{job.id}-{attempt}",
                resources=only_there,
            )
            fire_and_forget(future)
        self._futures[job.host] = future

    def poll(self, jobs: Sequence[Job]) -> Mapping[str, JobState]:
        """Raises AwayError."""
        with self._connected() as client:
            processing = {str(key) for keys in client.processing().values() for key in keys}
            states = {job.host: self._state(job.host, processing) for job in jobs}
            unknown = [job for job in jobs if states[job.host].progress is Progress.UNKNOWN]
            return {**states, **self._ended(client, unknown)}

    def fetch(self, job: Job, result: HostResult, target: BinaryIO) -> None:
        """Raises AwayError."""
        there = self._there.get(job.host)
        if there is None:
            raise AwayError(f"{job.host}: its worker is away, with the results")
        with self._connected() as client:
            offset = 0
            while offset < result.size_bytes:
                piece = self._ask(client, there.address, dask_tasks.piece, job.id, offset)
                if not piece:
                    break  # the digest will say so
                target.write(piece)
                offset += len(piece)

    def _ended(self, client: Client, jobs: Sequence[Job]) -> Mapping[str, JobState]:
        """Of jobs that an earlier controller gave, those that ended, as their hosts' disks say."""
        hosts = {self._there[job.host].address: job.host for job in jobs if job.host in self._there}
        if not hosts:
            return {}
        found = client.run(dask_tasks.ended, jobs[0].fleet, workers=list(hosts), on_error="ignore")
        return {
            hosts[address]: JobState(progress=Progress.ENDED, result=read_result(text))
            for address, text in found.items()
            if text
        }

    def _ask(self, client: Client, address: str, function: Any, *arguments: object) -> Any:
        """Of a worker, at once, whatever its one thread does."""
        found = client.run(function, *arguments, workers=[address])
        if address not in found:
            raise AwayError(f"the worker at {address} is away")
        return found[address]

    def _state(self, host: str, processing: set[str]) -> JobState:
        future = self._futures.get(host)
        if future is None:
            return JobState(progress=Progress.UNKNOWN)
        if future.status == "finished":
            result = read_result(future.result(timeout=ANSWER_S))
            return JobState(progress=Progress.ENDED, result=result)
        if future.status == "error":
            error = future.exception(timeout=ANSWER_S)
            return JobState(progress=Progress.BROKEN, reason=str(error))
        if future.status != "pending":  # cancelled, lost: the connection was
            del self._futures[host]
            return JobState(progress=Progress.UNKNOWN)
        running = future.key in processing
        return JobState(progress=Progress.RUNNING if running else Progress.WAITING)

    @contextmanager
    def _connected(self) -> Iterator[Client]:
        """A client of a scheduler that answers. Raises AwayError where none does, or stops to."""
        try:
            if self._client is not None and self._client.status == "connecting":
                raise AwayError("the scheduler is away")
            if self._client is None or self._client.status != "running":
                self.close()
                self._futures.clear()
                self._client = Client(
                    self._scheduler,
                    security=self._security,
                    timeout=CONNECT_S,
                    set_as_default=False,
                )
            yield self._client
        except _GONE as error:
            raise AwayError(f"the scheduler or a worker is away: {error}") from error

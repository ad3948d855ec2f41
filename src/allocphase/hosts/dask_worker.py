"""A worker of dask's that does not disturb what it measures, and what makes any worker one of ours.

`python -m allocphase.hosts.dask_worker`, which `allocphase fleet worker` keeps running, is one
worker of one thread. What something else starts becomes one by

    dask worker SCHEDULER --nthreads 1 --preload allocphase.hosts.dask_preload

Its host is a resource, `bench:HOST`: unlike an address it is the same after each start, and unlike
a name it may come back before the scheduler knows that it was gone. A task that asks for it waits
for this host, and is never given to another one, nor stolen by it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask

from allocphase.errors import AllocphaseError, UsageError
from allocphase.hosts import dask_tasks
from allocphase.hosts.certificates import Certificates
from allocphase.hosts.dask_guard import without_doors
from allocphase.hosts.execution import Host
from allocphase.hosts.inventory import announce

__all__ = ["ANNOUNCED", "be_quiet", "become_host", "resource"]

_LOG = logging.getLogger("allocphase")

# The key of what a worker says of itself, in dask's own list of workers.
ANNOUNCED = "allocphase"

# An hour: one tick a minute is late by nothing that matters.
TICK_LIMIT_S = 3600
# What an idle worker would otherwise do 100 times a second, and what may kill it in mid-job.
# docs/fleet.md has what each of them costs.
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.admin.tick.interval": "60s",
    "distributed.admin.tick.cycle": "60s",
    "distributed.admin.tick.limit": f"{TICK_LIMIT_S}s",
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.scheduler.work-stealing": False,
    # A nanny's: variables of malloc and of libraries, in the environment of what is measured.
    "distributed.nanny.pre-spawn-environ": {},
}
POLL_S = 2.0
# How long a scheduler may take to answer one that can be reached.
DEATH_TIMEOUT_S = 60


def resource(host: str) -> str:
    """What a task asks for that is for one host."""
    return f"bench:{host}"


def be_quiet() -> None:
    """For every worker that this process, or one that it starts, makes from now on."""
    dask.config.set(QUIET)
    from distributed import core

    core.tick_maximum_delay = TICK_LIMIT_S  # it reads that one as it is imported


def become_host(worker: Any, host: Host) -> None:
    """Makes a worker that has not registered yet that of a host, and has it say so.

    Raises UsageError for one that would run several jobs at once.
    """
    if worker.state.nthreads != 1:
        raise UsageError("a worker of a fleet has one thread: start it with --nthreads 1")
    facts = announce(host.name)
    without_doors(worker)
    dask_tasks.start_on(host)
    worker.startup_information = {**worker.startup_information, ANNOUNCED: lambda _: facts}
    for resources in (worker.state.total_resources, worker.state.available_resources):
        resources[resource(host.name)] = 1


async def _serve(scheduler: str, host: Host, security: Any) -> None:
    """Until the scheduler is gone, or the worker is told to end."""
    from distributed import Worker

    worker = Worker(
        scheduler,
        nthreads=1,
        memory_limit=0,
        dashboard=False,
        security=security,
        death_timeout=DEATH_TIMEOUT_S,
        preload=["allocphase.hosts.dask_preload"],
    )
    become_host(worker, host)
    async with worker:
        await worker.finished()


def _await_scheduler(address: str) -> None:
    """dask tries ten times a second; a fleet's scheduler may be away for a night."""
    parts = urlsplit(address)
    while True:
        try:
            socket.create_connection((str(parts.hostname), int(parts.port or 8786)), 10).close()
        except OSError:
            time.sleep(POLL_S)
        else:
            return


def _main() -> None:
    """SCHEDULER HOST DIR [CERTIFICATES]. Exit code 2 for what a second start would not mend."""
    scheduler, name, folder, *certificates = sys.argv[1:]
    be_quiet()
    try:
        security = Certificates.of(Path(certificates[0])).security() if certificates else None
        host = Host(name, Path(folder))
        _await_scheduler(scheduler)
        asyncio.run(_serve(scheduler, host, security))
    except AllocphaseError as error:
        print(f"allocphase: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    _main()

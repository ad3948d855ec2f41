"""`dask worker --preload allocphase.hosts.dask_preload`: makes a worker that of a host.

dask imports this before it makes the worker, and the nanny: from then on they are quiet, and take
jobs of a fleet alone. It calls `dask_setup` before the worker registers. ALLOCPHASE_FLEET_HOST
names the host, where it is not to be called as the machine is, and ALLOCPHASE_FLEET_DIR the folder
of its jobs.
"""

from __future__ import annotations

from typing import Any

from allocphase.hosts import dask_tasks
from allocphase.hosts.dask_guard import only_ours
from allocphase.hosts.dask_worker import be_quiet, become_host
from allocphase.hosts.execution import Host
from allocphase.hosts.inventory import own_folder, own_name

__all__ = ["dask_setup", "dask_teardown"]

be_quiet()
only_ours()


def dask_setup(worker: Any) -> None:
    """Nothing, where the process is a host's already."""
    if dask_tasks.HOST is None:
        become_host(worker, Host(own_name(), own_folder()))


def dask_teardown(worker: Any) -> None:
    """The worker ends, because it was told to or the scheduler is gone: so does what it runs."""
    del worker
    if dask_tasks.HOST is not None:
        dask_tasks.HOST.stop()

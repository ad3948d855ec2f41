"""A worker of a fleet unpickles the names that a fleet's messages are made of, and no others.

dask sends functions as pickles, and an unpickled name can be any function of any module. Here it is
one of our five, or a part of dask's own messages: what else somebody has dask send to this worker,
be it by mistake, is refused before it is made, and does not disturb what is measured. This keeps
the worker to its work. It is no wall against whoever may give it jobs, since a job brings along
objects that are run.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable
from typing import Any

from allocphase.errors import UsageError

__all__ = ["only_ours", "without_doors"]

_TASKS = "allocphase.hosts.dask_tasks"
ALLOWED = frozenset(
    {
        *((_TASKS, name) for name in ("ended", "keep", "lacking", "piece", "run_job")),
        *(
            ("dask._task_spec", name)
            for name in ("Alias", "DataNode", "Dict", "List", "Set", "Task", "TaskRef", "Tuple")
        ),
        # Each scheduler sends it to each worker.
        ("distributed.shuffle._worker_plugin", "ShuffleWorkerPlugin"),
    }
)
# What runs code of somebody's without a pickle, or loads the machine.
_DOORS = (
    "upload_file",
    "run_coroutine",
    "actor_execute",
    "actor_attribute",
    "benchmark_disk",
    "benchmark_memory",
    "benchmark_network",
    "profile",
    "profile_metadata",
)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Raises UsageError for what is not allowed."""
        if (module, name) not in ALLOWED:
            raise UsageError(f"this worker runs jobs of a fleet, and no {module}.{name}")
        return super().find_class(module, name)


def _loads(content: bytes, *, buffers: Iterable[Any] = ()) -> Any:
    return _Unpickler(io.BytesIO(content), buffers=buffers).load()


def only_ours() -> None:
    """From now on, of all that dask unpickles in this process."""
    from distributed.protocol import pickle as dasks

    dasks.loads = _loads


def without_doors(worker: Any) -> None:
    """The same worker without its handlers that a fleet has no use for."""
    for door in _DOORS:
        worker.handlers.pop(door, None)

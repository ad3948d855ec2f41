"""A worker unpickles what a fleet's messages are made of, and nothing that somebody else sends."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from dask._task_spec import Alias, Task, TaskRef
from distributed.protocol import pickle as dasks_pickle

from allocphase.errors import UsageError
from allocphase.hosts import dask_tasks
from allocphase.hosts.dask_guard import only_ours, without_doors

dasks: Any = dasks_pickle  # which is not annotated


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dasks, "loads", dasks.loads)  # and back again
    only_ours()


@pytest.mark.parametrize(
    "sent",
    [
        dask_tasks.ended,
        dask_tasks.lacking,
        dask_tasks.piece,
        (["ab"], {"offset": 3}, b"bytes", {1, None}),
        Task("job", dask_tasks.run_job, "{}", TaskRef("kept")),
        Task("kept", dask_tasks.keep, b"object"),
        Alias("job", "other"),
    ],
)
def test_what_a_controller_sends_arrives(sent: object) -> None:
    found = dasks.loads(dasks.dumps(sent))
    assert found == sent


@pytest.mark.parametrize(
    "sent",
    [
        os.system,
        subprocess.Popen,
        eval,
        sys.exit,
        lambda: None,
        Task("other", sum, [1, 2]),
        Task("other", dask_tasks.start_on, None),
        SimpleNamespace(a=1),
    ],
)
def test_what_somebody_else_sends_is_refused(sent: Callable[..., object]) -> None:
    with pytest.raises(UsageError, match="this worker runs jobs of a fleet, and no "):
        dasks.loads(dasks.dumps(sent))


def test_buffers_beside_a_pickle_arrive() -> None:
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(
        pickle.PickleBuffer(bytearray(b"object")), protocol=5, buffer_callback=buffers.append
    )
    assert bytes(dasks.loads(content, buffers=buffers)) == b"object"


def test_a_worker_has_no_doors_that_a_fleet_does_not_use() -> None:
    from distributed import Worker

    worker = SimpleNamespace(handlers=dict.fromkeys(["run", "upload_file", "benchmark_disk"]))
    without_doors(worker)
    assert list(worker.handlers) == ["run"]
    assert callable(Worker.upload_file)  # dask still has it: a name that changed closes nothing

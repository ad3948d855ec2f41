"""The null allocator is a floor: it uses its memory again, and threads do not meet in it."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from allocphase.allocator import resolve
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.trace.records import Touch
from tests.support.driving import Driver, usage_of
from tests.support.traces import free, malloc, write_trace

# As in allocphase.h: init and fini, then malloc and so on.
MEMBERS = ["init", "fini", "malloc", "free", "calloc", "realloc", "aligned_alloc"]
MEMBERS += ["malloc_tagged", "free_tagged", "usable_size", "stats", "check"]
MEMBERS += ["thread_start", "thread_stop"]


class _Table(ctypes.Structure):
    _fields_ = [
        ("abi_version", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        *((name, ctypes.c_void_p) for name in MEMBERS),
    ]


class _Config(ctypes.Structure):
    _fields_ = [("settings", ctypes.c_void_p), ("count", ctypes.c_size_t)]


class _Null:
    """The table's functions, called from this process."""

    def __init__(self) -> None:
        library = ctypes.CDLL(str(resolve("null")[0].path))
        library.allocphase_plugin.restype = ctypes.POINTER(_Table)
        table = library.allocphase_plugin().contents
        self.malloc: Callable[[int], int] = self._function(table.malloc, ctypes.c_size_t)
        self.thread_start: Callable[[], None] = self._function(table.thread_start)
        self.thread_stop: Callable[[], None] = self._function(table.thread_stop)
        assert self._function(table.init, ctypes.c_void_p)(ctypes.byref(_Config())) in (0, None)

    @staticmethod
    def _function(address: int, *arguments: Any) -> Any:
        return ctypes.CFUNCTYPE(ctypes.c_void_p, *arguments)(address)

    def blocks_of_threads(self, count: int) -> list[int]:
        """A block of each of so many threads that live at once."""
        all_live = threading.Barrier(count)

        def one(_: int) -> int:
            self.thread_start()
            block = self.malloc(64)
            all_live.wait()
            self.thread_stop()
            return block

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(one, range(count)))


@pytest.fixture(scope="module")
def null() -> _Null:
    return _Null()


def test_threads_that_live_at_once_share_no_cache_line(null: _Null) -> None:
    blocks = sorted(null.blocks_of_threads(64))
    assert all(right - left >= 128 for left, right in pairwise(blocks))


def test_a_thread_takes_over_the_memory_of_one_that_ended(null: _Null) -> None:
    assert sorted(null.blocks_of_threads(3)) == sorted(null.blocks_of_threads(3))
    assert len({null.blocks_of_threads(1)[0] for _ in range(100)}) == 1


def test_more_threads_than_it_has_lanes_are_served_all_the_same(null: _Null) -> None:
    assert all(null.blocks_of_threads(80))
    assert len(set(null.blocks_of_threads(64))) == 64


def test_replaying_a_trace_once_more_touches_no_fresh_memory(
    driver: Driver, tmp_path: Path
) -> None:
    """Page faults would lift the floor above an allocator that uses its memory again."""
    path = write_trace(tmp_path / "t", [malloc(0, 32 << 20), free(0)], touch=Touch.PAGES)
    pages = (32 << 20) / 4096
    outcome = driver.measure(Probe.THROUGHPUT, path, resolve("null")[0], pass_ns=1, passes=40)
    assert len(outcome.result.part(Throughput).warm_ns_per_op) == 40
    assert usage_of(outcome).minor_faults < 2 * pages

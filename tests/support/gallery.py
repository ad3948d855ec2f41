"""The gallery of faulty allocators, tests/faulty: what each one is, and what it must get."""

from __future__ import annotations

import ctypes
import os
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from allocphase.allocator import Allocator, resolve
from allocphase.probe.probe import Probe
from allocphase.probe.result import Verify
from allocphase.process.driver import DriverExecutor, Outcome, TraceJob
from allocphase.process.keeper import Limits
from allocphase.trace.records import Kind, Touch
from tests.support.driving import FULL_SPEED
from tests.support.plugins import ROOT, Plugins
from tests.support.traces import Op, free, malloc, tags, write_trace

__all__ = [
    "FOLDER",
    "LIMITS",
    "Fault",
    "Key",
    "check",
    "faults",
    "gallery_job",
    "landlock",
    "outcomes_of",
    "tried",
]

FOLDER = ROOT / "tests" / "faulty"
# driver/fence.h: the version of Landlock that keeps an allocator from it.
FENCES = {"files": 3, "signals": 6}
LANDLOCK_CREATE_RULESET, VERSION_FLAG = 444, 1
# What the driver needs for itself fits twice; what leaks passes it soon.
LIMITS = Limits(memory_bytes=128 << 20, processes=16, disk_bytes=0)
# Whatever hangs is killed at its limit; on a busy machine a short one may end before the fault.
HANG_S = (0.25, 2.0, 8.0, 60.0)
# For all that must end by itself, however busy the machine is.
PATIENCE_S = 60.0

OPS: list[Op] = [
    malloc(0, 64),
    malloc(1, 100),
    malloc(2, 64),
    (Kind.CALLOC, 3, 48, 0, 0),
    (Kind.REALLOC, 0, 300, 0, 0),
    malloc(4, 32, tag=1),
    free(1),
    malloc(5, 100),
    malloc(6, 100),
    malloc(7, 40),
    *(free(slot) for slot in (2, 0, 3, 5, 6, 7)),
    free(4, tag=1),
]

Key = tuple[str, Probe]


@dataclass(frozen=True, slots=True)
class Fault:
    """One table of expected.toml."""

    name: str
    values: dict[str, Any]

    def path(self, plugins: Plugins) -> Path:
        """Its shared object."""
        return plugins(self.values["file"], *self.values.get("defines", ()), folder=FOLDER)

    def allocator(self, plugins: Plugins) -> Allocator:
        """What `-a NAME=FILE?fault=...` makes of it."""
        fault = self.values.get("fault")
        return Allocator(
            name=self.name,
            title=self.name,
            summary="of the gallery",
            kind="preload" if self.values.get("preload") else "plugin",
            path=self.path(plugins),
            config={"fault": fault} if fault else {},
            environment={},
        )

    def expected(self, probe: Probe) -> tuple[str, str]:
        """Status and message; * in a message stands for anything."""
        group = "timed" if probe in FULL_SPEED else "counted"
        keys = (probe.value, group, "all")
        status, message = next(self.values[key] for key in keys if key in self.values)
        return status, message

    @property
    def wants(self) -> int:
        """The version of Landlock without which it would do harm; 0 for most."""
        return FENCES.get(self.values.get("fence", ""), 0)

    def is_kept_in(self, version: int) -> bool:
        """Whether it may be tried, where the kernel has that Landlock."""
        return version >= self.wants

    @property
    def hangs(self) -> bool:
        """Whether its processes end by their time limit alone."""
        return bool(self.values["file"] == "hang") or "hangs" in self.values

    @property
    def conformance(self) -> list[str]:
        """What a verify that is ok finds of functions that the trace does not use."""
        return [self.values["conformance"]] if "conformance" in self.values else []

    @property
    def tampered(self) -> list[str]:
        """What a result that is ok says it has changed of the process."""
        if self.name == "changes-affinity" and len(os.sched_getaffinity(0)) == 1:
            return []  # there is no other CPU
        return list(self.values.get("tampered", []))

    @property
    def interposes(self) -> list[str]:
        """What the result of a preload says it has taken from libc beside memory."""
        return list(self.values.get("interposes", []))

    @property
    def may_tamper(self) -> bool:
        """Whether that is a matter of chance."""
        return self.tampered == ["*"]


def landlock() -> int:
    """The version that this kernel has of it, below 1 where there is none."""
    libc = ctypes.CDLL(None)
    return int(libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), VERSION_FLAG))


def tried(found: list[Fault]) -> list[Any]:
    """As parameters of tests: skipped are those which nothing would keep from harming the tests."""
    here = landlock()
    return [
        pytest.param(
            fault,
            id=fault.name,
            marks=pytest.mark.skipif(
                not fault.is_kept_in(here),
                reason=f"nothing keeps it in here: wants Landlock {fault.wants}, not {here}",
            ),
        )
        for fault in found
    ]


def faults() -> list[Fault]:
    """All of them, in the order of the file."""
    with (FOLDER / "expected.toml").open("rb") as file:
        return [Fault(name, values) for name, values in tomllib.load(file).items()]


# ---- Running them ----------------------------------------------------------------------------


def gallery_job(folder: Path) -> TraceJob:
    """All but the allocator and the probe; its trace is made in `folder`."""
    path = folder / "gallery.trace"
    write_trace(path, OPS, touch=Touch.FIRST, tag_table=tags((1, 1, 0.0)))
    return TraceJob(
        id=0,
        round=0,
        allocator=resolve("libc")[0],
        scenario="gallery",
        trace=path,
        probe=Probe.VERIFY,
        cpus=(min(os.sched_getaffinity(0)),),
        timeout_s=PATIENCE_S,
        options={"pass-ns": "1", "passes": "1"},
    )


def outcomes_of(
    keys: Sequence[tuple[Fault, Probe]], plugins: Plugins, job: TraceJob
) -> Mapping[Key, Outcome]:
    """Several at once, since nothing is timed here."""
    with ThreadPoolExecutor(4 * len(os.sched_getaffinity(0))) as pool:
        found = pool.map(lambda key: _outcome(plugins, job, *key), keys)
        return {(key[0].name, key[1]): one for key, one in zip(keys, found, strict=True)}


def _outcome(plugins: Plugins, job: TraceJob, fault: Fault, probe: Probe) -> Outcome:
    """Within the shortest time limit in which the process reaches its fault, or the longest."""
    job = replace(job, allocator=fault.allocator(plugins), probe=probe)
    executor = DriverExecutor(limits=LIMITS)
    for limit_s in HANG_S if fault.hangs else (PATIENCE_S,):
        outcome = executor.run(replace(job, timeout_s=limit_s))
        if fnmatchcase(outcome.message, fault.expected(probe)[1]):
            break
    return outcome


def check(fault: Fault, probe: Probe, outcome: Outcome) -> None:
    """Fails unless it is what expected.toml says."""
    status, message = fault.expected(probe)
    assert outcome.status == status, f"{fault.name}, {probe}: {outcome.message}"
    assert fnmatchcase(outcome.message, message), f"{fault.name}, {probe}: {outcome.message}"
    if status == "ok" and not fault.may_tamper:
        assert outcome.result.tampered == tuple(fault.tampered), f"{fault.name}, {probe}"
    if status == "ok":
        assert sorted(outcome.result.interposes) == sorted(fault.interposes), fault.name
    if (status, probe) == ("ok", Probe.VERIFY):
        found = outcome.result.part(Verify).conformance
        assert len(found) == len(fault.conformance), found
        assert all(map(fnmatchcase, found, fault.conformance)), found

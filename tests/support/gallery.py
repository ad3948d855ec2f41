"""The gallery of faulty allocators, tests/faulty: what each one is, and what it must get."""

from __future__ import annotations

import ctypes
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from allocphase.allocator import Allocator
from allocphase.probe.probe import Probe
from tests.support.driving import FULL_SPEED
from tests.support.plugins import ROOT, Plugins

__all__ = ["FOLDER", "Fault", "faults", "landlock", "tried"]

FOLDER = ROOT / "tests" / "faulty"
# driver/fence.h: the version of Landlock that keeps an allocator from it.
FENCES = {"files": 3, "signals": 6}
LANDLOCK_CREATE_RULESET, VERSION_FLAG = 444, 1


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
        return bool(self.values["file"] == "hang")

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

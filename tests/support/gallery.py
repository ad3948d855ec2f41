"""The gallery of faulty allocators, tests/faulty: what each one is, and what it must get."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocphase.allocator import Allocator
from allocphase.probe.probe import Probe
from tests.support.driving import FULL_SPEED
from tests.support.plugins import ROOT, Plugins

__all__ = ["FOLDER", "Fault", "faults"]

FOLDER = ROOT / "tests" / "faulty"


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


def faults() -> list[Fault]:
    """All of them, in the order of the file."""
    with (FOLDER / "expected.toml").open("rb") as file:
        return [Fault(name, values) for name, values in tomllib.load(file).items()]

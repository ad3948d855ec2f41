"""A cell: one allocator on one scenario, with all that was found of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from allocphase.analysis.warning_kinds import CellWarning
from allocphase.probe.status import Status

__all__ = ["Cell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """`metrics` as `--json` has them (docs/schema.md); `message` says why a status is not ok."""

    allocator: str
    scenario: str
    status: Status
    message: str
    metrics: Mapping[str, Any]
    warnings: tuple[CellWarning, ...]

    @property
    def ok(self) -> bool:
        """Whether all its processes ended well."""
        return self.status is Status.OK

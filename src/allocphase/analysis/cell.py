"""A cell: one allocator on one scenario, with all that was found of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    def time_ns(self) -> float | None:
        """What it is ranked by: of a trace the time per operation, of a program its wall time."""
        return self.metrics.get("time_per_op_ns") or self.metrics.get("wall_time_ns")

    @property
    def time_interval_ns(self) -> Sequence[float] | None:
        """Of that; None where there is none, or the rounds are too few."""
        name = "time_per_op_ns" if self.metrics.get("time_per_op_ns") else "wall_time_ns"
        return self.metrics.get(f"{name}_interval")

    @property
    def ok(self) -> bool:
        """Whether all its processes ended well."""
        return self.status is Status.OK

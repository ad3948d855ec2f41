"""A cell's operations as plain arrays: what a timeline is drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocphase.frames import CAUSES, Run

__all__ = ["Operations", "operations"]


@dataclass(frozen=True, slots=True, eq=False)
class Operations:
    """All arrays have shape (ops,), in the order of the trace.

    latency_ns is NaN where no sample was kept; cause indexes frames.CAUSES; frame is
    `Run.operations_of`, for what else is to be said of single operations.
    """

    latency_ns: npt.NDArray[np.float64]
    cause: npt.NDArray[np.int8]
    frame: pd.DataFrame

    @property
    def measured(self) -> bool:
        """Whether any operation has a latency."""
        return bool(np.isfinite(self.latency_ns).any())

    def share(self, cause: str) -> float:
        """The share of operations with this cause."""
        return float((self.cause == CAUSES.index(cause)).mean()) if self.cause.size else 0.0


def operations(run: Run, allocator: str, scenario: str) -> Operations:
    """The operations of one cell; writes, which are the program's own, have no latency here."""
    frame = run.operations_of(allocator, scenario)
    latency = frame["latency_ns"].to_numpy(dtype=np.float64, copy=True)
    latency[(frame["kind"] == "write").to_numpy()] = np.nan
    return Operations(latency, np.asarray(frame["cause"].cat.codes, dtype=np.int8), frame)

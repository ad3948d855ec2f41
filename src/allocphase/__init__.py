"""Compare memory allocators: every call's latency, the system calls behind it, a CI verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from allocphase.analysis.frames import Run

__all__ = ["__version__", "load"]

__version__ = "0.1.0"


def load(path: str | Path) -> Run:
    """The run in a run directory, as pandas frames. Raises UsageError when it is none."""
    from allocphase.analysis import frames  # pandas takes half a second: only who reads a run pays

    return frames.load(path)

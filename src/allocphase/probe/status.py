"""How a process, or a cell, ended."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Status"]


class Status(StrEnum):
    """The first fault of a cell's processes is the cell's; only a cell is NOT_MEASURED."""

    OK = "ok"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    CORRUPT = "corrupt"
    WRONG_ALLOCATOR = "wrong-allocator"
    UNSUPPORTED = "unsupported"
    NOT_MEASURED = "not measured"

"""The formats, by what a file of each begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from allocphase.trace.foreign import logalloc, memory_replay, rep, workload
from allocphase.trace.foreign.calls import Calls

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True, slots=True)
class Format:
    """begins: whether a file with these first bytes is of it. read: raises TraceError with the line
    or byte and the reason.
    """

    title: str
    begins: Callable[[bytes], bool]
    read: Callable[[BinaryIO, Calls], None]


FORMATS = (
    Format("malloclab's .rep", rep.begins, rep.read),
    Format("Firefox's logalloc", logalloc.begins, logalloc.read),
    Format("Android's memory_replay", memory_replay.begins, memory_replay.read),
    Format("glibc's trace_run workload", workload.begins, workload.read),
)

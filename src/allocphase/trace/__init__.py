"""Traces: what a scenario does, operation by operation, as one file that the driver maps.

    records      the bytes: dtypes that the C structs of driver/trace.h have too; Draft and Trace
    slots        the life of each object; nothing is freed twice, nor used when it is gone
    deadlock     threads that hand objects over never wait for each other in a circle
    span         how much of it can happen at the same time
    completion   from a Draft to a Trace: hand-overs numbered, peaks and counts known
    encoding     a Trace to the bytes of a file, and back
    file         written whole, read without trust
    stored       read piece by piece, packed or not
    packed       zstd, in frames with a table of them
    provenance   where a recorded one comes from
    schedule     one order of the operations of all threads
    text_form    a trace as text
    window       some of its operations, behind what was live
    facts        what is in it; picture draws that
    foreign/     traces of other tools
    wording      an operation in words
    excerpt      the operations before one, in words

Place in the pipeline: after scenario, before the driver process.
"""

from __future__ import annotations

from allocphase.trace.completion import complete
from allocphase.trace.file import read, validate, write
from allocphase.trace.records import (
    HEADER,
    OP,
    TAG,
    THREAD,
    Draft,
    Kind,
    Touch,
    Trace,
    TraceError,
    operations,
)

__all__ = [
    "HEADER",
    "OP",
    "TAG",
    "THREAD",
    "Draft",
    "Kind",
    "Touch",
    "Trace",
    "TraceError",
    "complete",
    "operations",
    "read",
    "validate",
    "write",
]

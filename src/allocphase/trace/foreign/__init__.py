"""Traces of other tools, read without trust: each format a module, one list of them.

calls           what they have in common: calls in one order, addresses or numbers for blocks
rep             malloclab's .rep (CS:APP)
logalloc        Firefox's logalloc, as it is written and as its munge script leaves it
memory_replay   Android's recorded allocations
workload        glibc's malloc-trace-utils, as trace2wl writes it for trace_run
"""

from __future__ import annotations

from allocphase.trace.foreign.formats import FORMATS, Format

__all__ = ["FORMATS", "Format"]

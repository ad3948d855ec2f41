"""The kinds of operation, by the names that every table and metric has for them."""

from __future__ import annotations

__all__ = ["KIND_NAMES", "LATENCY_KINDS"]

# driver/trace.h: enum trace_kind; and the free of what another thread used last.
KIND_NAMES = (
    "malloc",
    "calloc",
    "realloc",
    "aligned_alloc",
    "free",
    "free_foreign",
    "write",
    "free_remote",
)
# A write is the program's own work, not the allocator's.
LATENCY_KINDS = tuple(name for name in KIND_NAMES if name != "write")

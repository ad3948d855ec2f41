"""Allocators: what is measured.

    collection      the allocators of the collection allocators/, and those of a command line
    shared_object   what a shared object is, where the system has it, and how a source becomes one

Place in the pipeline: beside scenario; the driver process loads what is named here.
"""

from __future__ import annotations

from allocphase.allocator.collection import Allocator, Kind, collected, load, resolve

__all__ = ["Allocator", "Kind", "collected", "load", "resolve"]

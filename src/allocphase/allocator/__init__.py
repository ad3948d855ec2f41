"""Allocators: what is measured.

    collection      the allocators of the collection allocators/, and those of a command line
    settings        those that an allocator reads from its environment: how, and which there are
    environment     of a process that runs under an allocator with its settings
    program         where a program is, and whether a preload gets into it
    shared_object   what a shared object is, and where the system has it
    source          how a plug-in's C file becomes one, and is rebuilt under sanitizers

Place in the pipeline: beside scenario; the driver process loads what is named here.
"""

from __future__ import annotations

from allocphase.allocator.collection import Allocator, Kind, collected, load, names_several, resolve
from allocphase.allocator.source import Source

__all__ = ["Allocator", "Kind", "Source", "collected", "load", "names_several", "resolve"]

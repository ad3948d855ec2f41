"""The environment of a process that runs under an allocator: its preload, and its settings.

    environment_of(allocator)             of a program: `allocphase exec`, and program scenarios
    without_allocator_variables(environ)  of whatever is measured: what a shell happens to export
                                          for allocators would be a setting that nobody asked for

A plug-in comes into a program through `liballocphase-malloc.so`, a preload that makes it the
process's malloc (driver/preload).

Place in the pipeline: beside collection; used by process and the doors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from allocphase import resources
from allocphase.allocator.collection import Allocator
from allocphase.errors import UsageError, shown
from allocphase.spec import joined_settings

__all__ = [
    "STATIC_TLS",
    "allocator_variables",
    "environment_of",
    "preloaded",
    "with_room_for_tls",
    "without_allocator_variables",
]

# What allocators read: glibc's, jemalloc's (also under a prefix of its own, as in Rust's
# _RJEM_MALLOC_CONF), gperftools' and its profilers', mimalloc's (which takes small letters too),
# scudo's, tbbmalloc's, rpmalloc's and snmalloc's.
_OF_ALLOCATORS = re.compile(
    r"GLIBC_TUNABLES|MALLOC_.*|\w*MALLOC_CONF|MIMALLOC_.*|mimalloc_.*|TCMALLOC_.*|MALLOCSTATS"
    r"|PERFTOOLS_.*|HEAPPROFILE|HEAP_PROFILE_.*|HEAPCHECK|SCUDO_.*|TBB_MALLOC_.*|RPMALLOC_.*"
    r"|SNMALLOC_.*"
)
# Of the thread-local variables of a plug-in that was built for initial-exec; glibc keeps 512 bytes.
STATIC_TLS = "glibc.rtld.optional_static_tls=65536"


def allocator_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Those of `environ` that are settings of allocators, by name."""
    return {name: environ[name] for name in sorted(environ) if _OF_ALLOCATORS.fullmatch(name)}


def without_allocator_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` but for these."""
    return {name: value for name, value in environ.items() if not _OF_ALLOCATORS.fullmatch(name)}


def preloaded(allocator: Allocator) -> str | None:
    """What has to be preloaded for `allocator` to be a program's malloc; None for libc's.

    Raises AllocphaseError where what makes malloc of a plug-in is not installed, and UsageError for
    a path that LD_PRELOAD cannot have in it.
    """
    path = resources.malloc_preload() if allocator.kind == "plugin" else allocator.path
    if path is None:
        return None
    library = str(path.absolute())
    if re.search(r"[\s:]", library):
        raise UsageError(
            f"allocator {allocator.name}: {shown(library)}: a path with a blank or a colon cannot "
            "be preloaded: name a link to it"
        )
    return library


def environment_of(
    allocator: Allocator, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """All variables of a program that runs under `allocator`, which must be installed.

    inherited: what it has otherwise, by default what this process has. What is preloaded there
    comes after the allocator. A setting comes over one that is inherited: where one variable has
    several settings, all of them stay in it.

    Raises as `preloaded`.
    """
    before = os.environ if inherited is None else inherited
    found = dict(allocator.keeping(before).environment)
    if allocator.kind == "plugin" and allocator.path is not None:
        found["ALLOCPHASE_PLUGIN"] = str(allocator.path.absolute())
        found["ALLOCPHASE_PLUGIN_SETTINGS"] = joined_settings(allocator.config)
        found["GLIBC_TUNABLES"] = with_room_for_tls(found.get("GLIBC_TUNABLES"))
    if (library := preloaded(allocator)) is not None:
        others = found.get("LD_PRELOAD")
        found["LD_PRELOAD"] = f"{library}:{others}" if others else library
    return found


def with_room_for_tls(tunables: str | None) -> str:
    """GLIBC_TUNABLES of a process that loads a plug-in late."""
    return ":".join(filter(None, (tunables, STATIC_TLS)))

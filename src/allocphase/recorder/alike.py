"""Does a trace make the calls that its program makes, and does as much live meanwhile?

Both are exact where the program does the same each time: then what the trace stands for is what a
counter beside the program counts, and what a new recording of it has live, call by call.

    calls        by kind: of a trace, its operations with what was left out or changed undone
    live bytes   what the calls of a thread leave live, after each of them: of one thread that is
                 all that lives, and of several it hangs on no order between them. Of a recording
                 it comes straight from its events, which a trace has as slots, ranks and parts
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from allocphase.operation import Kind
from allocphase.recorder import left_out
from allocphase.recorder.event_file import Recording
from allocphase.recorder.merge import Items, merged
from allocphase.trace.records import Part, Trace, kind_of

__all__ = ["KINDS", "calls_by_kind", "live_bytes", "replayed_calls"]

# Functions as the counting preload knows them (MALLOC_KINDS in probe/arrays.py). That asked for a
# usable size is no call of these.
KINDS: Mapping[str, tuple[str, ...]] = {
    "allocations": (
        "malloc",
        "calloc",
        "new",
        "aligned_alloc",
        "posix_memalign",
        "memalign",
        "valloc",
        "pvalloc",
    ),
    "reallocs": ("realloc", "reallocarray"),
    "frees": ("free", "free_sized", "delete"),
}
_CHUNK = 1 << 16
_MAKES = (Kind.MALLOC, Kind.CALLOC, Kind.ALIGNED_ALLOC)


def calls_by_kind(by_function: Mapping[str, int]) -> dict[str, int]:
    """What a program called, from its counts by function; frees of NULL are in neither."""
    return {
        kind: sum(by_function.get(function, 0) for function in functions)
        for kind, functions in KINDS.items()
    }


def replayed_calls(trace: Trace, notes: Mapping[str, int]) -> dict[str, int]:
    """The calls of a program that a trace stands for. notes: its own (left_out.py)."""
    own = trace.ops[trace.part_of_ops() != Part.DRAIN]
    ops = np.bincount(kind_of(own), minlength=len(Kind)).tolist()
    count = Counter(notes)
    as_malloc = count[left_out.NULL_REALLOCS] + count[left_out.UNSEEN_REALLOCS]
    split, as_free = count[left_out.SPLIT], count[left_out.FREED_BY_REALLOC]
    return {
        "allocations": sum(ops[kind] for kind in _MAKES)
        - (as_malloc + split + count[left_out.INHERITED])
        + count[left_out.FAILED],
        "reallocs": ops[Kind.REALLOC]
        + as_malloc
        + split
        + as_free
        + count[left_out.REALLOC_FAILED],
        "frees": ops[Kind.FREE] - split - as_free + count[left_out.UNSEEN_FREES],
    }


def live_bytes(recording: Recording) -> list[npt.NDArray[np.int64]]:
    """Of each thread with calls that a trace has: after each, the bytes that it allocated so far,
    less those that it freed.

    Raises UsageError and DataError as the conversion to a trace does.
    """
    found = merged(recording)
    size = np.zeros(recording.objects, np.int64)
    aligned = np.zeros(recording.objects, np.bool_)
    changes: list[list[npt.NDArray[np.int64]]] = [[] for _ in found.threads]
    for items in found.items(_CHUNK):
        thread, change = _changes(items[items["kind"] != Kind.SYNC], size, aligned)
        for number in np.unique(thread).tolist():
            changes[number].append(change[thread == number])
    return [np.cumsum(np.concatenate(mine)) for mine in changes if mine]


def _changes(
    items: Items, size: npt.NDArray[np.int64], aligned: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
    """Whose each operation is, and by how much it changes what is live. `size` and `aligned` are of
    each object so far.
    """
    kind = items["kind"]
    resizes, frees = kind == Kind.REALLOC, kind == Kind.FREE
    size[items["object"][~frees]] = items["size"][~frees]
    aligned[items["object"][kind == Kind.ALIGNED_ALLOC]] = True
    ended = np.where(resizes, items["old"], items["object"])
    dies, splits = resizes | frees, np.zeros(len(items), np.bool_)
    splits[resizes] = aligned[ended[resizes]]  # a free and an allocation, in a trace
    steps = np.zeros((len(items), 2), np.int64)
    steps[dies, 0] = -size[ended[dies]]
    steps[~frees, 1] = size[items["object"][~frees]]
    steps[~splits] = np.stack([0 * steps[~splits, 0], steps[~splits].sum(axis=1)], axis=1)
    kept = np.stack([splits, np.ones_like(splits)], axis=1)
    return np.repeat(items["thread"], kept.sum(axis=1)), steps[kept]

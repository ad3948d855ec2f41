"""How much of each object a program touched, learnt in a recording of its own.

A second run of the program is recorded with `liballocphase-touched.so` behind the recorder
(driver/preload/touched.c): blocks of a page or more get pages of their own, and what was touched of
them is told when they die. That run's times are of no use, so what it says is joined with another
recording of the same command: the n-th object of a thread is its n-th there, as long as all before
them have the same sizes. What follows the first one that has not is another program's, and unknown.
"""

from __future__ import annotations

import ctypes
import mmap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from allocphase.errors import AllocphaseError, UsageError
from allocphase.recorder.event_file import Recording
from allocphase.recorder.events import BIRTHS, Kind

__all__ = ["LIBRARY", "Touched", "require_kernel_tells", "tells_touched", "touched_of"]

LIBRARY = "liballocphase-touched.so"
_MOST = (1 << 32) - 1  # as a trace has it
_UNTOLD = np.uint32(_MOST)


@dataclass(frozen=True, slots=True)
class Touched:
    """bytes: of each object, shape (objects,); of one below a page all that was asked for. untold:
    how many of a page or more nothing is known of: they stand as wholly touched.
    """

    bytes: npt.NDArray[np.uint32]
    untold: int


def tells_touched(recording: Recording) -> bool:
    """Whether it was made to tell what was touched."""
    return Path(recording.facts.allocator).name == LIBRARY


def touched_of(recording: Recording, learnt: Recording) -> Touched:
    """What was touched of the objects of a recording, from one of the same command that tells it.

    Raises UsageError for one that does not, DataError for a damaged file.
    """
    if not tells_touched(learnt):
        raise UsageError(f"{learnt.path}: does not tell what was touched: see `record --touched`")
    sizes = _sizes(recording)
    there, told = _sizes(learnt), _told(learnt)
    found = sizes.copy()
    known = sizes < mmap.PAGESIZE
    ends = zip(_thread_ranges(recording), _thread_ranges(learnt), strict=False)
    for mine, theirs in ends:
        count = min(len(mine), len(theirs))
        here = slice(mine.start, mine.start + count)
        beyond = slice(theirs.start, theirs.start + count)
        differs = sizes[here] != there[beyond]
        alike = int(np.argmax(differs)) if differs.any() else count
        here = slice(mine.start, mine.start + alike)
        answers = told[theirs.start : theirs.start + alike]
        is_told = answers != _UNTOLD
        found[here][is_told] = np.minimum(answers[is_told], sizes[here][is_told])
        known[here] |= is_told
    return Touched(found, int(np.count_nonzero(~known)))


def _thread_ranges(recording: Recording) -> list[range]:
    """The numbers of each thread's objects."""
    first = recording.first_object.astype(np.int64).tolist()
    return [range(first[t], first[t + 1]) for t in range(len(recording.threads))]


def _sizes(recording: Recording) -> npt.NDArray[np.uint32]:
    """Bytes asked for, of each object."""
    sizes = np.zeros(recording.objects, np.uint32)
    for batch in recording.batches():
        born = np.isin(batch.events["kind"], BIRTHS)
        sizes[batch.events["object"][born]] = np.minimum(batch.events["size"][born], _MOST)
    return sizes


def _told(recording: Recording) -> npt.NDArray[np.uint32]:
    """Bytes touched of each object that it was told of; the last word counts."""
    told = np.full(recording.objects, _UNTOLD)
    for batch in recording.batches():
        objects = batch.events["object"]
        telling = (batch.events["kind"] == Kind.TOUCHED) & (objects < recording.objects)
        told[objects[telling]] = np.minimum(batch.events["size"][telling], _MOST - 1)
    return told


def require_kernel_tells() -> None:
    """Raises AllocphaseError where the kernel does not say which pages are resident."""
    if _first_two_resident() != (True, False):
        raise AllocphaseError(
            "--touched: the kernel does not tell which pages a program touched (mincore), as in "
            "some sandboxes: record without --touched, or elsewhere"
        )


def _first_two_resident() -> tuple[bool, bool] | None:
    """What mincore says of two new pages, the first of which was touched; None: nothing."""
    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages[0] = 1
    resident = (ctypes.c_ubyte * 2)()
    start = ctypes.c_char.from_buffer(pages)
    mincore = ctypes.CDLL(None).mincore
    mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    failed = mincore(ctypes.addressof(start), 2 * mmap.PAGESIZE, resident) != 0
    del start  # while somebody looks into it the mapping stays
    pages.close()
    return None if failed else (bool(resident[0] & 1), bool(resident[1] & 1))

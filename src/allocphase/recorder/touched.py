"""How much of each object a program touched, learnt in a recording of its own.

A second run of the program is recorded with `liballocphase-touched.so` behind the recorder
(driver/preload/touched.c): blocks of a page or more get pages of their own, and what was touched of
them is told when they die. That run's times are of no use, so what it says is joined with another
recording of the same command: the n-th object of a thread is its n-th there, as long as sizes
agree. Where they do not, as where one of two runs reads a folder more, the nearest place is taken
from which they agree again; what lies between is unknown, and all that follows where there is no
such place.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
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

# So many sizes in a row agree where two runs are joined again, at most so far from where they
# parted; and two runs that part more often are not of one program.
_CONTEXT, _FURTHEST, _MOST_DIFFERENCES = 16, 256, 10_000
_PIECE = 1 << 12
_Sizes = npt.NDArray[np.uint32]


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
    for mine, theirs in zip(_thread_slices(recording), _thread_slices(learnt), strict=False):
        for here, twin, count in _joined(sizes[mine], there[theirs]):
            objects = slice(mine.start + here, mine.start + here + count)
            answers = told[theirs.start + twin : theirs.start + twin + count]
            is_told = answers != _UNTOLD
            found[objects][is_told] = np.minimum(answers[is_told], sizes[objects][is_told])
            known[objects] |= is_told
    return Touched(found, int(np.count_nonzero(~known)))


def _joined(mine: _Sizes, theirs: _Sizes) -> Iterator[tuple[int, int, int]]:
    """Runs of equal sizes, in order: where each begins in the one and in the other, its length."""
    here = twin = 0
    for _ in range(_MOST_DIFFERENCES):
        count = _common(mine[here:], theirs[twin:])
        yield here, twin, count
        here, twin = here + count, twin + count
        again = _next_common(mine[here:], theirs[twin:])
        if again is None:
            return
        here, twin = here + again[0], twin + again[1]


def _common(mine: _Sizes, theirs: _Sizes) -> int:
    """How many sizes agree from the beginning on."""
    most = min(len(mine), len(theirs))
    for start in range(0, most, _PIECE):
        piece = slice(start, min(start + _PIECE, most))
        differs = mine[piece] != theirs[piece]
        if differs.any():
            return start + int(np.argmax(differs))
    return most


def _next_common(mine: _Sizes, theirs: _Sizes) -> tuple[int, int] | None:
    """How many to leave out of both, as few as can be, so that the next _CONTEXT agree, or all
    that are left.
    """
    places: dict[bytes, int] = {}
    for at in range(min(_FURTHEST, len(theirs))):
        places.setdefault(theirs[at : at + _CONTEXT].tobytes(), at)
    agree = [
        (at, places[context])
        for at in range(min(_FURTHEST, len(mine)))
        if (context := mine[at : at + _CONTEXT].tobytes()) in places
    ]
    return min(agree, key=sum, default=None)


def _thread_slices(recording: Recording) -> list[slice]:
    """Of all objects, each thread's."""
    first = recording.first_object.astype(np.int64).tolist()
    return [slice(start, end) for start, end in pairwise(first)]


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

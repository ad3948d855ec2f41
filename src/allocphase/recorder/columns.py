"""The events of a chunk as streams of bytes, and back, without a loop over events.

    dictionary   4 bytes an entry: kind, entry, align_log2, flags
    op           1 byte an event: which entry of the dictionary
    numbers      time, size, age, step, owner, place, extra: four streams each

A *number* is one byte where it is below 253; 253, 254 and 255 say that it stands in the stream of
two, four or eight bytes. `time` is the difference to the event before. Whether an event has a size
and an extra its flags say, and how its object is told:

    BIRTH      births are numbered as they come, from the chunk's first
    AGE        an object of the same thread, so many births ago (1: the last one)
    NEAR       one of the same thread, `step` births after the own object that was told before
               (zigzag: 0, -1, 1, -2, ...); that is 0 at the chunk's beginning
    FOREIGN    `owner` is its thread, `place` its number there, as the difference to that of the
               foreign object before (zigzag)
    NONE       NO_OBJECT
    UNKNOWN    UNKNOWN_OBJECT

driver/recorder/drainer/columns.c writes the same. Memory is that of a chunk: MAX_EVENTS.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.recorder.events import (
    BIRTHS,
    ENTRY_NAMES,
    EVENT,
    NO_OBJECT,
    UNKNOWN_OBJECT,
    Kind,
)

__all__ = ["MAX_EVENTS", "MAX_RAW_BYTES", "Chunk", "decode", "encode"]

MAX_EVENTS = 1 << 16
NUMBERS = ("time", "size", "age", "step", "owner", "place", "extra")
_WIDTHS = ("u1", "<u2", "<u4", "<u8")
_STREAMS = 2 + len(NUMBERS) * len(_WIDTHS)
_LENGTHS = struct.Struct(f"<{_STREAMS}I")
MAX_RAW_BYTES = _LENGTHS.size + 256 * 4 + MAX_EVENTS * (1 + 9 * len(NUMBERS))

# Flags: how the object is told in the lowest three bits, then whether the event has the number.
NONE, BIRTH, AGE, FOREIGN, UNKNOWN, NEAR = range(6)
_HOW = 7
HAS_SIZE, HAS_EXTRA = 8, 16
_KNOWN_FLAGS = _HOW | HAS_SIZE | HAS_EXTRA

_IS_BIRTH = np.isin(np.arange(256), BIRTHS)
_LAST_KIND = max(Kind)
_DIRECT = 253  # the first byte that is not itself the number
_U8 = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where a chunk begins: its first event's time less that event's own difference, and how many
    births its thread had before.
    """

    thread: int
    count: int
    first_birth: int
    births: int
    base_time: int


# ---- Reading ----------------------------------------------------------------------------


def decode(raw: bytes, chunk: Chunk, first_object: _U8) -> npt.NDArray[Any]:
    """The events of a chunk, dtype EVENT.

    first_object: of each thread and of the end, the number of its first object. An object whose
    birth is beyond what its thread has in the file becomes UNKNOWN_OBJECT. Raises ValueError with
    what is wrong.
    """
    streams = _cut(raw)
    dictionary = _dictionary(streams[0])
    op = np.frombuffer(streams[1], "u1")
    if len(op) != chunk.count or (len(op) and int(op.max()) >= len(dictionary)):
        raise ValueError("not as many events as its header says")
    flags = dictionary[:, 3][op]
    events = np.zeros(len(op), EVENT)
    for column, name in enumerate(("kind", "entry", "align_log2")):
        events[name] = dictionary[:, column][op]
    numbers = {
        name: _numbers(streams[2 + 4 * index : 6 + 4 * index]) for index, name in enumerate(NUMBERS)
    }
    with np.errstate(over="ignore"):
        events["time"] = chunk.base_time + _of(numbers["time"], len(op)).cumsum(dtype="u8")
    _fill(events["size"], flags & HAS_SIZE != 0, numbers["size"])
    _fill(events["extra"], flags & HAS_EXTRA != 0, numbers["extra"])
    events["object"] = _objects(flags & _HOW, numbers, chunk, first_object)
    return events


def _cut(raw: bytes) -> list[bytes]:
    if len(raw) < _LENGTHS.size:
        raise ValueError("shorter than its table")
    lengths = _LENGTHS.unpack_from(raw)
    ends = np.cumsum([_LENGTHS.size, *lengths]).tolist()
    if ends[-1] != len(raw):
        raise ValueError("not as long as its table says")
    return [raw[start:end] for start, end in pairwise(ends)]


def _dictionary(stream: bytes) -> npt.NDArray[np.uint8]:
    if len(stream) % 4 or len(stream) > 4 * 256:
        raise ValueError("no dictionary")
    found = np.frombuffer(stream, "u1").reshape(-1, 4)
    kind, entry, align_log2, flags = found.T
    births = _IS_BIRTH[kind]
    if (
        np.any(kind > _LAST_KIND)
        or np.any(entry >= len(ENTRY_NAMES))
        or np.any(align_log2 > 63)
        or np.any(flags & ~np.uint8(_KNOWN_FLAGS))
        or np.any((flags & _HOW) > NEAR)
        or np.any(births != ((flags & _HOW) == BIRTH))
    ):
        raise ValueError("a dictionary with what no event is")
    return found


def _numbers(streams: Sequence[bytes]) -> _U8:
    first = np.frombuffer(streams[0], "u1")
    values = first.astype("u8")
    for escape, (stream, width) in enumerate(
        zip(streams[1:], _WIDTHS[1:], strict=True), start=_DIRECT
    ):
        places = np.flatnonzero(first == escape)
        if len(stream) != len(places) * np.dtype(width).itemsize:
            raise ValueError("a number without its bytes")
        values[places] = np.frombuffer(stream, width)
    return values


def _of(values: _U8, count: int) -> _U8:
    if len(values) != count:
        raise ValueError("not as many numbers as events have")
    return values


def _fill(column: npt.NDArray[Any], where: npt.NDArray[np.bool_], values: _U8) -> None:
    places = np.flatnonzero(where)
    column[places] = _of(values, len(places))


def _objects(
    how: npt.NDArray[np.uint8], numbers: dict[str, _U8], chunk: Chunk, first_object: _U8
) -> _U8:
    births = how == BIRTH
    if int(np.count_nonzero(births)) != chunk.births:
        raise ValueError("not as many births as its header says")
    found = np.full(len(how), NO_OBJECT, "u8")
    found[how == UNKNOWN] = UNKNOWN_OBJECT
    before = births.cumsum(dtype="u8") + np.uint64(chunk.first_birth)  # with the event's own
    own = first_object[chunk.thread]
    found[births] = before[births] - np.uint64(1) + own
    told = np.flatnonzero((how == AGE) | (how == NEAR))
    found[told] = _own(how[told] == AGE, numbers, before[told]) + own
    foreign = how == FOREIGN
    found[foreign] = _foreign(numbers, int(np.count_nonzero(foreign)), first_object)
    return found


def _own(of_age: npt.NDArray[np.bool_], numbers: dict[str, _U8], before: _U8) -> _U8:
    """Places of objects of the chunk's own thread. before: births of the thread by then."""
    at = np.flatnonzero(of_age)
    with np.errstate(over="ignore"):
        places: _U8 = np.zeros(len(of_age), "u8")
        places[at] = before[at] - _of(numbers["age"], len(at))
        steps = np.zeros(len(of_age), "u8")
        steps[~of_age] = _unfolded(_of(numbers["step"], len(of_age) - len(at)))
        walked = steps.cumsum(dtype="u8")
        last = np.maximum.accumulate(np.where(of_age, np.arange(len(of_age)), -1))
        start = np.where(last >= 0, places[last] - walked[last], np.uint64(0))
        places = start + walked
    if np.any(places >= before):
        raise ValueError("an object that its thread did not have by then")
    return places


def _unfolded(zigzag: _U8) -> _U8:
    with np.errstate(over="ignore"):
        found: _U8 = (zigzag >> np.uint64(1)) ^ -(zigzag & np.uint64(1))
    return found


def _foreign(numbers: dict[str, _U8], count: int, first_object: _U8) -> _U8:
    owner, zigzag = _of(numbers["owner"], count), _of(numbers["place"], count)
    if np.any(owner >= len(first_object) - 1):
        raise ValueError("an object of a thread that is not there")
    with np.errstate(over="ignore"):
        place = _unfolded(zigzag).cumsum(dtype="u8")
    births = np.diff(first_object)[owner]
    return np.where(
        place < births,
        first_object[owner] + np.minimum(place, births),
        np.uint64(UNKNOWN_OBJECT),
    )


# ---- Writing: what the C side does, for tests ---------------------------------------------


def encode(events: npt.NDArray[Any], chunk: Chunk, first_object: _U8) -> bytes:
    """The streams of a chunk, the inverse of `decode`.

    Raises ValueError where more than 256 combinations of kind, entry and so on are in one chunk, or
    births are not numbered as they come.
    """
    kind, objects = events["kind"], events["object"]
    own = first_object[chunk.thread]
    births = np.isin(kind, BIRTHS)
    before = births.cumsum(dtype="u8") + np.uint64(chunk.first_birth)
    if np.any(objects[births] != before[births] - np.uint64(1) + own):
        raise ValueError("births are not numbered as they come")
    missing = (objects == NO_OBJECT) | (objects == UNKNOWN_OBJECT)
    is_own = (objects >= own) & (objects < own + before) & ~births & ~missing
    foreign = ~(births | missing | is_own)
    age, step, near = _own_steps(before[is_own], before[is_own] + own - objects[is_own])
    how = np.select(
        [births, objects == NO_OBJECT, objects == UNKNOWN_OBJECT, is_own],
        [BIRTH, NONE, UNKNOWN, AGE],
        FOREIGN,
    ).astype("u1")
    how[np.flatnonzero(is_own)[near]] = NEAR
    flags = how | (events["size"] != 0) * np.uint8(HAS_SIZE)
    flags |= (events["extra"] != 0) * np.uint8(HAS_EXTRA)
    words = np.stack([kind, events["entry"], events["align_log2"], flags], axis=1)
    dictionary, op = np.unique(words, axis=0, return_inverse=True)
    if len(dictionary) > 256:
        raise ValueError("more than 256 combinations in one chunk")
    time = np.diff(events["time"], prepend=np.uint64(chunk.base_time))
    owner = np.searchsorted(first_object, objects[foreign], side="right") - 1
    place = (objects[foreign] - first_object[owner]).astype("i8")
    numbers = [
        time,
        events["size"][events["size"] != 0],
        age,
        step,
        owner.astype("u8"),
        _folded(np.diff(place, prepend=0)),
        events["extra"][events["extra"] != 0],
    ]
    streams = [dictionary.astype("u1").tobytes(), op.astype("u1").tobytes()]
    for values in numbers:
        streams += _escaped(values)
    return _LENGTHS.pack(*map(len, streams)) + b"".join(streams)


def _own_steps(before: _U8, age: _U8) -> tuple[_U8, _U8, npt.NDArray[np.bool_]]:
    """Ages, steps, and which objects are told by a step: those whose step is the smaller number."""
    place = (before - age).astype("i8")
    step = _folded(np.diff(place, prepend=0))
    near = step < age
    return age[~near], step[near], near


def _folded(step: npt.NDArray[Any]) -> _U8:
    return ((step << 1) ^ (step >> 63)).astype("u8")


def _escaped(values: npt.NDArray[Any]) -> list[bytes]:
    width = (values >= _DIRECT).astype("u1") + (values >= 1 << 16) + (values >= np.uint64(1 << 32))
    first = np.where(width == 0, values, _DIRECT - 1 + width).astype("u1")
    wide = [values[width == rank].astype(name).tobytes() for rank, name in enumerate(_WIDTHS)]
    return [first.tobytes(), *wide[1:]]

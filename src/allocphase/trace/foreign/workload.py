"""glibc's malloc-trace-utils: the workload that trace2wl writes and trace_run replays.

Bytes: codes, each with its numbers behind it, seven bits a byte, the highest first, and a high bit
in all bytes but the last. It begins with

    ALLOC_PTRS n  ALLOC_SYNCS n  NTHREADS n  START_THREAD offset ... DONE

and each thread's own codes stand at its offset, up to a DONE. Blocks are numbers, 0 is NULL. A
thread waits at SYNC_R k until another one was at SYNC_W k: the order in which the calls are read
obeys that, but no order of the trace is made of it, since trace2wl writes such pairs also where an
address goes from one thread to another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from allocphase.operation import MAX_THREADS
from allocphase.trace.foreign.calls import Calls
from allocphase.trace.records import TraceError

__all__ = ["begins", "read"]

MAX_BYTES = 1 << 31
_PAGE = 4096
_PIECE_BYTES = 1 << 20
_NOP, _DONE, _MALLOC, _CALLOC, _REALLOC, _FREE, _SYNC_W, _SYNC_R = range(8)
_ALLOC_PTRS, _ALLOC_SYNCS, _NTHREADS, _START_THREAD, _MEMALIGN, _VALLOC, _PVALLOC = range(8, 15)
# How many numbers each has.
_NUMBERS = {
    _NOP: 0,
    _DONE: 0,
    _MALLOC: 2,
    _CALLOC: 2,
    _REALLOC: 3,
    _FREE: 1,
    _SYNC_W: 1,
    _SYNC_R: 1,
    _MEMALIGN: 3,
    _VALLOC: 2,
    _PVALLOC: 2,
}
_HEAD = (_ALLOC_PTRS, _ALLOC_SYNCS, _NTHREADS, _START_THREAD)


def begins(start: bytes) -> bool:
    return start[:1] == bytes([_ALLOC_PTRS])


def read(file: BinaryIO, calls: Calls) -> None:
    """Raises TraceError with the byte."""
    data = bytearray()
    while piece := file.read(_PIECE_BYTES):  # no room is made for a file that is shorter
        data += piece
        if len(data) > MAX_BYTES:
            raise TraceError(f"is longer than {MAX_BYTES:,} bytes")
    waiting = deque(enumerate(_codes(data, offset) for offset in _offsets(data)))
    posted: set[int] = set()
    stopped: dict[int, int] = {}  # threads that wait, and for what
    idle = 0
    while waiting:
        thread, codes = waiting.popleft()
        if thread in stopped and stopped[thread] not in posted:
            waiting.append((thread, codes))
            idle += 1
            if idle > len(waiting):
                raise TraceError("waits for ever: each thread is at a SYNC_R that nobody posts")
            continue
        stopped.pop(thread, None)
        idle = 0
        for at, code, numbers in codes:
            if code == _SYNC_W:
                posted.add(numbers[0])
            elif code == _SYNC_R and numbers[0] not in posted:
                stopped[thread] = numbers[0]
                waiting.append((thread, codes))
                break
            elif code not in (_NOP, _SYNC_R):
                _call(thread, code, numbers, at, calls)


def _offsets(data: bytearray) -> list[int]:
    """Where the threads' codes stand."""
    found: list[int] = []
    at = 0
    while True:
        code = _byte(data, at)
        if code == _DONE:
            break
        if code == _NOP:
            at += 1
            continue
        if code not in _HEAD:
            raise TraceError(f"byte {at}: code {code} stands before the threads' own")
        value, end = _number(data, at + 1)
        if code == _START_THREAD:
            if value >= len(data):
                raise TraceError(f"byte {at}: a thread begins beyond the file")
            found.append(value)
        at = end
    if not 0 < len(found) < MAX_THREADS:
        raise TraceError(f"has {len(found)} threads: a trace has 1 to {MAX_THREADS - 1}")
    if len(set(found)) < len(found):
        raise TraceError("has two threads at one place")
    return found


def _codes(data: bytearray, at: int) -> Iterator[tuple[int, int, list[int]]]:
    """(place, code, its numbers) of a thread, up to its end."""
    while True:
        start, code = at, _byte(data, at)
        if code == _DONE:
            return
        if code not in _NUMBERS:
            raise TraceError(f"byte {start}: code {code} is not known")
        at += 1
        numbers = []
        for _ in range(_NUMBERS[code]):
            value, at = _number(data, at)
            numbers.append(value)
        yield start, code, numbers


def _call(thread: int, code: int, numbers: list[int], at: int, calls: Calls) -> None:
    try:
        if code == _FREE:
            calls.free(thread, numbers[0])
        elif code == _REALLOC:
            calls.resize(thread, numbers[1], numbers[0], numbers[2])
        else:
            block = numbers[0]
            if block and calls.lives(block):  # as trace_run does
                calls.free(thread, block)
            name = {_CALLOC: "calloc", _MALLOC: "malloc"}.get(code, "memalign")
            align = numbers[1] if code == _MEMALIGN else _PAGE if name == "memalign" else 0
            calls.allocate(thread, name, block, numbers[-1], align=align)
    except TraceError as error:
        raise TraceError(f"byte {at}: {error}") from None


def _byte(data: bytearray, at: int) -> int:
    if at >= len(data):
        raise TraceError(f"byte {at}: ends in the middle")
    return data[at]


def _number(data: bytearray, at: int) -> tuple[int, int]:
    """Its value, and where it ends."""
    value = 0
    for place in range(at, at + 10):
        byte = _byte(data, place)
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    raise TraceError(f"byte {at}: a number of more than 64 bits")

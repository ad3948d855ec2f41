"""Android's recorded allocations (malloc_debug's record_allocs, read by memory_replay):

    1234: malloc 0xabd0000 20 [1000 1020]         thread: function block size [start end, in ns]
    1236: calloc 0x8000 50 30                     block elements size
    1237: realloc 0x9000 0x4000 80                new old size
    1238: memalign 0xa000 16 89                   block alignment size
    1235: free 0x5000
    1239: thread_done 0x0 [290]

Times give gaps: from the end of a thread's call to the start of its next. A place in the log is
taken before the call there, so an allocation may stand before the free that made its block free:
such blocks are counted (calls.py).
"""

from __future__ import annotations

import re
from typing import BinaryIO

from allocphase.errors import shown, unknown
from allocphase.trace.foreign.calls import Calls, lines_of, number
from allocphase.trace.records import TraceError

__all__ = ["begins", "read"]

_LINE = re.compile(r"(\d{1,19}): (\w{1,40}) (.+)")
# How many words behind the block each function has.
_WORDS = {"malloc": 1, "calloc": 2, "realloc": 2, "memalign": 2, "free": 0, "thread_done": 0}


def begins(start: bytes) -> bool:
    return re.match(rb"\d+: \w+ 0x", start) is not None


def read(file: BinaryIO, calls: Calls) -> None:
    """Raises TraceError with the line."""
    ends: dict[int, int] = {}
    for line, text in lines_of(file):
        found = _LINE.fullmatch(text)
        try:
            if found is None:
                raise TraceError(f"{shown(text[:80])}: it is written THREAD: FUNCTION BLOCK ...")
            thread, name, words = int(found[1]), found[2], found[3].split()
            if name not in _WORDS:
                raise TraceError(unknown("function", name, _WORDS))
            own = 1 + _WORDS[name]
            times = words[own:]
            if len(words) < own or len(times) not in (0, 1 if name == "thread_done" else 2):
                raise TraceError(f"{name}: has {len(words)} words behind it, not {own} and times")
            _call(thread, name, words[:own], [number(word) for word in times], ends, calls)
        except TraceError as error:
            raise TraceError(f"line {line}: {error}") from None


def _call(
    thread: int, name: str, words: list[str], times: list[int], ends: dict[int, int], calls: Calls
) -> None:
    gap = 0
    if len(times) == 2:
        calls.has_gaps = True
        gap = max(0, times[0] - ends.get(thread, times[0]))
        ends[thread] = times[1]
    block = _block(words[0])
    if name == "free":
        calls.free(thread, block, gap_ns=gap)
    elif name == "realloc":
        calls.resize(thread, _block(words[1]), block, number(words[2]), gap_ns=gap)
    elif name != "thread_done":
        size = number(words[-1])
        size *= number(words[1]) if name == "calloc" else 1
        align = number(words[1]) if name == "memalign" else 0
        calls.allocate(thread, name, block, size, align=align, gap_ns=gap)


def _block(text: str) -> int:
    if not text.startswith("0x"):
        raise TraceError(f"{shown(text[:80])} is no block: those are written 0x7F00")
    return number(text[2:], base=16)

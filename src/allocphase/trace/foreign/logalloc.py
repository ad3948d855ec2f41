"""Firefox's logalloc: `<pid> <tid> <function>([<args>])[=<result>]`, a call a line.

    18545 18545 malloc(32)=0x7f90495120e0        as it is written
    1 1 realloc(#1,64)=#1                        as logalloc_munge.py leaves it

Of several processes the first one is read, as its own replay does; lines of others are counted.
Frees stand before their call and allocations behind it, but a realloc stands behind it as a whole:
blocks that were given to another thread meanwhile are counted (calls.py).
"""

from __future__ import annotations

import re
from typing import BinaryIO

from allocphase.errors import shown, unknown
from allocphase.trace.foreign.calls import Calls, lines_of, number
from allocphase.trace.records import TraceError

__all__ = ["begins", "read"]

_LINE = re.compile(r"(\d{1,19}) (\d{1,19}) (\w{1,40})\(([^()]*|\(nil\)[^()]*)\)(?:=(\S+))?")
_PAGE = 4096
_ALIGNED = ("posix_memalign", "aligned_alloc", "memalign")
_ALLOCATING = ("malloc", "calloc", "valloc", *_ALIGNED)
_KNOWN = (*_ALLOCATING, "realloc", "free", "jemalloc_stats")


def begins(start: bytes) -> bool:
    return re.match(rb"\d+ \d+ \w+\(", start) is not None


def read(file: BinaryIO, calls: Calls) -> None:
    """Raises TraceError with the line."""
    first: str | None = None
    for line, text in lines_of(file):
        found = _LINE.fullmatch(text)
        try:
            if found is None:
                raise TraceError(f"{shown(text[:80])}: it is written PID TID FUNCTION(ARGS)=RESULT")
            pid, tid, name, arguments, result = found.groups()
            first = first or pid
            if pid != first:
                calls.notes["lines of other processes, left out"] += 1
                continue
            _call(int(tid), name, arguments.split(",") if arguments else [], result, calls)
        except TraceError as error:
            raise TraceError(f"line {line}: {error}") from None


def _call(thread: int, name: str, words: list[str], result: str | None, calls: Calls) -> None:
    if name not in _KNOWN:
        raise TraceError(unknown("function", name, _KNOWN))
    wanted = {"malloc": 1, "valloc": 1, "free": 1, "jemalloc_stats": 0}.get(name, 2)
    if len(words) != wanted or (result is None) != (name in ("free", "jemalloc_stats")):
        raise TraceError(f"{name}: has {len(words)} arguments, or no result where it has one")
    if name == "free":
        calls.free(thread, _block(words[0]))
    elif name == "realloc":
        calls.resize(thread, _block(words[0]), _block(str(result)), number(words[1]))
    elif name in _ALLOCATING:
        sizes = [number(word) for word in words]
        align = sizes[0] if name in _ALIGNED else _PAGE if name == "valloc" else 0
        size = sizes[0] * sizes[1] if name == "calloc" else sizes[-1]
        calls.allocate(thread, name, _block(str(result)), size, align=align)


def _block(text: str) -> int:
    """An address, or a slot of munge's; 0 of NULL."""
    if text in ("(nil)", "0", "#0"):
        return 0
    if text.startswith("#"):
        return number(text[1:])
    if text.startswith("0x"):
        return number(text[2:], base=16)
    raise TraceError(f"{shown(text[:80])} is no block: those are written 0x7F00 or #5")

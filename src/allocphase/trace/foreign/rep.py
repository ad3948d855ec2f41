"""malloclab's .rep (CS:APP): a header of four numbers, then a request a line.

    20000      suggested heap size
    3          block numbers
    8          requests
    1          weight
    a 0 512    block 0 = malloc(512)
    r 0 640    block 0 = realloc(block 0, 640)
    f 0        free(block 0)

The header is not looked at but for its form: traces are around in which it is wrong.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from allocphase.errors import shown
from allocphase.trace.foreign.calls import Calls, lines_of, number
from allocphase.trace.records import TraceError

__all__ = ["begins", "read"]

_HEADER_LINES = 4


def begins(start: bytes) -> bool:
    return re.match(rb"\s*\d+\s*\n\s*\d+\s*\n\s*\d+\s*\n", start) is not None


def read(file: BinaryIO, calls: Calls) -> None:
    """Raises TraceError with the line."""
    seen = 0
    for line, text in lines_of(file):
        try:
            seen += 1
            if seen <= _HEADER_LINES:
                number(text)
            else:
                _request(text.split(), calls)
        except TraceError as error:
            raise TraceError(f"line {line}: {error}") from None


def _request(words: list[str], calls: Calls) -> None:
    if words[0] in ("a", "r") and len(words) == 3:
        block, size = number(words[1]) + 1, number(words[2])
        if words[0] == "a":
            calls.allocate(0, "malloc", block, size)
        else:
            calls.resize(0, block if calls.lives(block) else 0, block, size)
    elif words[0] == "f" and len(words) == 2:
        # A free of -1 is one of NULL.
        calls.free(0, 0 if words[1] == "-1" else number(words[1]) + 1)
    else:
        text = shown(" ".join(words)[:80])
        raise TraceError(f"{text}: a request is written a ID BYTES, r ID BYTES or f ID")

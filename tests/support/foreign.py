"""Traces as other tools write them: small ones of each format."""

from __future__ import annotations

__all__ = ["LOGALLOC", "MEMORY_REPLAY", "MUNGED", "REP", "SAMPLES", "workload"]

REP = b"20000\n3\n8\n1\na 0 512\na 1 128\nr 0 640\na 2 128\nf 1\nr 0 768\nf 0\nf 2\n"

LOGALLOC = b"""18545 18545 malloc(32)=0x7f90495120e0
18545 18546 calloc(2,148)=0x7f9049537480
18545 18545 realloc(0x7f90495120e0,64)=0x7f9049536680
18545 18545 posix_memalign(256,240)=0x7f9049583300
77 77 malloc(5)=0x10
18545 18545 jemalloc_stats()
18545 18546 free(0x7f9049536680)
18545 18545 free(0x0)
"""

MUNGED = b"1 1 malloc(32)=#1\n1 1 realloc(#1,64)=#1\n1 1 valloc(10)=#2\n1 1 free(#1)\n"

MEMORY_REPLAY = b"""7: malloc 0x1000 16 1000 1020
8: calloc 0x2000 50 30 1100 1200
7: memalign 0x3000 64 89 2020 2030
7: realloc 0x1000 0x1000 80 2130 2200
8: free 0x1000 3200 3300
7: free 0x9999 4000 4010
8: thread_done 0x0 9000
"""


def _number(value: int) -> bytes:
    """Seven bits a byte, the highest first."""
    found = [value & 127]
    while value := value >> 7:
        found.append(value & 127 | 128)
    return bytes(reversed(found))


def _code(code: int, *numbers: int) -> bytes:
    return bytes([code]) + b"".join(map(_number, numbers))


def workload() -> bytes:
    """Two threads: the first waits for the second one's allocation, and frees it."""
    first = _code(2, 1, 1000) + _code(7, 1) + _code(5, 2) + _code(4, 1, 1, 3000) + _code(1)
    second = _code(12, 2, 64, 300) + _code(6, 1) + _code(3, 3, 40) + _code(1)
    head = _code(8, 4) + _code(9, 1) + _code(10, 2)
    start = len(head) + 2 * 2 + 1
    head += _code(11, start) + _code(11, start + len(first)) + _code(1)
    assert len(head) == start
    return head + first + second


SAMPLES = {
    "rep": REP,
    "logalloc": LOGALLOC,
    "munged": MUNGED,
    "memory-replay": MEMORY_REPLAY,
    "workload": workload(),
}

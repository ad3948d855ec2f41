"""Latencies as an HdrHistogram: counts in its buckets, which hgrm and hlog write.

A bucket is a power of two, cut into 1,024 equal parts, so that a value keeps three significant
digits; up to 2,047 ns each nanosecond has its own. Values are whole nanoseconds. What a run keeps
as a histogram of its own (of long traces, 32 parts an octave) comes in at its bucket's middle: it
is no finer for standing here.

Layout: HdrHistogram/HdrHistogram, the class comment of AbstractHistogram, and for its encoding
HistogramEncodingV2 (cookies, ZigZag LEB128, runs of zeros as negative numbers).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.analysis.frames import Run
from allocphase.analysis.latency import Replay
from allocphase.analysis.latency.calls import Weighted

__all__ = ["HIGHEST_NS", "SIGNIFICANT_DIGITS", "HdrHistogram", "warm_latencies"]

SIGNIFICANT_DIGITS = 3
# An hour: longer than a process may take.
HIGHEST_NS = 3_600_000_000_000
# The least power of two that tells 10^digits values apart at twice the unit, and the half of it.
_PARTS_BITS = 11
_HALF_BITS = _PARTS_BITS - 1
_HALF = 1 << _HALF_BITS

_COOKIE = 0x1C849303 | 0x10
_COMPRESSED_COOKIE = 0x1C849304 | 0x10

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class HdrHistogram:
    """counts: of each bucket up to the last that has any, shape (buckets,)."""

    counts: Counts

    @classmethod
    def of(cls, latencies: Weighted) -> HdrHistogram:
        """Of values in ns with their counts."""
        values = np.clip(np.rint(latencies[0]), 0, HIGHEST_NS).astype(np.int64)
        return cls(np.bincount(_index(values), weights=latencies[1]).astype(np.int64))

    @property
    def total(self) -> int:
        """How many values there are."""
        return int(self.counts.sum())

    def buckets(self) -> tuple[Counts, Counts, Counts]:
        """Of each that has any: lowest and highest value that fall into it, in ns, and count."""
        index = np.flatnonzero(self.counts)
        shift = np.maximum((index >> _HALF_BITS) - 1, 0)
        part = np.where(index < 2 * _HALF, index, (index & (_HALF - 1)) + _HALF)
        lowest = part << shift
        return lowest, lowest + (1 << shift) - 1, self.counts[index]

    def encoded(self) -> bytes:
        """Compressed, as a line of a log has it before Base64."""
        payload = b"".join(_leb128(value) for value in _runs(self.counts))
        head = struct.pack(
            ">IIIIQQd", _COOKIE, len(payload), 0, SIGNIFICANT_DIGITS, 1, HIGHEST_NS, 1.0
        )
        packed = zlib.compress(head + payload)
        return struct.pack(">II", _COMPRESSED_COOKIE, len(packed)) + packed


def warm_latencies(run: Run, allocator: str, scenario: str) -> Mapping[str, Weighted]:
    """Of a cell, in ns by kind of call, pooled over processes; none of a program."""
    found = run.latencies_by_replay(allocator, scenario).get(Replay.WARM)
    return {} if found is None else found.by_kind


def _index(values: Counts) -> Counts:
    """Of the bucket of each value: of octave k >= 1, the half that the octave before has not."""
    octave = np.maximum(_bit_lengths(values) - _PARTS_BITS, 0)
    found: Counts = (octave << _HALF_BITS) + (values >> octave)
    return found


def _bit_lengths(values: Counts) -> Counts:
    """Exact up to 2^53, which HIGHEST_NS is below."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


def _runs(counts: Counts) -> list[int]:
    """The counts, and in the place of zeros in a row how many they are, negative."""
    found, zeros = [], 0
    for count in counts.tolist():
        if not count:
            zeros += 1
            continue
        if zeros:
            found.append(-zeros)
            zeros = 0
        found.append(count)
    return found


def _leb128(value: int) -> bytes:
    """ZigZag, seven bits a byte, of 64 bits: a ninth byte has all of its eight."""
    rest = (value << 1) ^ (value >> 63)
    found = bytearray()
    while rest >= 0x80 and len(found) < 8:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)

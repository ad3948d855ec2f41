"""Messages of Protocol Buffers, written by hand: fields of varints, bytes and messages.

A library for it would be a dependency of everybody for one format, and ten times as slow.

Format: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

__all__ = ["field", "text", "varint"]

_VARINT, _LENGTH = 0, 2
_SMALL = tuple(bytes([value]) for value in range(0x80))


def varint(number: int, value: int) -> bytes:
    """Field `number` with a value of 0 to 2^64-1."""
    return _encoded(number << 3 | _VARINT) + _encoded(value)


def field(number: int, content: bytes) -> bytes:
    """Field `number` with bytes or with a message."""
    return _encoded(number << 3 | _LENGTH) + _encoded(len(content)) + content


def text(number: int, words: str) -> bytes:
    """Field `number` with a string."""
    return field(number, words.encode("utf-8"))


def _encoded(value: int) -> bytes:
    if value < 0x80:
        return _SMALL[value]
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)

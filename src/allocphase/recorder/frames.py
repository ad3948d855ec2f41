"""What the drainer says on its standard output: driver/recorder/drainer/output.h."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from allocphase.recorder.columns import MAX_RAW_BYTES, Chunk
from allocphase.recorder.events import MAX_THREADS, Kind, RecordedThread, RecordingFacts

__all__ = ["DrainerEnd", "Frame", "FrameKind", "end_of", "frames", "image_of"]


class FrameKind(IntEnum):
    """driver/recorder/drainer/output.h has the same numbers."""

    READY = 1
    CHUNK = 2
    IMAGE = 3
    END = 4


FRAME = np.dtype(
    [
        ("kind", "u4"),
        ("bytes", "u4"),
        ("process", "u8"),
        ("thread", "u4"),
        ("count", "u4"),
        ("births", "u4"),
        ("_padding", "u4"),
        ("first_birth", "u8"),
        ("base_time", "u8"),
    ]
)
IMAGE = np.dtype(
    [
        ("counts", "u8", len(Kind)),
        ("parent", "u8"),
        ("start", "u8"),
        ("started_ns", "u8"),
        ("ticks_per_second", "f8"),
        ("reading_ns", "f8"),
        ("stalls", "u8"),
        ("stalled_ns", "u8"),
        ("ambiguous", "u8"),
        ("unrecorded", "u8"),
        ("pid", "i4"),
        ("origin", "u4"),
        ("ended", "u4"),
        ("clock", "u4"),
        ("threads", "u4"),
        ("command_bytes", "u4"),
        ("allocator_bytes", "u4"),
        ("is_last", "u4"),
    ]
)
THREAD = np.dtype(
    [
        ("tid", "i4"),
        ("is_shared", "u4"),
        ("parent", "u8"),
        ("joined_by", "u8"),
        ("created", "u8"),
        ("birth", "u8"),
        ("end", "u8"),
        ("joined", "u8"),
        ("stalls", "u8"),
    ]
)
END = np.dtype(
    [
        ("images", "u8"),
        ("refused", "u8"),
        ("peak_rss_bytes", "u8"),
        ("arena_bytes", "u8"),
        ("cpu_ns", "u8"),
    ]
)
NEVER = (1 << 64) - 1
ORIGINS = ("start", "fork", "exec")
ENDED = ("exit", "exec", "running", "max-bytes")
CLOCKS = ("tsc", "cntvct", "monotonic")
_WORDS_BYTES = 4096  # driver/recorder/arena.h: of an image's command and allocator
MAX_PAYLOAD_BYTES = max(
    MAX_RAW_BYTES, IMAGE.itemsize + THREAD.itemsize * MAX_THREADS + _WORDS_BYTES
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. process: of a chunk and an image; chunk: where that begins."""

    kind: FrameKind
    process: int
    chunk: Chunk
    payload: bytes


@dataclass(frozen=True, slots=True)
class DrainerEnd:
    """The drainer's last words. refused: processes that found no room; arena_bytes: the most that
    it took of memory, which is part of peak_rss_bytes.
    """

    images: int
    refused: int
    peak_rss_bytes: int
    arena_bytes: int
    cpu_ns: int


def frames(stream: BinaryIO) -> Iterator[Frame]:
    """Until the stream ends, be it in the middle of a frame. Raises ValueError for what is none."""
    while len(head_bytes := stream.read(FRAME.itemsize)) == FRAME.itemsize:
        head = np.frombuffer(head_bytes, FRAME)[0]
        size = int(head["bytes"])
        if size > MAX_PAYLOAD_BYTES:
            raise ValueError("the drainer says more than it can have to say")
        payload = stream.read(size)
        if len(payload) < size:
            return
        chunk = Chunk(
            thread=int(head["thread"]),
            count=int(head["count"]),
            first_birth=int(head["first_birth"]),
            births=int(head["births"]),
            base_time=int(head["base_time"]),
        )
        yield Frame(FrameKind(int(head["kind"])), int(head["process"]), chunk, payload)


def image_of(frame: Frame) -> tuple[RecordingFacts, bool]:
    """What is known of a process, and whether that is the last of it."""
    head = np.frombuffer(frame.payload, IMAGE, 1)[0]
    at = IMAGE.itemsize
    threads = np.frombuffer(frame.payload, THREAD, int(head["threads"]), at)
    at += threads.nbytes
    command = frame.payload[at : at + int(head["command_bytes"])]
    allocator = frame.payload[at + len(command) :]
    facts = RecordingFacts(
        command=tuple(_text(word) for word in command.removesuffix(b"\0").split(b"\0")),
        pid=max(0, int(head["pid"])),
        process=frame.process,
        parent=int(head["parent"]) - 1 if head["parent"] else None,
        origin=ORIGINS[int(head["origin"])],
        ended=ENDED[int(head["ended"])],
        allocator=_text(allocator),
        clock=CLOCKS[int(head["clock"])],
        ticks_per_second=float(head["ticks_per_second"]),
        reading_ns=float(head["reading_ns"]),
        started_ns=int(head["started_ns"]),
        start=int(head["start"]),
        threads=tuple(_thread(row) for row in threads),
        counts={kind.name.lower(): int(head["counts"][kind]) for kind in Kind},
        stalls=int(head["stalls"]),
        stalled_ns=int(head["stalled_ns"]),
        ambiguous=int(head["ambiguous"]),
        unrecorded=int(head["unrecorded"]),
    )
    return facts, bool(head["is_last"])


def _text(name: bytes) -> str:
    """As it can stand in a document: what is no UTF-8 becomes U+FFFD, and so do control
    characters.
    """
    text = os.fsdecode(name).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _thread(row: npt.NDArray[Any]) -> RecordedThread:
    def known(name: str) -> int | None:
        return None if row[name] == NEVER else int(row[name])

    return RecordedThread(
        tid=max(0, int(row["tid"])),
        parent=known("parent"),
        created=known("created"),
        birth=known("birth"),
        end=known("end"),
        joined=known("joined"),
        joined_by=known("joined_by"),
        stalls=int(row["stalls"]),
        shared=bool(row["is_shared"]),
    )


def end_of(frame: Frame) -> DrainerEnd:
    """What it took."""
    end = np.frombuffer(frame.payload, END, 1)[0]
    return DrainerEnd(*(int(end[name]) for name in END.names or ()))

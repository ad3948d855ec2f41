"""Perfetto's native trace of one cell: the timeline that ui.perfetto.dev opens.

A track a thread with a slice a call (its size and place in the trace with it), below it tracks for
causes and system calls, and counters of live, mapped and resident bytes. A million events at most:
a browser has 2 GB for a trace, and takes several times a file's size.

Format: google/perfetto, protos/perfetto/trace/trace_packet.proto and track_event/*.proto, whose
field numbers stand below; docs/reference/synthetic-track-event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from allocphase.analysis.frames import CAUSES, Run
from allocphase.errors import NothingMeasuredError
from allocphase.export.exported import Choice, Exported, one_cell
from allocphase.export.protobuf import field, text, varint
from allocphase.export.timeline import Calls, Counter, Moments, Timeline, timeline

__all__ = ["MOST_EVENTS", "write"]

MOST_EVENTS = 1_000_000

_PACKET = 1  # of Trace
# Of TracePacket
_TIMESTAMP, _SEQUENCE, _EVENT, _INTERNED, _FLAGS, _DESCRIPTOR = 8, 10, 11, 12, 13, 60
_STATE_CLEARED, _NEEDS_STATE = 1, 2
# Of TrackDescriptor; of its ThreadDescriptor, ProcessDescriptor and CounterDescriptor
_UUID, _NAME, _PROCESS, _THREAD, _PARENT, _COUNTER = 1, 2, 3, 4, 5, 8
_PID, _TID, _THREAD_NAME, _PROCESS_NAME, _UNIT, _BYTES = 1, 2, 5, 6, 3, 3
# Of TrackEvent, of its DebugAnnotation, and of InternedData
_CATEGORY, _ANNOTATION, _TYPE, _NAME_IID, _TRACK, _VALUE = 3, 4, 9, 10, 11, 30
_BEGIN, _END, _INSTANT, _COUNTS = 1, 2, 3, 4
_ANNOTATION_NAME, _UINT = 1, 3
_CATEGORIES, _EVENT_NAMES, _ANNOTATION_NAMES = 1, 2, 3
_SIZE, _OP = 1, 2

# The process in the file is the one that was measured, whose number nobody knows any more.
_PROCESS_ID = 1
_ROOT = 1
_ON_SEQUENCE = varint(_SEQUENCE, 1)
_EVENT_FLAGS = varint(_FLAGS, _NEEDS_STATE)


def write(runs: Sequence[Run], choice: Choice) -> Exported:
    """Of one cell of one run. Raises NothingMeasuredError where nothing of it is on a clock."""
    (run,) = runs
    allocator, scenario = one_cell(run, choice)
    found = timeline(run, allocator, scenario, events=MOST_EVENTS)
    if not found.events:
        raise NothingMeasuredError(
            f"{run.path}: {allocator} on {scenario} has no timeline: the probes latency and "
            "footprint give it, of a program program_memory"
        )
    names = _Names(found)
    packets = [
        *_descriptors(found, f"{scenario} under {allocator}"),
        names.packet(),
        *_events(found, names),
    ]
    return Exported(b"".join(field(_PACKET, one) for one in packets), tuple(found.notes))


class _Names:
    """Strings that the file has once, and events by number."""

    def __init__(self, found: Timeline) -> None:
        texts = [name for calls in found.calls for name in calls.kind]
        texts += [name for moments in found.moments for name in moments.names]
        self.numbers = {name: n for n, name in enumerate(dict.fromkeys(texts), start=1)}

    def packet(self) -> bytes:
        data = b"".join(
            field(_EVENT_NAMES, varint(1, n) + text(2, name)) for name, n in self.numbers.items()
        )
        data += b"".join(
            field(_CATEGORIES, varint(1, n) + text(2, name))
            for n, name in enumerate(CAUSES, start=1)
        )
        for number, name in ((_SIZE, "size"), (_OP, "op")):
            data += field(_ANNOTATION_NAMES, varint(1, number) + text(2, name))
        return _ON_SEQUENCE + varint(_FLAGS, _STATE_CLEARED) + field(_INTERNED, data)


# ---- Tracks ------------------------------------------------------------------------------


def _descriptors(found: Timeline, title: str) -> Iterator[bytes]:
    process = varint(_PID, _PROCESS_ID) + text(_PROCESS_NAME, title)
    yield _track(_ROOT, field(_PROCESS, process))
    for calls in found.calls:
        thread = varint(_PID, _PROCESS_ID) + varint(_TID, calls.thread + 2)
        name = text(_THREAD_NAME, f"thread {calls.thread}")
        yield _track(_thread_track(calls.thread), field(_THREAD, thread + name))
    for index, moments in enumerate(found.moments):
        above = varint(_PARENT, _thread_track(moments.thread))
        yield _track(_moment_track(index), text(_NAME, moments.title) + above)
    for index, counter in enumerate(found.counters):
        unit = field(_COUNTER, varint(_UNIT, _BYTES))
        yield _track(
            _counter_track(index), text(_NAME, counter.title) + unit + varint(_PARENT, _ROOT)
        )


def _track(uuid: int, rest: bytes) -> bytes:
    return _ON_SEQUENCE + field(_DESCRIPTOR, varint(_UUID, uuid) + rest)


def _counter_track(index: int) -> int:
    return 10 + index


def _thread_track(thread: int) -> int:
    return 1000 + thread


def _moment_track(index: int) -> int:
    return 100_000 + index


# ---- Events ------------------------------------------------------------------------------


def _events(found: Timeline, names: _Names) -> Iterator[bytes]:
    for calls in found.calls:
        yield from _slices(calls, names)
    for index, moments in enumerate(found.moments):
        yield from _instants(moments, _moment_track(index), names)
    for index, counter in enumerate(found.counters):
        yield from _values(counter, _counter_track(index))


def _packet(time: int, event: bytes) -> bytes:
    return varint(_TIMESTAMP, time) + _ON_SEQUENCE + _EVENT_FLAGS + field(_EVENT, event)


def _slices(calls: Calls, names: _Names) -> Iterator[bytes]:
    track = varint(_TRACK, _thread_track(calls.thread))
    end = varint(_TYPE, _END) + track
    begin = varint(_TYPE, _BEGIN) + track
    columns = (calls.begin, calls.end, calls.cause, calls.size, calls.op)
    for kind, (start, stop, cause, size, op) in zip(
        calls.kind, zip(*(column.tolist() for column in columns), strict=True), strict=True
    ):
        about = varint(_CATEGORY, cause + 1) + varint(_NAME_IID, names.numbers[kind])
        about += field(_ANNOTATION, varint(_ANNOTATION_NAME, _SIZE) + varint(_UINT, size))
        about += field(_ANNOTATION, varint(_ANNOTATION_NAME, _OP) + varint(_UINT, op))
        yield _packet(start, begin + about)
        yield _packet(stop, end)


def _instants(moments: Moments, uuid: int, names: _Names) -> Iterator[bytes]:
    head = varint(_TYPE, _INSTANT) + varint(_TRACK, uuid)
    for time, name in zip(moments.times.tolist(), moments.names, strict=True):
        yield _packet(time, head + varint(_NAME_IID, names.numbers[name]))


def _values(counter: Counter, uuid: int) -> Iterator[bytes]:
    head = varint(_TYPE, _COUNTS) + varint(_TRACK, uuid)
    for time, value in zip(counter.times.tolist(), counter.values.tolist(), strict=True):
        yield _packet(time, head + varint(_VALUE, value % 2**64))

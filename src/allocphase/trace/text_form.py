"""A trace as text, an operation a line: to look at, to write by hand, and to make by other tools.

    allocphase-trace 1
    lanes 0 1 0                       a lane for each thread; without it one thread
    threads_end                       threads are born and end within the trace
    touch first                       none, first, pages, all; without it none
    work_ns 25
    tag CLASS DOMAIN HINT             tag 1, 2, ...; 0 is the untagged one
    gaps                              operations have gap=NS
    touched                           operations have touched=BYTES
    meta {"origin": "..."}            where it comes from
    peak BYTES OP                     of several threads, which live in no one order
    build                             the part that begins: build, steady or drain
    0 malloc 0 64 gap=120             THREAD KIND SLOT [SIZE] [align=N] [tag=N] [gap=NS] [touched=N]
    1 aligned_alloc 1 4096 align=64
    0 free 0

Operations stand in one order in which all of them can run. An empty line and what begins with # is
no part of it. A trace that is exported is imported again with the same digest.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TextIO

import numpy as np

from allocphase.errors import shown, unknown
from allocphase.operation import MAX_THREADS, MAX_WORK_NS, TOUCHES, Kind
from allocphase.trace.completion import MAX_TAGS, complete
from allocphase.trace.encoding import sealed
from allocphase.trace.provenance import read_provenance, written_provenance
from allocphase.trace.records import (
    TAG,
    Draft,
    Part,
    Touch,
    Trace,
    TraceError,
    gap_codes,
    gaps_ns,
    kind_of,
    operations,
)
from allocphase.trace.schedule import global_order

__all__ = ["read_text", "write_text"]

FIRST_LINE = "allocphase-trace 1"
MAX_LINE = 4 << 20  # of a description
_KINDS = {kind.name.lower(): kind for kind in Kind}
_PARTS = {part.name.lower(): part for part in Part}
_SIZED = (Kind.MALLOC, Kind.CALLOC, Kind.REALLOC, Kind.ALIGNED_ALLOC, Kind.WRITE)
_MAX_NUMBER = (1 << 32) - 1
_MAX_GAP = 1 << 62


def write_text(trace: Trace, file: TextIO) -> None:
    """Writes the trace, which is valid, as text. Raises OSError."""
    file.writelines(f"{line}\n" for line in _head(trace))
    order, parts = global_order(trace), trace.part_of_ops()
    counts = trace.threads["op_count"].astype(np.int64)
    thread = np.repeat(np.arange(len(counts)), counts)
    part = -1
    for start in range(0, len(order), 1 << 16):
        chosen = order[start : start + (1 << 16)]
        columns = (trace.gaps, trace.touched)
        gaps = None if columns[0] is None else gaps_ns(columns[0][chosen]).tolist()
        touched = None if columns[1] is None else columns[1][chosen].tolist()
        ops = trace.ops[chosen]
        kinds = kind_of(ops).tolist()
        for place, (op, kind, who, mine) in enumerate(
            zip(ops.tolist(), kinds, thread[chosen].tolist(), parts[chosen].tolist(), strict=True)
        ):
            if mine != part:
                part = mine
                file.write(f"{Part(mine).name.lower()}\n")
            slot, size, _, tag, _, align = op
            line = f"{who} {Kind(kind).name.lower()} {slot}"
            line += f" {size}" if kind in _SIZED else ""
            line += f" align={1 << align}" if align else ""
            line += f" tag={tag}" if tag else ""
            line += f" gap={gaps[place]}" if gaps is not None and gaps[place] else ""
            line += f" touched={touched[place]}" if touched is not None and touched[place] else ""
            file.write(f"{line}\n")


def _head(trace: Trace) -> Iterator[str]:
    yield FIRST_LINE
    if len(trace.threads) > 1:
        yield f"lanes {' '.join(map(str, trace.threads['lane'].tolist()))}"
        yield f"peak {trace.peak_live_bytes} {trace.peak_live_op}"
    if trace.threads_end:
        yield "threads_end"
    yield f"touch {trace.touch.name.lower()}"
    if trace.work_ns:
        yield f"work_ns {trace.work_ns}"
    for class_id, domain, hint in trace.tags[1:].tolist():
        yield f"tag {class_id} {domain} {hint!r}"
    if trace.gaps is not None:
        yield "gaps"
    if trace.touched is not None:
        yield "touched"
    said = read_provenance(trace.meta)
    if said is not None:
        yield f"meta {written_provenance(said).decode()}"


def read_text(lines: Iterable[str], *, name: str) -> Trace:
    """The trace that a text is. `name`: what errors call it.

    Raises TraceError with the name, the line, and what is wrong with it.
    """
    reader = _Reader()
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_LINE:
                raise TraceError("is longer than any line of a trace")
            reader.line(line, first=number == 1)
    except TraceError as error:
        raise TraceError(f"{name}: line {number}: {error}") from None
    try:
        return reader.trace()
    except TraceError as error:
        raise TraceError(f"{name}: {error}") from None


def _longs() -> array[int]:
    return array("Q")


@dataclass(slots=True)
class _Reader:
    lanes: tuple[int, ...] | None = None
    threads_end: bool = False
    touch: Touch = Touch.NONE
    work_ns: int = 0
    tags: list[tuple[int, int, float]] = field(default_factory=lambda: [(0, 0, 0.0)])
    has_gaps: bool = False
    has_touched: bool = False
    meta: bytes = b""
    peak: tuple[int, int] | None = None
    part: Part | None = None
    part_ops: list[int] = field(default_factory=lambda: [0] * len(Part))
    kind: array[int] = field(default_factory=_longs)
    slot: array[int] = field(default_factory=_longs)
    size: array[int] = field(default_factory=_longs)
    align: array[int] = field(default_factory=_longs)
    tag: array[int] = field(default_factory=_longs)
    thread: array[int] = field(default_factory=_longs)
    gap: array[int] = field(default_factory=_longs)
    touched: array[int] = field(default_factory=_longs)

    def line(self, text: str, *, first: bool) -> None:
        text = text.strip()
        if first:
            if text != FIRST_LINE:
                raise TraceError(f"must be {FIRST_LINE!r}, not {shown(text[:80])}")
            return
        if not text or text.startswith("#"):
            return
        word, _, rest = text.partition(" ")
        if word.isascii() and word.isdigit():
            self._operation(word, rest.split())
        elif word in _PARTS:
            self._begin(_PARTS[word])
        else:
            known = self._keys()
            if word not in known:
                raise TraceError(unknown("key", word[:80], [*known, *_PARTS]))
            if self.part is not None:
                raise TraceError(f"{word} stands behind a part: it belongs before the first")
            known[word](rest.strip())

    def _keys(self) -> dict[str, Callable[[str], None]]:
        return {
            "lanes": self._lanes,
            "threads_end": self._threads_end,
            "touch": self._touch,
            "work_ns": self._work,
            "tag": self._tag,
            "gaps": self._gaps,
            "touched": self._touched,
            "meta": self._meta,
            "peak": self._peak,
        }

    def _lanes(self, rest: str) -> None:
        lanes = tuple(_number(word, "lane", MAX_THREADS - 1) for word in rest.split())
        if not 0 < len(lanes) <= MAX_THREADS:
            raise TraceError(f"names {len(lanes)} lanes: a trace has 1 to {MAX_THREADS} threads")
        self.lanes = lanes

    def _threads_end(self, _: str) -> None:
        self.threads_end = True

    def _touch(self, rest: str) -> None:
        if rest not in TOUCHES:
            raise TraceError(unknown("touch", rest[:80], TOUCHES))
        self.touch = TOUCHES[rest]

    def _work(self, rest: str) -> None:
        self.work_ns = _number(rest, "work_ns", MAX_WORK_NS)

    def _tag(self, rest: str) -> None:
        words = rest.split()
        if len(words) != 3 or len(self.tags) >= MAX_TAGS:
            raise TraceError(f"is written: tag CLASS DOMAIN HINT, at most {MAX_TAGS - 1} times")
        class_id, domain = (_number(word, "tag", _MAX_NUMBER) for word in words[:2])
        try:
            self.tags.append((class_id, domain, float(words[2])))
        except ValueError:
            raise TraceError(f"{shown(words[2])} is no frequency") from None

    def _gaps(self, _: str) -> None:
        self.has_gaps = True

    def _touched(self, _: str) -> None:
        self.has_touched = True

    def _meta(self, rest: str) -> None:
        meta = rest.encode("utf-8", "replace")
        said = read_provenance(meta)
        if said is None:
            raise TraceError("is written: meta {...}")
        self.meta = written_provenance(said)

    def _peak(self, rest: str) -> None:
        words = rest.split()
        if len(words) != 2:
            raise TraceError("is written: peak BYTES OPERATION")
        self.peak = _number(words[0], "peak", _MAX_GAP), _number(words[1], "peak", _MAX_NUMBER)

    def _begin(self, part: Part) -> None:
        if self.part is not None and part <= self.part:
            raise TraceError(f"{part.name.lower()} comes behind {self.part.name.lower()}")
        self.part = part

    def _operation(self, thread: str, words: list[str]) -> None:
        if self.part is None:
            self.part = Part.BUILD
        if len(words) < 2 or words[0] not in _KINDS:
            known = unknown("kind", words[0][:80] if words else "", _KINDS)
            raise TraceError(f"{known}; it is written: THREAD KIND SLOT [SIZE]")
        kind = _KINDS[words[0]]
        sized = kind in _SIZED
        if sized and len(words) < 3:
            raise TraceError(f"has no size: it is written THREAD {words[0]} SLOT SIZE")
        more = self._more(words[2 + sized :], kind)
        self.kind.append(kind)
        self.slot.append(_number(words[1], "slot", _MAX_NUMBER))
        self.size.append(_number(words[2], "size", _MAX_NUMBER) if sized else 0)
        self.thread.append(_number(thread, "thread", len(self.lanes or (0,)) - 1))
        self.align.append(more.get("align", 0))
        self.tag.append(more.get("tag", 0))
        self.gap.append(more.get("gap", 0))
        self.touched.append(more.get("touched", 0))
        self.part_ops[self.part] += 1

    def _more(self, words: list[str], kind: Kind) -> dict[str, int]:
        most = {"tag": len(self.tags) - 1}
        most |= {"align": 1 << 21} if kind is Kind.ALIGNED_ALLOC else {}
        most |= {"gap": _MAX_GAP} if self.has_gaps else {}
        most |= {"touched": _MAX_NUMBER} if self.has_touched else {}
        found = {}
        for word in words:
            key, equals, value = word.partition("=")
            if not equals or key not in most:
                raise TraceError(
                    f"{shown(word[:80])}: here may stand {', '.join(most)}, each =NUMBER"
                )
            found[key] = _number(value, key, most[key])
        if kind is Kind.ALIGNED_ALLOC:
            align = found.get("align", 0)
            if align < 16 or align & (align - 1):
                raise TraceError("aligned_alloc has an align=, a power of two from 16 to 2 MiB")
            found["align"] = align.bit_length() - 1
        return found

    def trace(self) -> Trace:
        """What was read."""
        if not self.kind:
            raise TraceError("has no operation")
        columns = {
            n: np.array(getattr(self, n), np.uint64) for n in ("slot", "size", "tag", "align")
        }
        threads = len(self.lanes or (0,))
        draft = Draft(
            operations(
                np.array(self.kind, np.uint64),
                columns["slot"],
                size=columns["size"],
                tag=columns["tag"],
                align_log2=columns["align"],
            ),
            thread=np.array(self.thread, np.uint32) if threads > 1 else None,
            lane=self.lanes if threads > 1 else None,
            build_ops=self.part_ops[Part.BUILD],
            drain_ops=self.part_ops[Part.DRAIN],
            tags=np.array(self.tags, TAG),
            threads_end=self.threads_end,
            gaps=gap_codes(np.array(self.gap, np.uint64)) if self.has_gaps else None,
            touched=np.array(self.touched, np.uint32) if self.has_touched else None,
        )
        made = complete(draft, touch=self.touch, work_ns=self.work_ns, meta=self.meta)
        if threads > 1 and self.peak is not None:
            if self.peak[1] >= len(made.ops):
                raise TraceError(f"has its peak at operation {self.peak[1]}, of {len(made.ops)}")
            made = sealed(replace(made, peak_live_bytes=self.peak[0], peak_live_op=self.peak[1]))
        return made


def _number(text: str, what: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > most:
        raise TraceError(f"{what}: {shown(text[:80])} is no number from 0 to {most:,}")
    return int(text)

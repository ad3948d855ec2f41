"""The event files of a tree of processes, within a limit.

The first process has the name that was asked for, `app.events`; the others are `app.N.events` by
their place in the recording. A process without calls has no file; where that is the first one, the
next one has its name in the end.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from allocphase.errors import UsageError
from allocphase.files.durable import GrowingFile, named_errors, require_writable
from allocphase.files.regular import opened_to_change
from allocphase.recorder.columns import Chunk
from allocphase.recorder.event_file import EventFileWriter
from allocphase.recorder.events import RecordingCost, RecordingFacts

__all__ = ["RecordedImage", "TreeFiles", "require_new"]

# What is kept of the limit for what threads have not yet given on when it is reached.
_RESERVE_SHARE = 8
_FACTS_BYTES = 64 << 10


@dataclass
class _Image:
    facts: RecordingFacts
    path: Path | None = None
    file: GrowingFile | None = None
    writer: EventFileWriter | None = None
    events: int = 0
    raw_bytes: int = 0
    file_bytes: int = 0
    end_bytes: int = 0  # of the record that ends a whole file


@dataclass(frozen=True, slots=True)
class RecordedImage:
    """One process when all is over. path: None where it made no call."""

    facts: RecordingFacts
    path: Path | None
    events: int
    raw_bytes: int
    file_bytes: int


class TreeFiles:
    """Takes what the drainer tells, process by process. Raises OSError where the disk refuses."""

    def __init__(self, path: Path, *, max_bytes: int | None) -> None:
        require_new(path)
        self.path = path
        self._max_bytes = max_bytes
        self._images: dict[int, _Image] = {}
        self._is_cut = False

    @property
    def file_bytes(self) -> int:
        """Of all files so far."""
        return sum(
            image.writer.file_bytes if image.writer else image.file_bytes
            for image in self._images.values()
        )

    @property
    def is_nearly_full(self) -> bool:
        """Whether the recording has to end now for all of it to have room."""
        if self._max_bytes is None:
            return False
        return self.file_bytes + self._max_bytes // _RESERVE_SHARE + _FACTS_BYTES > self._max_bytes

    def tell(self, process: int, facts: RecordingFacts, *, is_last: bool) -> None:
        """What is known of a process; its file is whole when that is the last."""
        image = self._images.setdefault(process, _Image(facts))
        image.facts = replace(facts, ended="max-bytes") if self._is_cut and is_last else facts
        if is_last:
            self._finish(image)

    def add(self, process: int, chunk: Chunk, raw: bytes) -> None:
        """Events. Beyond the limit nothing more is written, of no thread."""
        image = self._images[process]
        if self._is_cut:
            return
        writer = image.writer or self._begun(image)
        room = None
        if self._max_bytes is not None:
            room = self._max_bytes - self.file_bytes - _FACTS_BYTES
        if not writer.chunk(chunk, raw, most_bytes=room):
            self._is_cut = True
            return
        image.events += chunk.count

    def _begun(self, image: _Image) -> EventFileWriter:
        number = image.facts.process
        name = f"{self.path.stem}.{number}{self.path.suffix}"
        image.path = self.path if number == 0 else self.path.with_name(name)
        image.file = GrowingFile(image.path)
        image.writer = EventFileWriter(image.file)
        # So that the file of a recorder that is killed can be read.
        image.writer.facts(replace(image.facts, ended="recorder"))
        return image.writer

    def _finish(self, image: _Image) -> None:
        if image.writer is None or image.file is None:
            return
        image.writer.facts(image.facts)
        before = image.writer.file_bytes
        image.writer.end()
        image.end_bytes = image.writer.file_bytes - before
        self._close(image)

    def _close(self, image: _Image) -> None:
        if image.writer is None or image.file is None:
            return
        image.raw_bytes, image.file_bytes = image.writer.raw_bytes, image.writer.file_bytes
        image.file.close()
        image.file = image.writer = None

    def close(self, ended: str, cost: RecordingCost) -> list[RecordedImage]:
        """All processes, in the order in which they began; files that are still open are ended as
        they are, and all of them say what recording took.
        """
        for image in self._images.values():
            image.facts = replace(image.facts, cost=cost)
            if image.writer is not None:
                image.facts = replace(image.facts, ended=ended)
                with suppress(OSError):  # a full disk: what is there can be read as it is
                    image.writer.facts(image.facts)
                self._close(image)
            elif image.path is not None and ended != "write":
                self._tell_cost(image, image.path)
        self._name_first()
        return [
            RecordedImage(image.facts, image.path, image.events, image.raw_bytes, image.file_bytes)
            for _, image in sorted(self._images.items())
        ]

    def _tell_cost(self, image: _Image, path: Path) -> None:
        """In the place of the end of a file that is whole, if there is room; then the end again."""
        with suppress(OSError), opened_to_change(path) as file:
            file.seek(image.file_bytes - image.end_bytes)
            writer = EventFileWriter(file, file_bytes=file.tell())
            room = None
            if self._max_bytes is not None:
                room = self._max_bytes - self.file_bytes
            if writer.facts(image.facts, most_bytes=room):
                writer.end()
                image.file_bytes = writer.file_bytes

    def _name_first(self) -> None:
        written = [image for _, image in sorted(self._images.items()) if image.path is not None]
        if written and written[0].path != self.path:
            with named_errors(self.path):
                written[0].path = cast(Path, written[0].path).rename(self.path)


def require_new(path: Path) -> None:
    """Raises UsageError where a recording of that name is there, or cannot be written."""
    taken = [path, *path.parent.glob(f"{_escaped(path.stem)}.*{_escaped(path.suffix)}")]
    for other in taken:
        if other.exists() and (other == path or _is_number(other, path)):
            raise UsageError(f"{other}: is there already: remove it or name another one")
    require_writable(path)


def _escaped(part: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in part)


def _is_number(other: Path, path: Path) -> bool:
    middle = other.name.removeprefix(f"{path.stem}.").removesuffix(path.suffix)
    return middle.isdigit()

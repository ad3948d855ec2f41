"""Files that become traces: event files of the recorder, text, and those of other tools."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from allocphase.errors import UsageError
from allocphase.files.regular import opened
from allocphase.recorder.convert import convert
from allocphase.recorder.event_file import MAGIC, open_recording
from allocphase.trace.file import write
from allocphase.trace.foreign import FORMATS
from allocphase.trace.foreign.calls import Calls
from allocphase.trace.records import TraceError
from allocphase.trace.text_form import FIRST_LINE, read_text

__all__ = ["import_trace"]

MAX_TEXT_BYTES = 1 << 34


def import_trace(path: Path, output: Path, *, touched: Path | None = None) -> Iterator[str]:
    """Writes the trace that `path` is, whatever its form, and yields what is to be said of it.
    touched: for an event file, one of the same command that tells what was touched.

    Raises UsageError with the file, the line and what is wrong.
    """
    start = _start(path)
    if start.startswith(MAGIC):
        learnt = None if touched is None else open_recording(touched)
        said = convert(open_recording(path), output, learnt=learnt)
        yield f"{output}: {said.origin}"
        for note, count in said.notes.items():
            yield f"  {note}: {count:,}"
        return
    if touched is not None:
        raise UsageError(f"{path}: is no event file: --touched says nothing of it")
    if start.startswith(FIRST_LINE.encode()):
        with opened(path, max_bytes=MAX_TEXT_BYTES, follow=True) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", errors="replace")
            made = read_text(text, name=str(path))
        write(made, output)
        yield f"{output}: {len(made.ops):,} operations"
        return
    form = next((one for one in FORMATS if one.begins(start)), None)
    if form is None:
        known = ", ".join(one.title for one in FORMATS)
        raise UsageError(
            f"{path}: is of no format that is known: an event file of `allocphase record`, text"
            f" that begins with {FIRST_LINE!r}, {known}; unpack what is packed"
        )
    calls = Calls()
    try:
        with opened(path, max_bytes=MAX_TEXT_BYTES, follow=True) as file:
            form.read(file, calls)
        made = calls.trace(origin=f"imported from {form.title}, {path.name}")
    except TraceError as error:
        raise UsageError(f"{path}: {error}") from None
    write(made, output)
    yield f"{output}: {form.title}, {len(made.ops):,} operations"
    for note, count in calls.notes.items():
        yield f"  {note}: {count:,}"


def _start(path: Path) -> bytes:
    try:
        with opened(path, max_bytes=1 << 44, follow=True) as file:
            return file.read(256)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None

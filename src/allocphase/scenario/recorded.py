"""Recorded scenarios: a trace file, of a program's own calls or of another tool's.

    allocphase run -s app.trace              it describes itself, from what the recorder wrote in it

    title = "..."                            or a scenario's TOML file, with its four texts
    trace = "app.trace"                      beside it; .trace.zst is a packed one
    touch = "pages"                          instead of the trace's own

What was recorded is not made again: there is no seed, and there are no parameters.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from allocphase.errors import UsageError
from allocphase.text.units import counted
from allocphase.trace.file import mapped, validate
from allocphase.trace.provenance import Provenance
from allocphase.trace.records import Touch, Trace, TraceError
from allocphase.trace.stored import summary, touched_digest, unpacked_copy

__all__ = ["Recorded", "recorded"]

# Checked in full before the driver does so again: longer ones would take gigabytes.
MAX_CHECKED = 1 << 24


@dataclass(frozen=True, slots=True)
class Recorded:
    """A scenario that is a trace file. `touch` and `work_ns` are those of the replay; `changed`
    says that the touch is not the file's own. `provenance`: None where the trace has none.
    """

    name: str
    title: str
    stands_for: str
    source: str
    does_not_show: str
    path: str
    touch: Touch
    changed: bool
    work_ns: int
    default: bool
    provenance: Provenance | None

    def with_parameters(self, changes: Mapping[str, object]) -> Recorded:
        """Itself, as long as there are no changes. Raises UsageError: a recording has none."""
        for key in changes:
            raise UsageError(f"scenario {self.name}: is a recording, and has no parameter {key!r}")
        return self

    def write(self, target: Path) -> str:
        """Writes the trace that is replayed, and returns its digest. Raises TraceError."""
        touch = self.touch if self.changed else None
        return unpacked_copy(Path(self.path), target, touch=touch)

    def digest(self) -> str:
        """SHA-256 of the trace that is replayed, in hex. Raises TraceError."""
        path = Path(self.path)
        return touched_digest(path, self.touch) if self.changed else summary(path).digest

    def read(self) -> Trace:
        """Its operations, memory-mapped; checked in full where they are not very many, and by the
        driver in any case. Raises TraceError.
        """
        try:
            trace = mapped(Path(self.path))
            if len(trace.ops) <= MAX_CHECKED:
                validate(trace)
        except OSError as error:
            raise TraceError(f"{self.path}: {error.strerror}") from None
        except UsageError as error:
            raise TraceError(f"{self.path}: {error}") from None
        return trace


def recorded(
    path: Path,
    *,
    name: str,
    texts: Mapping[str, str] | None = None,
    touch: Touch | None = None,
    default: bool = False,
) -> Recorded:
    """The scenario that the trace in `path` is, by its header. texts: title, stands_for, source and
    does_not_show; without them it describes itself. Raises TraceError that names the file.
    """
    head = summary(path)
    return Recorded(
        name=name,
        path=str(path.absolute()),
        touch=head.touch if touch is None else touch,
        changed=touch is not None and touch != head.touch,
        work_ns=head.work_ns,
        default=default,
        provenance=head.provenance,
        **(texts or _own_texts(path, head.provenance)),
    )


def _own_texts(path: Path, provenance: Provenance | None) -> dict[str, str]:
    if provenance is None:
        return {
            "title": f"The trace {path.name}",
            "stands_for": "The operations of a trace file, which says nothing of its origin.",
            "source": f"The file {path.name}.",
            "does_not_show": "Whatever the trace does not have.",
        }
    command = shlex.join(provenance.command)
    return {
        "title": f"Recorded: {command or path.name}",
        "stands_for": f"{_what(provenance, command)}.",
        "source": f"The file {path.name}: {provenance.origin}.",
        "does_not_show": "What the program does between its calls, and what its own accesses to its"
        " objects cost. Nobody has held this replay against the program.",
    }


def _what(provenance: Provenance, command: str) -> str:
    text = f"The malloc calls of {command}" if command else "The malloc calls of a program"
    if provenance.recorded:
        text += f", recorded on {provenance.recorded[:10]}"
    if provenance.allocator:
        text += f" under {provenance.allocator}"
    return f"{text}: {counted(provenance.threads, 'thread')}"

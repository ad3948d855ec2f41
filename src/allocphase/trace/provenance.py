"""Where a recorded trace comes from: the description that its file carries, JSON in UTF-8.

Readers show it; the driver knows nothing of it. It is part of the trace's digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from allocphase.files.documents import parse_json
from allocphase.files.typed import Count, FieldError, plain, read
from allocphase.trace.encoding import MAX_META_BYTES
from allocphase.trace.records import TraceError

__all__ = ["RECORDED", "Provenance", "is_cut", "read_provenance", "written_provenance"]

# The origin of a whole recording.
RECORDED = "recorded by allocphase record"
# A command line can be longer than what a description has room for.
_MAX_ARGUMENTS, _MAX_LETTERS = 200, 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """origin: how the trace came to be, such as "recorded" or "imported from malloclab's .rep".

    command:             the program's arguments, its name first; those beyond 200 are left out
    recorded:            when it began, ISO 8601
    allocator:           who served the program
    threads:             of the program
    duration_ns:         from its first call to its last
    calls:               by entry point, how often it was called
    notes:               what the trace has otherwise than the program, and how often
    never_freed:         objects that the program left; the drain frees them
    preamble_operations: of a window, how many operations make what lived when it began
    wall_ns:             of the program under the recorder; 0: not known
    wall_without_ns:     of one run without it; 0: there was none
    recorder_rss_bytes:  what the recorder took of its own
    """

    origin: str
    command: tuple[str, ...] = ()
    recorded: str = ""
    allocator: str = ""
    threads: Count = 1
    duration_ns: Count = 0
    calls: Mapping[str, Count] = field(default_factory=dict)
    notes: Mapping[str, Count] = field(default_factory=dict)
    never_freed: Count = 0
    preamble_operations: Count = 0
    wall_ns: Count = 0
    wall_without_ns: Count = 0
    recorder_rss_bytes: Count = 0


def written_provenance(provenance: Provenance) -> bytes:
    """What a trace carries of it. Raises TraceError where it cannot."""
    command = tuple(text[:_MAX_LETTERS] for text in provenance.command[:_MAX_ARGUMENTS])
    short = replace(
        provenance,
        origin=provenance.origin[:_MAX_LETTERS],
        command=command,
        allocator=provenance.allocator[:_MAX_LETTERS],
    )
    meta = json.dumps(plain(short), ensure_ascii=True).encode()
    if len(meta) > MAX_META_BYTES:
        raise TraceError(f"its description takes {len(meta):,} bytes of {MAX_META_BYTES:,}")
    return meta


def is_cut(command: Sequence[str]) -> bool:
    """Whether a description may have less of it than there was."""
    return len(command) >= _MAX_ARGUMENTS or any(len(x) >= _MAX_LETTERS for x in command)


def read_provenance(meta: bytes) -> Provenance | None:
    """The description in a trace, None where it has none. Raises TraceError where it is not as
    allocphase writes it.
    """
    if not meta:
        return None
    try:
        if len(meta) > MAX_META_BYTES:
            raise FieldError("is too long")
        return read(Provenance, parse_json(meta.decode()))
    except ValueError as error:  # FieldError and UnicodeDecodeError among them
        raise TraceError(f"its description: {error}") from None

"""Processes of a cell that did not end well, and the line that tells of them."""

from __future__ import annotations

from collections.abc import Sequence

from allocphase.probe.status import Status
from allocphase.store.record import ProcessRecord
from allocphase.text.line import plain

__all__ = ["BROKEN", "first_broken", "lost_line", "message_of"]

# What an allocator must not do. The other statuses say that it could not be measured at all.
BROKEN = frozenset({Status.CRASHED, Status.TIMEOUT, Status.OUT_OF_MEMORY, Status.CORRUPT})


def first_broken(records: Sequence[ProcessRecord]) -> ProcessRecord | None:
    """The first of a cell's processes in which its allocator did what none must."""
    return next((record for record in records if record.status in BROKEN), None)


def message_of(bad: ProcessRecord, records: Sequence[ProcessRecord]) -> str:
    """What a bad process said; of which probe, where the cell's others said something else; and
    where it says how to repeat it.
    """
    return f"{_words(bad, records)} ({bad.repeat_file})" if bad.kept else _words(bad, records)


def _words(bad: ProcessRecord, records: Sequence[ProcessRecord]) -> str:
    if len({record.probe for record in records}) > 1 and all(
        (record.status, record.message) == (bad.status, bad.message) for record in records
    ):
        return f"in every probe: {bad.message}"
    return f"{bad.probe}: {bad.message}"


def lost_line(status: Status, allocator: str, scenario: str, message: str) -> str:
    """How a cell ended, and what was said."""
    return plain(f"{status.value}: {allocator} on {scenario}: {message}").rstrip(" :")

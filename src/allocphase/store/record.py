"""The journal: a line a finished process, and a line an event of the run as a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from allocphase.files.checks import NAME, NUMBER, TEXT, at_most, one_of, table
from allocphase.files.documents import parse_json
from allocphase.probe.result import result_problem
from allocphase.store.manifest import MAX_ROUNDS

__all__ = ["EVENT", "Event", "ProcessRecord"]

RECORD = table(
    {
        "id": at_most(0xFFFFFFFF),
        "round": at_most(MAX_ROUNDS),
        **dict.fromkeys(("allocator", "scenario", "probe", "status", "message"), TEXT),
        "wall_s": NUMBER,
        "result": table(),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """One finished process: a line of the journal. `result` is the driver's own JSON."""

    id: int
    round: int
    allocator: str
    scenario: str
    probe: str
    status: str
    message: str
    wall_s: float
    result: Mapping[str, Any]

    def to_json(self) -> str:
        """One line without its newline."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> ProcessRecord:
        """Raises ValueError when the line is no record of this schema."""
        values = parse_json(line)
        if not isinstance(values, dict) or set(values) != set(cls.__slots__):
            raise ValueError("not a process record")
        if fault := RECORD(values):
            raise ValueError(f"a process record with values of the wrong type: {fault[1:]}")
        record = cls(**values)
        if fault := result_problem(record.probe, record.status, record.result):
            raise ValueError(f"result{fault}")
        return record


class Event(StrEnum):
    """What can happen to a run as a whole; without ENDED it is partial."""

    RESUMED = "resumed"
    UNLOCKED = "unlocked"
    ENDED = "ended"


EVENT = table({"event": one_of(tuple(Event)), "message": NAME})

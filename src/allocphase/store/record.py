"""The journal: a line a finished process, and a line an event of the run as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from allocphase.files.documents import parse_json
from allocphase.files.typed import Amount, FieldError, Name, at_most, plain, read
from allocphase.probe.probe import Probe
from allocphase.probe.result import Clock, Part, Result, check_result
from allocphase.probe.status import Status
from allocphase.store.manifest import MAX_ROUNDS

__all__ = ["Event", "EventRecord", "ProcessRecord", "repeat_file", "rounds_of"]

P = TypeVar("P", bound=Part)

_OPTIONAL = {"repeat", "quantiles_ns", "kept"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """One finished process. `result` is what the driver says of it, and no more than nothing of
    one that did not end well. repeat: which process of its cell within the round. quantiles_ns:
    of a latency process whose samples are not kept, malloc's by name; empty where they are. kept:
    whether the run has what repeats one that failed: `repeat_file`, from the run directory on.
    """

    id: Annotated[int, at_most(0xFFFFFFFF)]
    round: Annotated[int, at_most(MAX_ROUNDS)]
    allocator: str
    scenario: str
    probe: Probe
    status: Status
    message: str
    wall_s: Amount
    result: Result
    repeat: Annotated[int, at_most(MAX_ROUNDS)] = 0
    quantiles_ns: Mapping[str, Amount | None] = field(default_factory=dict)
    kept: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended well, and what its probe measured is there."""
        return self.status is Status.OK

    @property
    def has_samples(self) -> bool:
        """Whether what it measured of each call is kept, and not its quantiles alone."""
        return not self.quantiles_ns

    @property
    def repeat_file(self) -> str:
        """What says how to repeat it, where that is kept."""
        return repeat_file(self.id)

    def part(self, kind: type[P]) -> P:
        """What its probe measured; of a process of that probe that ended well."""
        return self.result.part(kind)

    @property
    def clock(self) -> Clock:
        """Of a process that read it: a latency process has one."""
        assert self.result.clock is not None, f"process {self.id}: {self.probe}, {self.status}"
        return self.result.clock

    def to_json(self) -> str:
        """One line without its newline."""
        return _line(self)

    @classmethod
    def from_json(cls, line: str) -> ProcessRecord:
        """Raises ValueError, with the key, when the line is no record of this schema."""
        values = parse_json(line)
        names = set(cls.__slots__)
        if not isinstance(values, dict) or not names - _OPTIONAL <= set(values) <= names:
            raise ValueError("not a process record")
        try:
            record = read(cls, values)
            try:
                check_result(record.probe, record.status, record.result)
            except FieldError as error:
                raise error.under(".result") from None
        except FieldError as error:
            raise ValueError(f"a process record with a wrong value: {error}") from None
        return record


def repeat_file(process_id: int) -> str:
    """Where a run keeps how to repeat a process: "failed/12/repeat.txt"."""
    return f"failed/{process_id}/repeat.txt"


def rounds_of(records: Iterable[ProcessRecord]) -> int:
    """How many rounds have begun, by the processes that have finished."""
    return 1 + max((record.round for record in records), default=-1)


class Event(StrEnum):
    """What can happen to a run as a whole; without ENDED it is partial."""

    RESUMED = "resumed"
    UNLOCKED = "unlocked"
    IMPORTED = "imported"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One of them, in a sentence."""

    event: Event
    message: Name

    def to_json(self) -> str:
        """One line without its newline."""
        return _line(self)

    @classmethod
    def from_json(cls, line: str) -> EventRecord:
        """Raises ValueError, with the key, when the line is no event of this schema."""
        return read(cls, parse_json(line))


def _line(record: Any) -> str:
    return json.dumps(plain(record), ensure_ascii=False, separators=(",", ":"))

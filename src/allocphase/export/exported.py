"""What is to be exported of a run, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allocphase.analysis.frames import Run
from allocphase.errors import UsageError, unknown

__all__ = ["Choice", "Exported", "json_text", "one_cell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Of which cell, by names of the run; None: of all, or of the only one. kind: of operations."""

    allocator: str | None = None
    scenario: str | None = None
    kind: str = "malloc"


@dataclass(frozen=True, slots=True)
class Exported:
    """A file. notes: what it does not have of the run, a sentence each."""

    content: bytes
    notes: tuple[str, ...] = ()

    @classmethod
    def of_text(cls, text: str, notes: Iterable[str] = ()) -> Exported:
        """As UTF-8."""
        return cls(text.encode("utf-8"), tuple(notes))


def one_cell(run: Run, choice: Choice) -> tuple[str, str]:
    """(allocator, scenario) of the one that is meant. Raises UsageError."""
    allocator = _one("allocator", choice.allocator, run.allocators, "-a")
    return allocator, _one("scenario", choice.scenario, run.scenarios, "-s")


def _one(what: str, given: str | None, names: Sequence[str], option: str) -> str:
    if given is not None:
        if given not in names:
            raise UsageError(unknown(what, given, names))
        return given
    if len(names) != 1:
        raise UsageError(
            f"this format is of one cell, and the run has {len(names)} {what}s: choose one by "
            f"{option} {{{', '.join(names)}}}"
        )
    return names[0]


def json_text(document: Mapping[str, Any] | Sequence[Any]) -> str:
    """Strict JSON, in which no word is a command to a CI that reads its log."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return text.replace("##", "#\\u0023") + "\n"

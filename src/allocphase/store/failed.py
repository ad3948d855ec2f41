"""What a run has kept of its failed processes (run/failed.py), to be shown.

Place in the pipeline: run writes it, the command shows it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from allocphase.errors import DataError
from allocphase.files.regular import read_regular_text, refuse_linked_folder
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord

__all__ = ["KeptFailure", "KeptFailures", "kept_failures"]

# Ten operations of a thread or three, and four commands with paths.
MAX_TEXT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class KeptFailure:
    """`text`: what is kept of the first of these processes; `others`: the files of the rest."""

    text: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFailures:
    """One failure a cell and probe. `count`: of processes; `size_bytes`: of all that is kept."""

    folder: Path
    shown: tuple[KeptFailure, ...]
    count: int
    size_bytes: int


def kept_failures(run: Path) -> KeptFailures:
    """Of those that are there still: people delete what they have done with.

    Raises DataError for what is no longer as it was.
    """
    groups: dict[tuple[str, str, str], list[ProcessRecord]] = {}
    for record in RunFiles(run).processes():
        if record.kept and (run / record.repeat_file).exists():
            key = (record.allocator, record.scenario, record.probe)
            groups.setdefault(key, []).append(record)
    return KeptFailures(
        folder=run / "failed",
        shown=tuple(_shown(run, group) for group in groups.values()),
        count=sum(map(len, groups.values())),
        size_bytes=sum(_sizes(run / "failed")),
    )


def _shown(run: Path, group: Sequence[ProcessRecord]) -> KeptFailure:
    first, *others = (run / each.repeat_file for each in sorted(group, key=lambda one: one.id))
    return KeptFailure(_text(first), tuple(map(str, others)))


def _text(path: Path) -> str:
    """Without control characters, which ours has none of: the run may come from elsewhere."""
    refuse_linked_folder(path.parent)
    try:
        text = read_regular_text(path, MAX_TEXT_BYTES).rstrip("\n")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: {error}") from None
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _sizes(folder: Path) -> Iterator[int]:
    for place, _, names in os.walk(folder):
        for name in names:
            yield Path(place, name).lstat().st_size

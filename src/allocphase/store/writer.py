"""Fills a run directory; what a method returns from is on disk."""

from __future__ import annotations

from pathlib import Path

from allocphase.files.durable import append_line, named_errors, write_text
from allocphase.files.regular import refuse_linked_folder
from allocphase.probe.arrays import Arrays, save_arrays
from allocphase.store.manifest import Manifest
from allocphase.store.record import Event, EventRecord, ProcessRecord

__all__ = ["RunWriter"]


class RunWriter:
    """Appends to one run directory; what a method returns from is on disk.

    Raises AllocphaseError, which names the file, where the disk is full or may not be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with named_errors(path):
            for folder in (path, path / "samples", path / "operations"):
                folder.mkdir(parents=True, exist_ok=True)

    def _folder(self, name: str) -> Path:
        """A subject that runs as the user may have put a link in its place."""
        refuse_linked_folder(self.path / name)
        return self.path / name

    def write_manifest(self, manifest: Manifest) -> None:
        """Writes run.json whole or not at all."""
        write_text(self.path / "run.json", manifest.to_json())

    def write_operations(self, index: int, arrays: Arrays) -> None:
        """The operations of scenario `index`: see `ops_arrays`."""
        save_arrays(self._folder("operations") / f"{index}.npz", arrays)

    def has_operations(self, index: int) -> bool:
        """Whether they are there: then they are whole."""
        return (self.path / "operations" / f"{index}.npz").exists()

    def add(self, record: ProcessRecord, arrays: Arrays) -> None:
        """Samples first, then the journal line that makes them count."""
        if arrays:
            save_arrays(self._folder("samples") / f"{record.id}.npz", arrays)
        append_line(self.path / "processes.jsonl", record.to_json().encode("utf-8"))

    def tell(self, event: Event, message: str) -> None:
        """What happened to the run as a whole, in one sentence."""
        line = EventRecord(event=event, message=message).to_json()
        append_line(self.path / "events.jsonl", line.encode("utf-8"))

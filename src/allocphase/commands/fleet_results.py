"""What a fleet came to, on the terminal and in files: shared by `compare`, `gate` and `fleet`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from allocphase.commands.shared import write_json, write_text
from allocphase.errors import UsageError

if TYPE_CHECKING:
    from allocphase.compare import CompareSettings
    from allocphase.fleet import FleetVerdict

__all__ = ["FleetOutputs", "compare_of_fleet", "gate_of_fleet", "refuse_of_fleet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOutputs:
    """A path "-" is stdout. all_rows: counts that are worse nowhere, too."""

    all_rows: bool = False
    json_path: str | None = None
    markdown_path: str | None = None

    @property
    def takes_stdout(self) -> bool:
        """Whether stdout is a document."""
        return "-" in (self.json_path, self.markdown_path)


def refuse_of_fleet(folder: Path, given: Mapping[str, object]) -> None:
    """Raises UsageError for an option, by name, that is of one host's result and was given."""
    for option in (name for name, value in given.items() if value):
        raise UsageError(f"{folder}: {option} is of one host: take {folder / 'hosts'}/HOST")


def gate_of_fleet(folder: Path, outputs: FleetOutputs) -> int:
    """Judges a fleet's gate over its hosts and shows it; returns the exit code."""
    from allocphase.fleet import gate_fleet, read_files

    files = read_files(folder)
    if files.fleet.kind != "gate":
        raise UsageError(f"{folder}: is a fleet's run: `allocphase compare` shows it")
    verdict = gate_fleet(files)
    _show(verdict, outputs)
    return verdict.exit_code


def compare_of_fleet(folder: Path, settings: CompareSettings, outputs: FleetOutputs) -> None:
    """The same of a fleet's run; to compare is not to gate, so there is no exit code."""
    from allocphase.fleet import compare_fleet, read_files

    files = read_files(folder)
    if files.fleet.kind != "run":
        raise UsageError(f"{folder}: is a fleet's gate: `allocphase gate --again` shows it")
    _show(compare_fleet(files, settings), outputs)


def _show(verdict: FleetVerdict, outputs: FleetOutputs) -> None:
    """Prints it, unless stdout is a document, and writes what was asked for."""
    from allocphase.fleet.render.console import print_fleet
    from allocphase.fleet.render.export import document, markdown

    if not outputs.takes_stdout:
        print_fleet(verdict, everything=outputs.all_rows)
    if outputs.json_path:
        write_json(document(verdict), outputs.json_path)
    if outputs.markdown_path:
        write_text(markdown(verdict), outputs.markdown_path)

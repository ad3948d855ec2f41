"""The formats of `allocphase export`, one list of them: what help, command and docs go by.

To add one: a line here, a module of its name (dashes are underscores) with

    def write(runs: Sequence[Run], choice: Choice) -> Exported

and a row in docs/formats.md. Nothing heavy is imported before one is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from allocphase.errors import UsageError, unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allocphase.analysis.frames import Run
    from allocphase.export.exported import Choice, Exported

__all__ = ["FORMATS", "Format", "format_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One of them. title: who reads it. several: it takes more runs than one, ordered by time.
    of_cell: it is of one cell; of_kind: and of the calls of one kind. binary: no text.
    extra: what pip installs it with, "" of those that need nothing.
    """

    name: str
    title: str
    several: bool = False
    of_cell: bool = False
    of_kind: bool = False
    extra: str = ""
    binary: bool = False

    @property
    def module(self) -> str:
        """The module that writes it."""
        return f"allocphase.export.{self.name.replace('-', '_')}"

    def write(self, runs: Sequence[Run], choice: Choice) -> Exported:
        """The file. Raises UsageError for what the format cannot have, or lacks."""
        found: Exported = import_module(self.module).write(runs, choice)
        return found


FORMATS = (
    Format(name="csv", title="a row a process and metric: spreadsheets, R", several=True),
    Format(name="go", title="Go's benchmark format: benchstat"),
    Format(name="google-benchmark", title="Google Benchmark's JSON: compare.py"),
    Format(name="hgrm", title="HdrHistogram's percentiles: plotters", of_cell=True, of_kind=True),
    Format(name="hlog", title="HdrHistogram's log of histograms"),
    Format(name="bencher", title="Bencher Metric Format: bencher.dev"),
    Format(name="github-action-benchmark", title="a trend page on GitHub Pages"),
    Format(name="perfetto", title="the timeline of ui.perfetto.dev", of_cell=True, binary=True),
    Format(name="openmetrics", title="Prometheus and its text-file collectors"),
    Format(name="otava", title="Apache Otava's CSV: a row a run", several=True),
    Format(name="otava-config", title="the otava.yaml that goes with it", several=True),
    Format(
        name="parquet",
        title="the rows of csv: DuckDB, notebooks",
        several=True,
        binary=True,
        extra="allocphase[parquet]",
    ),
)


def format_of(name: str) -> Format:
    """The one of that name. Raises UsageError."""
    found = next((one for one in FORMATS if one.name == name), None)
    if found is None:
        raise UsageError(unknown("format", name, [one.name for one in FORMATS]))
    return found

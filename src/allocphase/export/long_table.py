"""The long table that csv and parquet write: a row a process and metric."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from allocphase.analysis.frames import Run
from allocphase.analysis.metric_names import measure
from allocphase.analysis.metrics import flatten
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.errors import UsageError
from allocphase.export.figures import finite

__all__ = ["COLUMNS", "LongRow", "long_rows"]

COLUMNS = (
    "run",
    "started",
    "scenario",
    "scenario_sha256",
    "allocator",
    "probe",
    "process",
    "round",
    "repeat",
    "status",
    "message",
    "metric",
    "unit",
    "value",
)
LongRow = tuple[
    str, str, str, str, str, str, int, int, int, str, str, str | None, str | None, float | None
]


def long_rows(run: Run) -> Iterator[LongRow]:
    """In the order of the journal, the floor's processes among them. Metrics by the names of
    `--json`, with dots for levels; what a process has no number for has no row.
    """
    read = ProcessMetrics(run.files)
    digests = {entry.name: entry.digest for entry in run.manifest.scenarios}
    for record in run.records:
        row = (
            run.manifest.label,
            run.manifest.started,
            record.scenario,
            digests.get(record.scenario, ""),
            record.allocator,
            record.probe.value,
            record.id,
            record.round,
            record.repeat,
            record.status.value,
            record.message,
        )
        if not record.ok:
            yield (*row, None, None, None)
            continue
        for name, stored in flatten(read.of(record)).items():
            value = finite(stored)
            if value is not None:
                yield (*row, name, _unit(name), value)


@cache
def _unit(path: str) -> str:
    """Of a metric of the catalogue; "" of what stands beside one, such as `samples`."""
    try:
        return measure(path).unit
    except UsageError:
        return ""

"""CSV for Apache Otava: a row a run, ordered by time, a column a cell and metric.

    time,run,label,random-churn/libc time,random-churn/libc peak_rss,...

`--to otava-config` of the same runs is the file that names these columns to it. Otava reads no
holes: a column stands only where every run has a figure, of the same operations, on a machine whose
facts that move the metric are those of the newest run. What does not is told.

Format: apache/otava, docs/CSV.md and otava/importer.py.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from allocphase.analysis.comparable import holds
from allocphase.analysis.frames import Run
from allocphase.analysis.measures import Measure
from allocphase.errors import UsageError
from allocphase.export.exported import Choice, Exported
from allocphase.export.figures import figures_of, lost_cells, number_text
from allocphase.machine.fingerprint import differences, machine_facts
from allocphase.text.times import in_utc
from allocphase.text.units import counted

__all__ = ["ATTRIBUTES", "TIME", "History", "history_of", "write"]

TIME = "time"
ATTRIBUTES = ("run", "label")


@dataclass(frozen=True, slots=True)
class History:
    """Columns by name, with a value of each row in base units. rows: (time, run, label), in order.
    notes: what is not in it.
    """

    rows: Sequence[tuple[str, str, str]]
    columns: Mapping[str, Sequence[float]]
    notes: tuple[str, ...]


def write(runs: Sequence[Run], _: Choice) -> Exported:
    """Of as many runs as are given."""
    history = history_of(runs)
    file = io.StringIO(newline="")
    table = csv.writer(file, lineterminator="\n")
    table.writerow([TIME, *ATTRIBUTES, *history.columns])
    for row, *values in zip(history.rows, *history.columns.values(), strict=True):
        table.writerow([*row, *map(number_text, values)])
    return Exported.of_text(file.getvalue(), history.notes)


def history_of(runs: Sequence[Run]) -> History:
    """Of runs in any order. Raises UsageError where one does not say when it was."""
    ordered = sorted(runs, key=_started)
    found = [_values(run) for run in ordered]
    names = dict.fromkeys(name for values in found for name in values)
    whole = {
        name: [values[name] for values in found]
        for name in names
        if all(name in values for values in found)
    }
    ours = {name: held for name, held in whole.items() if _is_one_series(ordered, held)}
    return History(
        rows=[(_text(_started(run)), run.path.name, run.manifest.label) for run in ordered],
        columns={name: [one.value for one in held] for name, held in ours.items()},
        notes=tuple(_notes(ordered, len(names), len(whole), len(ours))),
    )


@dataclass(frozen=True, slots=True)
class _Value:
    measure: Measure
    scenario: str
    value: float


def _values(run: Run) -> dict[str, _Value]:
    return {
        f"{cell.scenario}/{cell.allocator} {one.measure.name}": _Value(
            one.measure, cell.scenario, one.value
        )
        for cell in run.cell_list
        for one in figures_of(cell)
    }


def _is_one_series(runs: Sequence[Run], held: Sequence[_Value]) -> bool:
    one = held[-1]
    digests = {_digest(run, one.scenario) for run in runs}
    return len(digests) == 1 and all(
        holds(one.measure, differences(_facts(run), _facts(runs[-1]))) for run in runs
    )


def _digest(run: Run, scenario: str) -> tuple[str, int]:
    return next(
        (entry.digest, entry.work_ns) for entry in run.manifest.scenarios if entry.name == scenario
    )


def _facts(run: Run) -> dict[str, object]:
    return machine_facts(run.manifest.environment, driver=run.manifest.driver_sha256)


def _notes(runs: Sequence[Run], named: int, whole: int, ours: int) -> Iterator[str]:
    for run in runs:
        yield from (f"{run.path.name}: {line}" for line in lost_cells(run))
    if whole < named:
        yield f"{counted(named - whole, 'series')} that some run has no figure of"
    if ours < whole:
        yield (
            f"{counted(whole - ours, 'series')} whose scenario, or whose machine in what moves the "
            f"figure, is another one in some run than in {runs[-1].path.name}"
        )


def _started(run: Run) -> datetime:
    try:
        return in_utc(run.manifest.started, zone=UTC)
    except ValueError:
        raise UsageError(f"{run.path / 'run.json'}: started: no date and time") from None


def _text(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="seconds")

"""OpenMetrics text, which Prometheus and its text-file collectors read: a gauge a metric.

In seconds and bytes, as the format asks. Without timestamps: a collector has its own, and what
was measured before is overwritten. So it shows what holds now, and is no history.

Format: prometheus/OpenMetrics, specification 1.0. Types are those that the older text format has
too, since node_exporter parses that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from allocphase.analysis.cell import Cell
from allocphase.analysis.frames import Run
from allocphase.analysis.measures import Measure
from allocphase.export.exported import Choice, Exported
from allocphase.export.figures import TOLD, figures_of, lost_cells, number_text

__all__ = ["write"]

_SECONDS_PER_NS = 1e-9


def write(runs: Sequence[Run], _: Choice) -> Exported:
    """Of one run."""
    (run,) = runs
    lines = [*_run(run), *_cells(run), *_metrics(run.cell_list), "# EOF"]
    return Exported.of_text("\n".join(lines) + "\n", lost_cells(run))


def _run(run: Run) -> Iterator[str]:
    yield "# TYPE allocphase_run gauge"
    yield "# HELP allocphase_run The run that the figures are of; its value says nothing."
    labels = {
        "label": run.manifest.label,
        "started": run.manifest.started,
        "cpu": str(run.manifest.environment.get("cpu")),
    }
    yield f"allocphase_run{_labels(labels)} 1"


def _cells(run: Run) -> Iterator[str]:
    yield "# TYPE allocphase_cell_good gauge"
    yield "# HELP allocphase_cell_good Whether all processes of a cell ended well, and its status."
    for cell in run.cell_list:
        labels = {**_of(cell), "status": cell.status.value}
        yield f"allocphase_cell_good{_labels(labels)} {int(cell.ok)}"


def _metrics(cells: Sequence[Cell]) -> Iterator[str]:
    values = [(cell, {f.measure.name: f.value for f in figures_of(cell, TOLD)}) for cell in cells]
    for one in TOLD:
        samples = [(cell, found[one.name]) for cell, found in values if one.name in found]
        if samples:
            name, unit = _name(one)
            yield f"# TYPE {name} gauge"
            if unit:
                yield f"# UNIT {name} {unit}"
            yield f"# HELP {name} {_escaped(one.title)}."
            scale = _SECONDS_PER_NS if unit == "seconds" else 1.0
            for cell, value in samples:
                yield f"{name}{_labels(_of(cell))} {number_text(value * scale)}"


def _name(one: Measure) -> tuple[str, str]:
    """And its unit, which has to end it."""
    units = {"ns": "seconds", "bytes": "bytes"}
    unit = units.get(one.unit, "")
    base = one.path.replace(".", "_").removesuffix("_ns").removesuffix("_bytes")
    return f"allocphase_{base}{f'_{unit}' if unit else ''}".replace("_ns_", "_"), unit


def _of(cell: Cell) -> dict[str, str]:
    return {"scenario": cell.scenario, "allocator": cell.allocator}


def _labels(values: dict[str, str]) -> str:
    inner = ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())
    return f"{{{inner}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

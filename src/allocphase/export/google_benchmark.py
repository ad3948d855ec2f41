"""Google Benchmark's JSON, as `--benchmark_out` writes it: a repetition a round.

`compare.py benchmarks OLD NEW` takes entries of one name as repetitions, and wants of each
real_time, cpu_time and time_unit. A replay's CPU time is not measured: real_time stands in its
place, and the context says so. Counters are the tails of the same round, and the cell's counts and
bytes, the same in each repetition. A cell without a time has no entry: its line is in the context.

Format: google/benchmark, src/json_reporter.cc and tools/gbench.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from allocphase.analysis.cell import Cell
from allocphase.analysis.frames import Run
from allocphase.analysis.measures import MEASURES
from allocphase.export.exported import Choice, Exported, json_text
from allocphase.export.figures import COMPARED, figures_of, lost_cells, process_figures

__all__ = ["write"]

_QUANTILES = tuple(one for one in COMPARED if one.path.startswith("process_latency_ns."))
_PROGRAM = (MEASURES["wall"], MEASURES["cpu"])
_COUNTS = tuple(one for one in COMPARED if not one.timed)
_REPLAYS_CPU_TIME = "of replays not measured: real_time stands there too"

# Figures by name of the metric, of each round of each cell.
_Rounds = Mapping[tuple[str, str], Mapping[int, Mapping[str, float]]]


def write(runs: Sequence[Run], _: Choice) -> Exported:
    """Of one run."""
    (run,) = runs
    lost = lost_cells(run)
    rounds = _by_round(run)
    timed = [cell for cell in run.cell_list if (cell.allocator, cell.scenario) in rounds]
    entries = [
        entry
        for index, cell in enumerate(timed)
        for entry in _repetitions(run, cell, rounds[cell.allocator, cell.scenario], index)
    ]
    untimed = [f"without a time: {cell.allocator} on {cell.scenario}" for cell in run.cell_list
               if cell.ok and cell not in timed]  # fmt: skip
    document = {"context": _context(run, [*lost, *untimed]), "benchmarks": entries}
    return Exported.of_text(json_text(document), [*lost, *untimed])


def _by_round(run: Run) -> _Rounds:
    found: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
    measures = (MEASURES["time"], *_PROGRAM, *_QUANTILES)
    for record, figures in process_figures(run, measures):
        cell = found.setdefault((record.allocator, record.scenario), {})
        cell.setdefault(record.round, {}).update(figures)
    timed = {
        key: {number: one for number, one in rounds.items() if one.keys() & {"time", "wall"}}
        for key, rounds in found.items()
    }
    return {key: rounds for key, rounds in timed.items() if rounds}


def _context(run: Run, lost: Sequence[str]) -> dict[str, Any]:
    environment = run.manifest.environment
    cpus = environment.get("cpus")
    known = {"num_cpus": cpus} if isinstance(cpus, int) else {}
    return {
        "date": run.manifest.started,
        "executable": "allocphase",
        **known,
        "caches": [],
        "load_avg": [],
        "library_build_type": "release",
        "json_schema_version": 1,
        "allocphase_label": run.manifest.label,
        "allocphase_cpu": str(environment.get("cpu")),
        "allocphase_cpu_time": _REPLAYS_CPU_TIME,
        "allocphase_left_out": "\n".join(lost),
    }


def _repetitions(
    run: Run, cell: Cell, rounds: Mapping[int, Mapping[str, float]], index: int
) -> Iterator[dict[str, Any]]:
    name = f"{cell.scenario}/{cell.allocator}"
    counts = {
        f"{one.measure.name}_{one.measure.unit}": one.value for one in figures_of(cell, _COUNTS)
    }
    entry = next(one for one in run.manifest.scenarios if one.name == cell.scenario)
    for repetition, number in enumerate(sorted(rounds)):
        figures = rounds[number]
        real = figures.get("time", figures.get("wall", np.nan))
        yield {
            "name": name,
            "family_index": index,
            "per_family_instance_index": 0,
            "run_name": name,
            "run_type": "iteration",
            "repetitions": len(rounds),
            "repetition_index": repetition,
            "threads": max(entry.threads, 1),
            "iterations": max(entry.operations, 1),
            "real_time": real,
            "cpu_time": figures.get("cpu", real),
            "time_unit": "ns",
            **{f"{one.name}_ns": figures[one.name] for one in _QUANTILES if one.name in figures},
            **counts,
        }

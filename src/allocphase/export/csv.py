"""CSV: a row a process and metric, in base units: what any statistics can be made of.

    run, started, scenario, scenario_sha256, allocator, probe, process, round, repeat, status,
    message, metric, unit, value

A process that did not end well has one row, without metric, unit and value. Figures that take more
than one process (intervals, causes, what is saved) are those of `--json` and results.csv.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from allocphase.analysis.frames import Run
from allocphase.export.exported import Choice, Exported
from allocphase.export.long_table import COLUMNS, long_rows

__all__ = ["write"]


def write(runs: Sequence[Run], _: Choice) -> Exported:
    """Of as many runs as are given: `run` and `started` tell them apart."""
    file = io.StringIO(newline="")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows(row for run in runs for row in long_rows(run))
    return Exported.of_text(file.getvalue())

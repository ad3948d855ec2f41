"""What tells Otava of the columns that `--to otava` writes of the same runs: its otava.yaml.

It is JSON, which YAML has within it. The table is looked for beside it as allocphase.csv.
"""

from __future__ import annotations

from collections.abc import Sequence

from allocphase.analysis.frames import Run
from allocphase.export.exported import Choice, Exported, json_text
from allocphase.export.otava import ATTRIBUTES, TIME, history_of

__all__ = ["write"]

_LOWER_IS_BETTER = -1


def write(runs: Sequence[Run], _: Choice) -> Exported:
    """Of as many runs as are given."""
    history = history_of(runs)
    test = {
        "type": "csv",
        "file": "allocphase.csv",
        "time_column": TIME,
        "attributes": list(ATTRIBUTES),
        "metrics": {
            name: {"column": name, "direction": _LOWER_IS_BETTER, "scale": 1}
            for name in history.columns
        },
    }
    return Exported.of_text(json_text({"tests": {"allocphase": test}}), history.notes)

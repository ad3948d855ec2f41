"""Saved baselines: what one allocator cost on one machine, small enough to keep in a repository.

Of each metric there is one number a process. It holds where the facts of the machine that the
metric depends on are the same (analysis.measures, machine.fingerprint). The digest of the
allocator's own object is kept as well: it says what was measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np

from allocphase.analysis.comparable import Replayed, refuse_changed_scenarios
from allocphase.analysis.measures import MEASURES, Measure
from allocphase.analysis.metric_names import compared
from allocphase.errors import NothingMeasuredError, UsageError, unknown
from allocphase.files.durable import named_errors, require_writable, write_text
from allocphase.files.typed import Amount, at_most, length, load_json, plain
from allocphase.judge import ArmEntry, Evidence
from allocphase.judge.rows import call_measures
from allocphase.judge.verdict import MetricName
from allocphase.operation import MAX_WORK_NS

__all__ = [
    "Baseline",
    "SavedScenario",
    "list_baselines",
    "load_baseline",
    "require_place",
    "save_baseline",
    "saved_values",
]

SCHEMA = 2
_REMEDY = "save it again with `allocphase baseline save`"
_NAME = re.compile(r"[\w.+-]+")

Values = Mapping[MetricName, Annotated[tuple[Amount, ...], length(least=1)]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedScenario:
    """`digest` of the trace, `work_ns` as in run.json; `values`: by metric, one number a process,
    in base units.
    """

    digest: str
    work_ns: Annotated[int, at_most(MAX_WORK_NS)]
    values: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """One saved baseline. saved: ISO 8601; fingerprint: facts of the machine by name."""

    name: str
    saved: str
    allocator: ArmEntry
    fingerprint: Mapping[str, object]
    scenarios: Mapping[str, SavedScenario]

    @property
    def values(self) -> dict[tuple[str, str], tuple[float, ...]]:
        """The values by (metric, scenario), as `gate.Evidence` takes them."""
        return {
            (metric, name): values
            for name, entry in self.scenarios.items()
            for metric, values in entry.values.items()
        }

    @property
    def rounds(self) -> int:
        """How many processes each time rests on; 0 when no time was saved."""
        times = [entry.values.get("time", ()) for entry in self.scenarios.values()]
        return min((len(values) for values in times), default=0)

    def check_scenarios(self, now: Mapping[str, Replayed]) -> None:
        """Raises where a scenario changed since (exit code 4), or was never saved (5)."""
        missing = sorted(set(now) - set(self.scenarios))
        if missing:
            names = ", ".join(missing)
            raise NothingMeasuredError(f"baseline {self.name!r} has no figures of {names}")
        before = {
            name: Replayed(entry.digest, entry.work_ns) for name, entry in self.scenarios.items()
        }
        refuse_changed_scenarios(before, now)


def saved_values(evidence: Evidence, scenario: str) -> dict[str, tuple[float, ...]]:
    """What a session measured of the candidate arm, by metric; metrics without values left out."""
    named = [*call_measures(evidence, scenario), *map(compared, evidence.kinds(scenario))]
    found = {one.name: _present(evidence, one, scenario) for one in (*MEASURES.values(), *named)}
    return {name: values for name, values in found.items() if values}


def _present(evidence: Evidence, one: Measure, scenario: str) -> tuple[float, ...]:
    values = evidence.values(one, scenario).candidate
    return tuple(values[np.isfinite(values)].tolist())


def require_place(name: str, folder: Path) -> None:
    """Raises UsageError where `save_baseline` could not write it; makes the folder."""
    _check_name(name)
    with named_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    require_writable(folder / f"{name}.json")


def save_baseline(baseline: Baseline, folder: Path) -> Path:
    """Writes `<folder>/<name>.json` whole or not at all. Raises AllocphaseError."""
    _check_name(baseline.name)
    document = {"schema": SCHEMA, **plain(baseline)}
    path = folder / f"{baseline.name}.json"
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    with named_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path


def load_baseline(name: str, folder: Path) -> Baseline:
    """Raises NothingMeasuredError when there is none of that name, DataError for a broken file."""
    _check_name(name)
    path = folder / f"{name}.json"
    try:
        return load_json(Baseline, path, schema=SCHEMA, remedy=_REMEDY)
    except FileNotFoundError:
        raise NothingMeasuredError(_missing(name, folder)) from None


def list_baselines(folder: Path) -> list[Baseline]:
    """Every saved baseline, by name. Raises DataError for a broken file."""
    return [load_baseline(path.stem, folder) for path in sorted(folder.glob("*.json"))]


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name.startswith("."):
        raise UsageError(f"baseline {name!r}: a name has letters, digits, and . _ + - only")


def _missing(name: str, folder: Path) -> str:
    known = [path.stem for path in folder.glob("*.json")]
    if known:
        return unknown("baseline", name, known)
    return f"baseline {name!r} does not exist: {folder} holds none; `allocphase baseline save`"

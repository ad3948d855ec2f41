"""Where and how a run was made, as the page tells it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from allocphase.analysis.frames import Run
from allocphase.machine.fingerprint import fact_text
from allocphase.store.manifest import AllocatorEntry
from allocphase.text.units import format_bytes

__all__ = ["allocators", "commands", "machines"]

Values = dict[str, Any]


def machines(runs: Sequence[Run]) -> Values:
    """A row a fact, a column a run; rows in which two runs differ are marked."""
    tables = [_facts(run) for run in runs]
    names = list(dict.fromkeys(name for table in tables for name in table))
    rows = []
    for name in names:
        values = [table.get(name, "-") for table in tables]
        rows.append({"name": name, "values": values, "differs": len(set(values)) > 1})
    return {"runs": [f"{run.manifest.label}, {run.manifest.started}" for run in runs],
            "rows": rows}  # fmt: skip


def _facts(run: Run) -> dict[str, str]:
    facts = dict(run.manifest.environment)
    tuning = facts.pop("tuning", None)
    memory_bytes = facts.get("memory_bytes")
    if isinstance(memory_bytes, int):
        del facts["memory_bytes"]
        facts["memory"] = format_bytes(memory_bytes)
    shown = {name.replace("_", " "): fact_text(value) for name, value in facts.items()}
    shown["driver sha256"] = run.manifest.driver_sha256
    if isinstance(tuning, Mapping):
        shown |= {str(name): str(value) for name, value in tuning.items()}
    return shown


def commands(runs: Sequence[Run]) -> list[Values]:
    """The exact command of each run, quoted for a shell, and the seed that it drew."""
    return [
        {"text": shlex.join(run.manifest.command), "seed": run.manifest.plan.seed} for run in runs
    ]


def allocators(runs: Sequence[Run]) -> list[Values]:
    """What each allocator is; one that two runs have alike is said once."""
    entries: list[Values] = []
    for run in runs:
        for entry in map(_allocator, run.manifest.allocators):
            if entry not in entries:
                entries.append(entry)
    return entries


def _allocator(entry: AllocatorEntry) -> Values:
    return {
        "name": entry.name,
        "summary": entry.summary,
        "path": entry.path or "",
        "sha256": entry.sha256 or "",
        "settings": ", ".join(
            f"{key}={value}"
            for table in (entry.config, entry.environment)
            for key, value in table.items()
        ),
    }

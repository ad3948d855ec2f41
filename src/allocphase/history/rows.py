"""From rows of the tables to what they say, and marks where a series follows another one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from allocphase.history.model import CommitEntry, RunEntry, SeriesEntry, SeriesKey
from allocphase.machine.fingerprint import differences

__all__ = ["as_text", "facts_digest", "marked", "run_entry", "series_entry"]


def facts_digest(facts: Mapping[str, object]) -> str:
    """Of the facts that a metric depends on: 16 hexadecimal digits."""
    return sha256(as_text(facts).encode("utf-8")).hexdigest()[:16]


def as_text(value: Mapping[str, object]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def run_entry(row: Sequence[Any]) -> RunEntry:
    """Of the view told_runs."""
    number, path, arm, label, branch, started, commit_hash, subject, time, ancestors = row
    return RunEntry(
        id=number,
        path=path,
        arm=arm,
        label=label,
        branch=branch,
        started=started,
        commit=None if commit_hash is None else CommitEntry(commit_hash, subject, time, ancestors),
    )


def series_entry(row: Sequence[Any]) -> SeriesEntry:
    number, facts_of_it, scenario, digest, allocator, metric, unit, began, facts = row
    return SeriesEntry(
        id=number,
        key=SeriesKey(
            facts_digest=facts_of_it,
            scenario=scenario,
            digest=digest,
            allocator=allocator,
            metric=metric,
        ),
        unit=unit,
        began=began,
        facts=json.loads(facts),
    )


def marked(entries: Sequence[SeriesEntry]) -> list[SeriesEntry]:
    """With why each began, where the one before has the same name."""
    found: list[SeriesEntry] = []
    for entry in entries:
        before = found[-1] if found and found[-1].key.name == entry.key.name else None
        found.append(entry if before is None else _after(before, entry))
    return found


def _after(before: SeriesEntry, entry: SeriesEntry) -> SeriesEntry:
    reasons = list(differences(before.facts, entry.facts).values())
    if before.key.digest != entry.key.digest:
        reasons.insert(0, "the scenario does something else now")
    return SeriesEntry(
        id=entry.id,
        key=entry.key,
        unit=entry.unit,
        began=entry.began,
        facts=entry.facts,
        previous=before.id,
        mark="; ".join(reasons),
    )

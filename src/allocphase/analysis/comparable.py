"""When two measurements may not be compared, and the words and errors that say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from allocphase.analysis.measures import Measure
from allocphase.errors import AllocphaseError

__all__ = [
    "Replayed",
    "ScenarioChangedError",
    "holds",
    "not_holding",
    "refuse_changed_scenarios",
]


def holds(one: Measure, differing: Mapping[str, str]) -> bool:
    """Whether its figures mean the same on two machines. differing: lines by fact, as by
    machine.fingerprint.differences.
    """
    return not any(fact in differing for fact in one.facts)


def not_holding(measures: Iterable[Measure], differing: Mapping[str, str]) -> list[str]:
    """For each fact that moves one of them, how it differs and what does not hold therefore:
    "cpus: 1 then, 2 now: syscalls, peak_rss do not hold here".
    """
    chosen, lines = list(measures), []
    for fact, line in differing.items():
        names = dict.fromkeys(one.name for one in chosen if fact in one.facts)
        if names:
            do = "do" if len(names) > 1 else "does"
            lines.append(f"{line}: {', '.join(names)} {do} not hold here")
    return lines


class ScenarioChangedError(AllocphaseError):
    """One name, two different traces: whatever was compared would mean nothing. Exit code 4."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Replayed:
    """What is replayed of a scenario: the digest of its trace is of its work between calls too."""

    digest: str
    work_ns: int


def refuse_changed_scenarios(before: Mapping[str, Replayed], after: Mapping[str, Replayed]) -> None:
    """Raises ScenarioChangedError for scenarios of one name and different digests.

    before, after: by scenario name.
    """
    changed = sorted(name for name, found in after.items() if before.get(name, found) != found)
    if changed:
        reasons = (f"{one}: changed since: {_change(before[one], after[one])}" for one in changed)
        raise ScenarioChangedError(
            f"{'; '.join(reasons)}; so figures of before and after cannot be compared: measure "
            "both sides again"
        )


def _change(then: Replayed, now: Replayed) -> str:
    if then.work_ns != now.work_ns:
        return f"work_ns is {now.work_ns} now, and was {then.work_ns}"
    return "its operations are others now"

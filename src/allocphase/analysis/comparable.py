"""When two measurements may not be compared, and the words and errors that say so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from allocphase.analysis.measures import Measure
from allocphase.errors import AllocphaseError

__all__ = ["ScenarioChangedError", "holds", "not_holding", "refuse_changed_scenarios"]


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


def refuse_changed_scenarios(before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Raises ScenarioChangedError for scenarios of one name and different digests.

    before, after: digest of the trace by scenario name.
    """
    changed = sorted(name for name, digest in after.items() if before.get(name, digest) != digest)
    if changed:
        names = ", ".join(changed)
        raise ScenarioChangedError(
            f"{names}: changed since: its operations are others now, so figures of before and "
            "after cannot be compared; measure both sides again"
        )

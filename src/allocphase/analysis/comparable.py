"""When two measurements may not be compared, and the errors that say so."""

from __future__ import annotations

from collections.abc import Mapping

from allocphase.errors import AllocphaseError

__all__ = ["ScenarioChangedError", "refuse_changed_scenarios"]


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

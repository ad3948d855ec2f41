"""From what the user named, or did not, to allocators, scenarios and the cells of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from allocphase import allocator, scenario
from allocphase.allocator import Allocator
from allocphase.driver import Probe
from allocphase.errors import UsageError
from allocphase.scenario import Scenario
from allocphase.sweep import parse_sweep

__all__ = ["chosen_allocators", "chosen_scenarios", "default_cells"]


def chosen_allocators(specs: Sequence[str], *, say: Callable[[str], None]) -> list[Allocator]:
    """What was named, or all that is installed; what is missing is said and left out.

    Raises UsageError for what was named and is missing, unknown or named twice.
    """
    if specs:
        named = [found for spec in specs for found in allocator.resolve(spec)]
        for found in named:
            if found.missing:
                raise UsageError(f"allocator {found.name}: {found.missing}")
        _refuse_twins("allocator", [found.name for found in named])
        return named
    everything = allocator.collection().values()
    for found in everything:
        if found.missing:
            say(f"{found.name}: {found.missing}")
    return [found for found in everything if not found.missing]


def chosen_scenarios(specs: Sequence[str], *, sweep: str | None = None) -> list[Scenario]:
    """What was named, or the default set; each at every value of a sweep. Raises UsageError."""
    found = [chosen for spec in specs or ["default"] for chosen in scenario.resolve(spec)]
    if sweep is not None:
        key, values = parse_sweep(sweep)
        found = [chosen.with_parameters({key: value}) for chosen in found for value in values]
    _refuse_twins("scenario", [chosen.name for chosen in found])
    return found


def default_cells(
    allocators: Sequence[Allocator], scenarios: Sequence[Scenario]
) -> frozenset[tuple[str, str, str]]:
    """Where nobody was named, a very slow allocator stays out of the long scenarios."""
    return frozenset(
        (found.name, chosen.name, probe.value)
        for found in allocators
        for chosen in scenarios
        for probe in Probe
        if any(fnmatchcase(chosen.name, pattern) for pattern in found.default_scenarios)
    )


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{what} {name!r} is named twice: give the second NAME= of its own")

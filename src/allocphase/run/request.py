"""From what the user named, or did not, to allocators, scenarios and the cells of a run."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from allocphase import allocator, scenario
from allocphase.allocator import Allocator
from allocphase.errors import NothingMeasuredError, UsageError, shown
from allocphase.probe.probe import Probe
from allocphase.scenario import Scenario
from allocphase.spec import Setting

__all__ = [
    "Request",
    "chosen_allocators",
    "chosen_scenarios",
    "default_cells",
    "draw_seed",
    "parse_sweep",
    "requested",
]

QUICK_PROBES = tuple(probe for probe in Probe if probe is not Probe.VERIFY)
QUICK_ROUNDS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for. `out`: the folder that run directories go into.

    `quick`: short passes, for a first look; such a run is marked and never gated. A run that would
    pass `time_budget_s` ends after a whole round, the first at the earliest. `only`: as in Plan.
    `resumable`: the plan alone says what is run, so that it can be continued; a gate's rounds are
    chosen while it runs.
    """

    allocators: Sequence[Allocator]
    scenarios: Sequence[Scenario]
    probes: Sequence[Probe]
    rounds: int
    seed: int
    timeout_s: float
    syscall_backend: str
    out: Path
    label: str
    command: Sequence[str]
    quick: bool = False
    only: frozenset[tuple[str, str, str]] | None = None
    time_budget_s: float = math.inf
    resumable: bool = True


def requested(
    options: Mapping[str, Any], *, command: Sequence[str], say: Callable[[str], None]
) -> Request:
    """The request that the options of `allocphase run` come to, by their names there.

    Raises UsageError, and NothingMeasuredError where all that was named is the floor.
    """
    chosen = chosen_allocators(options["allocators"], say=say)
    wanted = chosen_scenarios(options["scenarios"], sweep=options["sweep"])
    if not any(found.correct for found in chosen):
        names = ", ".join(found.name for found in chosen)
        raise NothingMeasuredError(
            f"{names} is the floor, which every timed run has beside its cells, and no cell "
            "itself: name an allocator to measure, such as -a libc"
        )
    quick = options["quick"]
    probes = [Probe(name) for name in options["probes"]]
    return Request(
        allocators=chosen,
        scenarios=wanted,
        probes=probes or (QUICK_PROBES if quick else tuple(Probe)),
        rounds=QUICK_ROUNDS if quick else options["rounds"],
        quick=quick,
        time_budget_s=options["time_budget"] or math.inf,
        seed=draw_seed() if options["seed"] is None else options["seed"],
        timeout_s=options["timeout"],
        syscall_backend=options["syscall_backend"],
        out=options["out"],
        label=options["label"],
        command=command,
        only=default_cells(chosen, wanted) if _leaves_slow_cells_out(options) else None,
    )


def _leaves_slow_cells_out(options: Mapping[str, Any]) -> bool:
    """Not where an allocator was named; in a first look, not where a scenario was named too."""
    named = bool(options["allocators"])
    return not (named and options["scenarios"]) if options["quick"] else not named


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
    everything = allocator.collected().values()
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


def parse_sweep(text: str) -> tuple[str, tuple[str, ...]]:
    """`live=100,300` -> ("live", ("100", "300")). Raises UsageError."""
    where, form = f"--sweep {shown(text)}", "PARAMETER=VALUE,VALUE"
    setting = Setting.read(text, where=where, form=form)
    if len(setting.values) < 2:
        raise UsageError(f"{where}: one value is no sweep: it is written {form}")
    return setting.key, setting.values


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


def draw_seed() -> int:
    """A seed for the order of processes; it is recorded, so any order can be had again."""
    return secrets.randbelow(2**32)


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            advice = ": give the second NAME= of its own" if what == "allocator" else ""
            raise UsageError(f"{what} {name!r} is named twice{advice}")

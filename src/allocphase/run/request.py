"""From what the user named, or did not, to allocators, scenarios and the cells of a run."""

from __future__ import annotations

import math
import os
import secrets
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from allocphase import allocator, scenario
from allocphase.allocator import Allocator
from allocphase.allocator.environment import allocator_variables
from allocphase.errors import NothingMeasuredError, UsageError, shown
from allocphase.machine.simulated_caches import simulated_caches
from allocphase.probe.probe import Probe
from allocphase.scenario import AnyScenario, Program, Recorded, Traced
from allocphase.spec import Setting, Spec

__all__ = [
    "TIMEOUT_S",
    "Request",
    "RunOptions",
    "chosen_allocators",
    "chosen_scenarios",
    "draw_seed",
    "kept_variables",
    "one_allocator",
    "one_scenario",
    "one_trace",
    "parse_sweep",
    "replay_settings",
    "requested",
]

_Chosen = TypeVar("_Chosen")

USUAL_PROBES = tuple(probe for probe in Probe if probe.usual)
QUICK_PROBES = tuple(probe for probe in USUAL_PROBES if probe is not Probe.VERIFY)
QUICK_ROUNDS = 1
TIMEOUT_S = 60.0  # a process takes a few seconds


def draw_seed() -> int:
    """A seed for the order of processes; it is recorded, so any order can be had again."""
    return secrets.randbelow(2**32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be run, resolved. `out`: the folder that run directories go into.

    `timeout_s`: of each process. `command`: what run.json gives as the way to the same run.
    `quick`: short passes, for a first look; such a run is marked and never gated. A run that would
    pass `time_budget_s` ends after a whole round, the first at the earliest. `only`: as in Plan.
    `resumable`: the plan alone says what is run, so that it can be continued; a gate's rounds are
    chosen while it runs. `check_every`: operations between two looks of verify's at all live
    objects; None: none. `keep_failed`: what repeats a failed process stays in the run directory.
    `keep_profiles`: what callgrind wrote of each process of the instructions probe does.
    `kept_variables`: settings of allocators that the user's shell exports, where every process is
    to have them; else none has. `simulated_caches`: what callgrind simulates beside counting, as
    machine.simulated_caches writes them; "" for none.
    """

    allocators: Sequence[Allocator]
    scenarios: Sequence[AnyScenario]
    probes: Sequence[Probe]
    rounds: int
    out: Path
    label: str
    command: Sequence[str]
    seed: int = field(default_factory=draw_seed)
    timeout_s: float = TIMEOUT_S
    syscall_backend: str = "auto"
    quick: bool = False
    only: frozenset[tuple[str, str, str]] | None = None
    time_budget_s: float = math.inf
    resumable: bool = True
    check_every: int | None = None
    keep_failed: bool = False
    keep_profiles: bool = False
    kept_variables: Mapping[str, str] = field(default_factory=dict)
    simulated_caches: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What somebody chose of a run, by name; nothing is resolved. Empty: not chosen.

    `allocators`, `scenarios`, `sweep`, `probes`: as they are written on a command line.
    `rounds`: of a run that is not `quick`. `seed`: None for a drawn one. `cflags`: as it is written
    in a shell. `program`: of the command line. `touch`, `mode`: of all recorded scenarios.
    `cache_sim`: as machine.simulated_caches takes it. The rest as in Request.
    """

    allocators: Sequence[str]
    scenarios: Sequence[str]
    sweep: str | None
    probes: Sequence[str]
    rounds: int
    quick: bool
    time_budget_s: float
    seed: int | None
    timeout_s: float
    syscall_backend: str
    out: Path
    label: str
    program: Program | None = None
    cflags: str | None = None
    check_every: int | None = None
    keep_failed: bool = False
    keep_profiles: bool = False
    keep_allocator_environment: bool = False
    touch: str | None = None
    mode: str | None = None
    cache_sim: str | None = None


def requested(
    options: RunOptions, *, command: Sequence[str], say: Callable[[str], None]
) -> Request:
    """The request that the options come to; `say` is told what is left out.

    Raises UsageError, and NothingMeasuredError where all that was named is the floor.
    """
    chosen, unnamed = _chosen(options.allocators, cflags=_cflags(options.cflags), say=say)
    if options.cflags is not None and all(found.source is None for found in chosen):
        raise UsageError(
            "--cflags is for allocators that are compiled for the run, and there is none: name one "
            "as -a NAME=FILE.c"
        )
    wanted = chosen_scenarios(
        options.scenarios,
        program=options.program,
        sweep=options.sweep,
        replayed=replay_settings(touch=options.touch, mode=options.mode),
        say=say,
    )
    if not chosen:
        raise NothingMeasuredError("none of these allocators is installed: name one that is")
    if not any(found.correct for found in chosen):
        names = ", ".join(found.name for found in chosen)
        raise NothingMeasuredError(
            f"{names} is the floor, which every timed run has beside its cells, and no cell "
            "itself: name an allocator to measure, such as -a libc"
        )
    quick = options.quick
    probes = _probes(options, wanted)
    if options.check_every is not None and Probe.VERIFY not in probes:
        raise UsageError(
            "--check-every is for the verify probe, which is no part of this run: add -p verify"
        )
    if options.cache_sim is not None and Probe.INSTRUCTIONS not in probes:
        raise UsageError(
            "--cache-sim is for the instructions probe, which is no part of this run: add "
            "-p instructions"
        )
    if options.keep_profiles and Probe.INSTRUCTIONS not in probes:
        raise UsageError(
            "--keep-profiles is for the instructions probe, which is no part of this run: add "
            "-p instructions"
        )
    return Request(
        allocators=chosen,
        scenarios=wanted,
        probes=probes,
        rounds=QUICK_ROUNDS if quick else options.rounds,
        quick=quick,
        time_budget_s=options.time_budget_s,
        seed=draw_seed() if options.seed is None else options.seed,
        timeout_s=options.timeout_s,
        syscall_backend=options.syscall_backend,
        out=options.out,
        label=options.label,
        command=command,
        check_every=options.check_every,
        keep_failed=options.keep_failed,
        keep_profiles=options.keep_profiles,
        kept_variables=kept_variables(keep=options.keep_allocator_environment),
        simulated_caches=simulated_caches(options.cache_sim) if options.cache_sim else "",
        only=_default_cells(options, chosen, wanted, unnamed=unnamed),
    )


def kept_variables(*, keep: bool) -> dict[str, str]:
    """What a request keeps of this process's environment, where that was asked for."""
    return allocator_variables(os.environ) if keep else {}


def _probes(options: RunOptions, scenarios: Sequence[AnyScenario]) -> list[Probe]:
    """Those that were named, or the usual ones; of these what can look at the scenarios."""
    named = [Probe(name) for name in options.probes]
    kinds = {isinstance(one, Program) for one in scenarios}
    found = [
        probe
        for probe in named or (QUICK_PROBES if options.quick else USUAL_PROBES)
        if probe.of_programs in kinds
    ]
    if not found:
        what = "no program" if False in kinds else "only programs"
        raise UsageError(f"--probe {named[0].value}: there is {what} in this run")
    return found


def _cflags(text: str | None) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text or ""))
    except ValueError as error:
        raise UsageError(f"--cflags {shown(str(text))}: {error}: quote it as for a shell") from None


def _chosen(
    specs: Sequence[str], *, cflags: Sequence[str], say: Callable[[str], None]
) -> tuple[list[Allocator], frozenset[str]]:
    """The allocators under their names in the run, and the names of those that nobody named.

    Whoever writes `mine=lib.so?pool=64` has said what it is called; of several values each needs
    them in its name, and so does what has its own from the collection. Raises UsageError.
    """
    named = [
        each
        for spec in specs
        if not allocator.names_several(spec)
        for each in _named(spec, chosen_allocators([spec], say=say, cflags=cflags))
    ]
    _refuse_twins("allocator", [each.name for each in named])
    words = [spec for spec in specs or ["default"] if allocator.names_several(spec)]
    taken = {each.name for each in named}
    found = {each.name: each for word in words for each in chosen_allocators([word], say=say)}
    unnamed = {name: each for name, each in found.items() if name not in taken}
    _say_who_is_left_out(words, {*unnamed, *taken}, say)
    return [*unnamed.values(), *named], frozenset(unnamed)


def _say_who_is_left_out(
    words: Sequence[str], names: Collection[str], say: Callable[[str], None]
) -> None:
    """Of the default set: where another is in its place."""
    if "default" not in words:
        return
    left_out = [
        each.name
        for each in allocator.resolve("all")
        if each.name not in names and not each.missing
    ]
    if left_out:
        say(f"not in the default set: {', '.join(left_out)}; -a all has them")


def _named(text: str, found: list[Allocator]) -> list[Allocator]:
    spec = Spec.of_allocator(text)
    if spec.file is None or not spec.named or len(found) > 1:
        return found
    return [replace(each, name=spec.name) for each in found]


def _default_cells(
    options: RunOptions,
    allocators: Sequence[Allocator],
    scenarios: Sequence[AnyScenario],
    *,
    unnamed: frozenset[str],
) -> frozenset[tuple[str, str, str]] | None:
    """Where nobody named it, a very slow allocator stays out of the long scenarios; in a first look
    also where no scenario was named. None: all cells.
    """
    everywhere = options.quick and not options.scenarios
    spared = {each.name for each in allocators if everywhere or each.name in unnamed}
    if not spared:
        return None
    return frozenset(
        (found.name, chosen.name, probe.value)
        for found in allocators
        for chosen in scenarios
        for probe in Probe
        if found.name not in spared
        or any(fnmatchcase(chosen.name, pattern) for pattern in found.default_scenarios)
    )


def chosen_allocators(
    specs: Sequence[str], *, say: Callable[[str], None], cflags: Sequence[str] = ()
) -> list[Allocator]:
    """What was named, or the default set; of what nobody named (allocator.names_several) that
    which is missing is said and left out.

    `cflags`: for the compiler of those that are sources. Raises UsageError for what was named and
    is missing, unknown or named twice.
    """
    named = [
        found for spec in specs or ["default"] for found in allocator.resolve(spec, cflags=cflags)
    ]
    if all(allocator.names_several(spec) for spec in specs):
        for found in named:
            if found.missing:
                say(f"{found.name}: {found.missing}")
        named = [found for found in named if not found.missing]
    for found in named:
        _refuse_missing(found)
    _refuse_twins("allocator", [found.name for found in named])
    return named


def chosen_scenarios(
    specs: Sequence[str],
    *,
    program: Program | None = None,
    sweep: str | None = None,
    replayed: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[AnyScenario]:
    """What was named, or the default set; traces at every value of a sweep. `program`: one of the
    command line, which needs no other. `replayed`: settings of all recorded scenarios. `say` is
    told of programs that are not installed.

    Raises UsageError; NothingMeasuredError where none of the programs is installed, and there is
    nothing else.
    """
    named = specs or ([] if program else ["default"])
    found = [chosen for spec in named for chosen in scenario.resolve(spec)]
    if replayed:
        found = _replayed(found, replayed)
    if sweep is not None:
        key, values = parse_sweep(sweep)
        found = [one.with_parameters({key: value}) for one in found for value in values]
    found += [program] if program else []
    _refuse_twins("scenario", [chosen.name for chosen in found])
    return _installed(found, say)


def replay_settings(*, touch: str | None, mode: str | None) -> dict[str, str]:
    """What was chosen for all recorded scenarios, by the name of the setting."""
    given = {"mode": mode, "touch": touch}
    return {key: value for key, value in given.items() if value is not None}


def _replayed(found: Sequence[AnyScenario], settings: Mapping[str, str]) -> list[AnyScenario]:
    if not any(isinstance(one, Recorded) for one in found):
        raise UsageError(
            f"--{next(iter(settings))} is for recorded scenarios, and there is none: add -s "
            "FILE.trace"
        )
    return [one.with_parameters(settings) if isinstance(one, Recorded) else one for one in found]


def _installed(found: Sequence[AnyScenario], say: Callable[[str], None]) -> list[AnyScenario]:
    """Without the programs that cannot run here: that is nobody's failure."""
    missing = {one.name: one.missing for one in found if isinstance(one, Program) and one.missing}
    for name, reason in missing.items():
        say(f"{name}: {reason}")
    if len(missing) == len(found):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise NothingMeasuredError(f"nothing to measure: {reasons}")
    return [one for one in found if one.name not in missing]


def one_allocator(spec: str, *, reason: str) -> Allocator:
    """The allocator that `spec` names, installed. `reason`: why it has to be one.

    Raises UsageError where it is none, or several.
    """
    chosen = _only("allocator", spec, allocator.resolve(spec), reason)
    _refuse_missing(chosen)
    return chosen


def one_scenario(spec: str, *, reason: str) -> AnyScenario:
    """The scenario that `spec` names. `reason`: why it has to be one.

    Raises UsageError where it is none, or several.
    """
    return _only("scenario", spec, scenario.resolve(spec), reason)


def one_trace(spec: str, *, reason: str) -> Traced:
    """The same of one that has a trace. Raises UsageError."""
    found = one_scenario(spec, reason=reason)
    if isinstance(found, Program):
        raise UsageError(f"scenario {spec!r} is a program, and {reason}: name one with a trace")
    return found


def parse_sweep(text: str) -> tuple[str, tuple[str, ...]]:
    """`live=100,300` -> ("live", ("100", "300")). Raises UsageError."""
    where, form = f"--sweep {shown(text)}", "PARAMETER=VALUE,VALUE"
    setting = Setting.read(text, where=where, form=form)
    if len(setting.values) < 2:
        raise UsageError(f"{where}: one value is no sweep: it is written {form}")
    return setting.key, setting.values


def _only(what: str, spec: str, found: Sequence[_Chosen], reason: str) -> _Chosen:
    if len(found) != 1:
        raise UsageError(f"{what} {spec!r} names {len(found)}, {reason}")
    return found[0]


def _refuse_missing(found: Allocator) -> None:
    if found.missing:
        raise UsageError(f"allocator {found.name}: {found.missing}")


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            advice = ": give the second NAME= of its own" if what == "allocator" else ""
            raise UsageError(f"{what} {name!r} is named twice{advice}")

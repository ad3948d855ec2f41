"""`allocphase validate`: does the replay of a recording tell the truth about its program?"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allocphase.commands.shared import (
    command_line,
    keep_environment_option,
    measuring,
    out_option,
    program_options,
    quiet_option,
    require_targets,
    rounds_option,
    say,
    target_option,
    timeout_option,
    write_json,
)
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.operation import MODES
from allocphase.spec import Spec
from allocphase.text.units import counted

if TYPE_CHECKING:
    from allocphase.allocator import Allocator
    from allocphase.analysis.exact import Alike
    from allocphase.analysis.validation import Prediction
    from allocphase.run.request import Request
    from allocphase.scenario import AnyScenario, Program, Recorded
    from allocphase.trace.validated import Label, Validation

__all__ = ["validate"]

# What is there of them: each does something else well.
USUAL = ("libc", "jemalloc", "tcmalloc", "mimalloc3", "mimalloc")
LEAST = 4


@click.command()
@click.argument("trace", metavar="TRACE|SCENARIO")
@click.option(
    "-s",
    "--scenario",
    metavar="NAME|FILE",
    help="The scenario that is the program. Without it and --program, what the recording's "
    "own scenario file names, else the command that was recorded, here.",
)
@click.option(
    "-a",
    "--allocator",
    "allocators",
    multiple=True,
    metavar="NAME[=FILE]",
    help=f"Without it those of {', '.join(USUAL)} that are installed. The first is the baseline.",
)
@program_options
@rounds_option(default=10, most=1000)
@timeout_option
@keep_environment_option
@out_option
@quiet_option
@click.option(
    "--label", default="validate", show_default=True, help="Part of the directory's name."
)
@target_option("--json", "json_path", help="Write all differences as JSON; - is stdout.")
@click.pass_context
def validate(
    ctx: click.Context,
    /,
    trace: str,
    scenario: str | None,
    allocators: Sequence[str],
    program: Program | None,
    rounds: int,
    timeout_s: float,
    keep_allocator_environment: bool,
    out: Path,
    label: str,
    json_path: str | None,
) -> None:
    """Run a program and the replay of its recording under several allocators, in the same rounds.

    What the replay says of one allocator against another is held against what the program does. The
    answer is a label for each metric, predicted or not; it is kept beside the trace, and told
    wherever it is replayed.

    \b
    Example:
      allocphase record -o app.rec -- ./app --selftest
      allocphase trace import app.rec -o app.trace
      allocphase validate app.trace
      allocphase validate recorded-jq
    """
    from allocphase.analysis import frames
    from allocphase.analysis.validation import predictions
    from allocphase.commands.exactness import exactly_alike
    from allocphase.commands.predictions import print_alike, print_predictions
    from allocphase.files.typed import plain
    from allocphase.run.request import kept_variables
    from allocphase.run.session import run
    from allocphase.scenario import ad_hoc
    from allocphase.trace.validated import write_validation

    require_targets(ctx)
    recording = _recording(trace)
    whole = _program(recording, scenario, program)
    nothing = ad_hoc("true", name=f"{Spec.of_scenario(recording.name).name}-nothing")
    replays = _replays(recording)
    request = _request(
        _allocators(allocators),
        [whole, nothing, *replays.values()],
        rounds=rounds,
        timeout_s=timeout_s,
        out=out,
        label=label,
        kept_variables=kept_variables(keep=keep_allocator_environment),
    )
    with measuring() as (executor, progress):
        path = run(request, executor, progress=progress)
    click.echo(f"run directory: {path}", err=True)
    names = {mode: one.name for mode, one in replays.items()}
    measured = frames.load(path)
    found = predictions(measured, program=whole.name, nothing=nothing.name, replays=names)
    if not found:
        raise NothingMeasuredError("nothing was measured of both: see `allocphase report`")
    told = {one.allocator for each in found for one in each.differences}
    for one in request.allocators[1:]:
        if one.name not in told:
            say(f"{one.name}: not measured of both, and in no label", err=True)
    alike = list(exactly_alike(measured, recording, whole, nothing))
    labels = _labels(found, alike, names)
    validation = _validation(recording, whole, labels, request.allocators, rounds)
    if json_path != "-":
        print_alike(alike)
        print_predictions(found, validation)
    if json_path:
        more = {
            "exact": [plain(one, defaults=True) for one in alike],
            "predictions": [plain(one, defaults=True) for one in found],
        }
        write_json(plain(validation, defaults=True) | more, json_path)
    say(f"labels: {write_validation(Path(recording.path), validation)}", err=True)


def _recording(spec: str) -> Recorded:
    from allocphase.run.request import one_trace
    from allocphase.scenario import Recorded

    reason = "validate holds a recording against its program"
    found = one_trace(spec, reason=reason)
    if not isinstance(found, Recorded):
        raise UsageError(f"scenario {spec!r} is generated, and {reason}: name a trace")
    return found


def _program(recording: Recorded, scenario: str | None, program: Program | None) -> Program:
    from allocphase.run.request import one_scenario
    from allocphase.scenario import Program, ad_hoc
    from allocphase.trace.provenance import is_cut

    if scenario is not None and program is not None:
        raise UsageError("validate wants one of -s and --program")
    if program is not None:
        return program
    if scenario is not None:
        found = one_scenario(scenario, reason="validate holds a trace against one program")
        if not isinstance(found, Program):
            raise UsageError(f"scenario {scenario!r} has a trace of its own: name a program")
        return found
    if recording.program is not None:
        return recording.program
    said = recording.provenance
    if said is None or not said.command:
        raise UsageError(f"{recording.path}: does not say what was recorded: add --program")
    if is_cut(said.command):
        raise UsageError(f"{recording.path}: its command is too long to be kept: add --program")
    name = f"{Spec.of_scenario(recording.name).name}-program"
    return ad_hoc(shlex.join(said.command), name=name)


def _replays(recording: Recorded) -> dict[str, Recorded]:
    """By mode; of a trace without gaps there is one."""
    from allocphase.trace.stored import summary

    paced = summary(Path(recording.path)).has_gaps
    modes = [mode for mode in MODES if paced or mode != "paced"]
    return {mode: recording.with_parameters({"mode": mode}) for mode in modes}


def _allocators(specs: Sequence[str]) -> Sequence[Allocator]:
    from allocphase.run.request import chosen_allocators

    tell = partial(say, err=True)
    chosen = chosen_allocators(specs or _installed(), say=tell)
    if len(chosen) < 2:
        raise UsageError("a difference takes two allocators: name more with -a")
    if len(chosen) < LEAST:
        tell(f"{counted(len(chosen), 'allocator')}: that a trace predicts others takes more")
    return chosen


def _request(
    allocators: Sequence[Allocator], scenarios: Sequence[AnyScenario], **more: Any
) -> Request:
    """What is run: all of it in the same rounds."""
    from allocphase.probe.probe import Probe
    from allocphase.run.request import Request

    return Request(
        allocators=allocators,
        scenarios=scenarios,
        probes=[
            Probe.THROUGHPUT,
            Probe.SYSCALLS,
            Probe.MEMORY,
            Probe.PROGRAM,
            Probe.PROGRAM_MEMORY,
            Probe.PROGRAM_CALLS,
            Probe.PROGRAM_SYSCALLS,
        ],
        command=command_line(),
        **more,
    )


def _installed() -> list[str]:
    """Of the usual ones; mimalloc 2 where there is no 3."""
    from allocphase.allocator import resolve

    there = [name for name in USUAL if resolve(name)[0].missing is None]
    return [name for name in there if name != "mimalloc" or "mimalloc3" not in there]


def _labels(
    found: Sequence[Prediction], alike: Sequence[Alike], modes: Iterable[str]
) -> tuple[Label, ...]:
    """Mode after mode; what is exact is so in each."""
    from allocphase.trace.validated import Label

    labels = []
    for mode in modes:
        labels += [
            Label(metric=one.metric, mode=mode, predicted=one.off == 0, within=one.off)
            for one in alike
        ]
        labels += [
            Label(
                metric=one.metric,
                mode=one.mode,
                predicted=one.predicted,
                within=one.within,
                order=one.order,
            )
            for one in found
            if one.mode == mode
        ]
    return tuple(labels)


def _validation(
    recording: Recorded,
    whole: Program,
    labels: tuple[Label, ...],
    allocators: Sequence[Allocator],
    rounds: int,
) -> Validation:
    """What is kept beside the trace."""
    from datetime import UTC, datetime

    from allocphase.trace.stored import summary
    from allocphase.trace.validated import Validation

    return Validation(
        digest=summary(Path(recording.path)).digest,
        touch=recording.touch.name.lower(),
        program=shlex.join(whole.program.command),
        recorded=datetime.now(tz=UTC).isoformat(timespec="seconds"),
        allocators=tuple(one.name for one in allocators),
        rounds=rounds,
        labels=labels,
    )

"""`allocphase gate`: is the candidate worse than the baseline?"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from allocphase.commands.fleet_results import FleetOutputs, gate_of_fleet, refuse_of_fleet
from allocphase.commands.revisions import (
    GIT_BISECT,
    RevisionOptions,
    as_git_bisect_wants,
    revision_options,
)
from allocphase.commands.shared import (
    baseline_dir_option,
    cache_sim_option,
    command_line,
    keep_environment_option,
    measuring,
    out_option,
    program_options,
    quiet_option,
    replay_options,
    require_targets,
    say,
    scenario_option,
    share,
    target_option,
    timeout_option,
    write_json,
    write_text,
)
from allocphase.errors import UsageError, shown, unknown
from allocphase.probe.probe import Probe

if TYPE_CHECKING:
    from allocphase.analysis.measures import Measure
    from allocphase.gate import Arms, GateRequest
    from allocphase.gate.bisection import Bisection
    from allocphase.gate.repository import Commit
    from allocphase.judge import GateVerdict, Limits
    from allocphase.scenario import Program

__all__ = ["gate"]

TAILS = ("p99=10%", "p99_9=25%")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """What is gated and by which limits, as it was given; None or empty: it was not."""

    baseline: str | None
    saved: str | None
    candidate: str | None
    revisions: RevisionOptions
    scenarios: Sequence[str]
    touch: str | None
    mode: str | None
    program: Program | None
    theta: float
    memory_theta: float
    limits: Sequence[str]
    limits_file: Path | None
    tails: bool
    only_counts: bool
    cache_sim: str | None
    max_rounds: int
    time_budget_s: float | None
    inconclusive: str
    allow_machine_mismatch: bool
    seed: int | None
    timeout_s: float
    keep_allocator_environment: bool
    out: Path
    baseline_dir: Path
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """How the verdict is shown. rows: to be explained; a path "-" is stdout."""

    rows: Sequence[str]
    all_rows: bool
    json_path: str | None
    junit_path: str | None
    markdown_path: str | None

    @property
    def takes_stdout(self) -> bool:
        """Whether stdout is a document."""
        return "-" in (self.json_path, self.junit_path, self.markdown_path)


@click.command()
@click.option("--baseline", metavar="NAME[=FILE]|FOLDER", help="What it must not be worse than.")
@click.option("--saved", metavar="NAME", help="A saved baseline instead: `allocphase baseline`.")
@click.option("--candidate", metavar="NAME[=FILE]|FOLDER", help="What is judged.")
@revision_options
@scenario_option
@replay_options
@program_options
@click.option(
    "--theta",
    default="2%",
    show_default=True,
    callback=share,
    help="Slower than this is worse; exactly this is not.",
)
@click.option(
    "--memory-theta",
    default="5%",
    show_default=True,
    callback=share,
    help="The same for resident memory, and for counts that are not deterministic.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="METRIC=SHARE%|exact|off[:SCENARIO]",
    help="A limit of its own for some rows, with globs; the last that matches holds.",
)
@click.option(
    "--limits",
    "limits_file",
    metavar="FILE.toml",
    type=click.Path(path_type=Path),
    help='The same from a file: limits = ["p99=10%:larson*"]; --limit comes after it.',
)
@click.option("--tails", is_flag=True, help=f"Gate malloc's tail too: {', '.join(TAILS)}.")
@click.option(
    "--only-counts",
    is_flag=True,
    help="Gate what a busy machine cannot disturb, and no times: system calls, page faults, memory "
    "and, where there is valgrind, instructions.",
)
@cache_sim_option
@click.option(
    "--max-rounds",
    default=40,
    show_default=True,
    type=click.IntRange(1, 400),
    help="Rounds of a session at most; it stops when every row is decided.",
)
@click.option(
    "--time-budget",
    "time_budget_s",
    metavar="SECONDS",
    type=click.FloatRange(1),
    help="For both sessions. Without it 600, and on a slow machine up to twice that rather than "
    "rounds that can never decide.",
)
@click.option(
    "--inconclusive",
    default="fail",
    show_default=True,
    type=click.Choice(["fail", "pass"]),
    help="What rows do that the rounds cannot tell: exit code 4, or 0.",
)
@click.option(
    "--allow-machine-mismatch",
    is_flag=True,
    help="Show what does not hold on this machine against a saved baseline, as advice.",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of the order of processes.")
@timeout_option
@keep_environment_option
@out_option
@quiet_option
@baseline_dir_option
@click.option("--label", default="gate", show_default=True, help="Part of the directory's name.")
@click.option(
    "--again",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Show an old gate, or that of a fleet.",
)
@click.option(
    "--bisect-exit",
    is_flag=True,
    help="Exit codes for `git bisect run`: 0 good, 1 bad, 125 cannot be told, 128 broken.",
)
@click.option(
    "--explain",
    "rows",
    multiple=True,
    metavar="ROW",
    help="Say why, in sentences; of a time by which calls, of instructions in which functions.",
)
@click.option("--all-rows", is_flag=True, help="Print counts that are equal, too.")
@target_option("--json", "json_path", help="Write the verdict as JSON.")
@target_option("--junit", "junit_path", help="Write it as JUnit XML.")
@target_option("--export-markdown", "markdown_path", help="Write it as Markdown.")
@click.pass_context
def gate(
    ctx: click.Context,
    /,
    again: Path | None,
    bisect_exit: bool,
    rows: Sequence[str],
    all_rows: bool,
    json_path: str | None,
    junit_path: str | None,
    markdown_path: str | None,
    repo: Path | None,
    build: str | None,
    object_spec: str | None,
    bisect: str | None,
    **rest: Any,
) -> None:
    """Say whether a candidate is worse than a baseline; the exit code tells CI.

    Both, and a copy of the baseline, are measured side by side on this machine, in rounds, until
    every row is decided. What looks worse is measured again in a session of its own before it
    counts. Rows are named METRIC:SCENARIO.

    \b
    Exit codes: 0 not worse, 3 worse (or the candidate crashes), 4 cannot be
    told, 5 something was not measured or there is no baseline, 2 usage,
    1 the tool failed.

    \b
    Example:
      allocphase gate --baseline mine=old.so --candidate mine=new.so -s random-churn
      allocphase gate --baseline libc --candidate mimalloc --limit 'p99=10%:larson*'
      allocphase gate --again out/20261123-101500-gate --explain time:random-churn
      allocphase gate --repo . --baseline main --candidate HEAD --object {source}/mine.c
    """
    if again is not None and (again / "fleet.json").is_file():
        shown = FleetOutputs(all_rows=all_rows, json_path=json_path, markdown_path=markdown_path)
        refuse_of_fleet(again, {"--explain": rows, "--junit": junit_path})
        ctx.exit(gate_of_fleet(again, shown))
    outputs = Outputs(
        rows=rows,
        all_rows=all_rows,
        json_path=json_path,
        junit_path=junit_path,
        markdown_path=markdown_path,
    )
    if bisect and bisect_exit:
        raise UsageError("--bisect walks by itself; --bisect-exit is for `git bisect run`")
    revisions = RevisionOptions(repo=repo, build=build, object_spec=object_spec, bisect=bisect)
    options = GateOptions(revisions=revisions, **rest)
    with as_git_bisect_wants(ctx) if bisect_exit else nullcontext():
        _require_targets(ctx)
        found = _bisect(options, rows) if bisect and again is None else None
        if found is not None:
            verdict = found.verdict
        else:
            verdict = _judge(options, rows) if again is None else _read(again)
        _render(verdict, outputs, again or Path(verdict.sessions[0].path))
        if found is not None:
            _print_answer(found, outputs)
    ctx.exit(GIT_BISECT[verdict.exit_code] if bisect_exit else verdict.exit_code)


def _require_targets(ctx: click.Context) -> None:
    from allocphase.judge.render.github import require_summary

    require_targets(ctx)
    require_summary(os.environ)


def _read(folder: Path) -> GateVerdict:
    from allocphase.judge.document import read_verdict

    return read_verdict(folder)


def _judge(options: GateOptions, explained: Sequence[str]) -> GateVerdict:
    return _gated(_request(options, explained, lambda: _arms(options)))


def _bisect(options: GateOptions, explained: Sequence[str]) -> Bisection:
    from allocphase.gate.bisection import bisect, read_range

    for name in ("baseline", "candidate", "saved"):
        if getattr(options, name):
            raise UsageError(f"--bisect GOOD..BAD names the revisions: leave --{name} out")
    revisions = options.revisions.opened()
    assert revisions is not None, "--bisect without --repo is refused"
    good, bad = read_range(str(options.revisions.bisect), revisions.repository)

    def gated(commit: Commit) -> GateVerdict:
        labelled = replace(options, label=f"{options.label}-{commit.short}")
        return _gated(_request(labelled, explained, lambda: revisions.arms_of(good, commit)))

    return bisect(
        revisions.repository, good, bad, gated, say=lambda line: say(f"bisect: {line}", err=True)
    )


def _print_answer(found: Bisection, outputs: Outputs) -> None:
    from allocphase.gate.bisection_text import bisection_lines

    for line in bisection_lines(found):
        say(line, err=outputs.takes_stdout)


def _gated(request: GateRequest) -> GateVerdict:
    from allocphase.gate import run_gate

    with measuring() as (executor, progress):
        verdict = run_gate(request, executor, progress=progress)
    for session in verdict.sessions:
        click.echo(f"run directory: {session.path}", err=True)
    return verdict


def _arms(options: GateOptions) -> Arms:
    from allocphase.gate import Arms, baseline_arm, candidate_arm

    if bool(options.baseline) == bool(options.saved):
        raise UsageError("gate wants one of --baseline NAME[=FILE] and --saved NAME")
    if not options.candidate:
        raise UsageError("gate wants --candidate NAME[=FILE]")
    if revisions := options.revisions.opened():
        return revisions.arms(options.baseline, options.candidate)
    baseline = baseline_arm(options.baseline) if options.baseline else None
    return Arms(baseline, candidate_arm(options.candidate))


def _request(
    options: GateOptions, explained: Sequence[str], arms: Callable[[], Arms]
) -> GateRequest:
    """arms: made once the rest is known to be right, since to build them may take long."""
    from allocphase.gate import GateRequest
    from allocphase.gate.request import STRETCH, TIME_BUDGET_S
    from allocphase.gate.saved import against_saved
    from allocphase.machine.simulated_caches import simulated_caches
    from allocphase.run.request import (
        chosen_scenarios,
        draw_seed,
        kept_variables,
        replay_settings,
    )
    from allocphase.scenario import Recorded

    scenarios = chosen_scenarios(
        options.scenarios,
        program=options.program,
        replayed=replay_settings(touch=options.touch, mode=options.mode),
        say=partial(say, err=True),
    )
    replays = [one.replayed_text for one in scenarios if isinstance(one, Recorded)]
    of_calls = _scenarios_of_calls(explained, [one.name for one in scenarios])
    limits = _limits(options)
    request = GateRequest(
        arms=arms(),
        scenarios=scenarios,
        limits=limits,
        seed=draw_seed() if options.seed is None else options.seed,
        out=options.out,
        max_rounds=options.max_rounds,
        time_budget_s=options.time_budget_s or TIME_BUDGET_S,
        stretch=STRETCH if options.time_budget_s is None else 1.0,
        timeout_s=options.timeout_s,
        label=options.label,
        command=command_line(),
        fail_inconclusive=options.inconclusive == "fail",
        explained=of_calls,
        kept_variables=kept_variables(keep=options.keep_allocator_environment),
        simulated_caches=simulated_caches(options.cache_sim) if options.cache_sim else "",
        notes=(*options.revisions.notes(), *replays),
    )
    if not options.saved:
        return request
    allowed = options.allow_machine_mismatch
    request = replace(request, explained=frozenset())  # a saved baseline has no single calls
    return against_saved(request, options.saved, options.baseline_dir, allow_mismatch=allowed)


def _scenarios_of_calls(rows: Sequence[str], scenarios: Sequence[str]) -> frozenset[str]:
    """Of rows to be explained those that calls make up. Raises UsageError for one that no gate of
    these scenarios can have; one that this gate has not is told later.
    """
    from allocphase.analysis.metric_names import compared

    found = []
    for row in rows:
        metric, colon, scenario = row.partition(":")
        if not colon or not metric:
            example = f"such as time:{scenarios[0]}"
            raise UsageError(f"--explain {shown(row)}: is written METRIC:SCENARIO, {example}")
        try:
            one = compared(metric)
        except UsageError as error:
            raise UsageError(f"--explain {shown(row)}: {error}") from None
        if scenario not in scenarios:
            raise UsageError(f"--explain {shown(row)}: {unknown('scenario', scenario, scenarios)}")
        if _is_of_calls(one):
            found.append(scenario)
    return frozenset(found)


def _is_of_calls(one: Measure) -> bool:
    """Whether timed calls make it up; those of a program nobody has timed."""
    return one.timed and not one.probe.of_programs


def _limits(options: GateOptions) -> Limits:
    from allocphase.judge import Limits, read_limits
    from allocphase.judge.limits import parse_limit

    if options.tails and options.only_counts:
        raise UsageError("--tails are times, and --only-counts leaves times out")
    tails = TAILS if options.tails else ()
    from_file = () if options.limits_file is None else read_limits(options.limits_file)
    return Limits(
        theta=options.theta,
        memory_theta=options.memory_theta,
        lines=(*map(parse_limit, tails), *from_file, *map(parse_limit, options.limits)),
        chosen=tuple(
            parse_limit(line)
            for lines in (
                _only_counts() if options.only_counts else (),
                _simulated() if options.cache_sim else (),
            )
            for line in lines
        ),
    )


def _only_counts() -> list[str]:
    """Every count, and no time; instructions where they can be counted."""
    from allocphase.analysis.measures import MEASURES
    from allocphase.machine.valgrind import NOT_INSTALLED, find_valgrind

    times = [f"{name}=off" for name, one in MEASURES.items() if one.timed and one.rule != "off"]
    if find_valgrind() is None:
        say(f"no instructions: valgrind is {NOT_INSTALLED}", err=True)
        return times
    return [*times, "instructions=exact"]


def _simulated() -> list[str]:
    """What --cache-sim simulates, and what is counted with it."""
    from allocphase.analysis.measures import MEASURES, SIMULATED_THETA

    names = [name for name, one in MEASURES.items() if one.simulated]
    return ["instructions=exact", *(f"{name}={SIMULATED_THETA}" for name in names)]


def _render(verdict: GateVerdict, outputs: Outputs, folder: Path) -> None:
    from allocphase.judge.document import document
    from allocphase.judge.render.console import print_verdict
    from allocphase.judge.render.explain import explain
    from allocphase.judge.render.github import report_to_github
    from allocphase.judge.render.junit import junit
    from allocphase.judge.render.markdown import markdown

    takes_stdout = outputs.takes_stdout
    if not takes_stdout:
        print_verdict(verdict, everything=outputs.all_rows)
    if outputs.json_path:
        write_json(document(verdict), outputs.json_path)
    if outputs.junit_path:
        write_text(junit(verdict), outputs.junit_path)
    if outputs.markdown_path:
        write_text(markdown(verdict), outputs.markdown_path)
    for line in report_to_github(verdict, os.environ):
        click.echo(line, err=takes_stdout)
    for row in outputs.rows:  # last: a row that does not exist must not cost the files
        say(explain(verdict, row), err=takes_stdout)
        _print_calls(verdict, row, folder, sys.stderr if takes_stdout else sys.stdout)


def _print_calls(verdict: GateVerdict, row_id: str, folder: Path, stream: TextIO) -> None:
    """Of a time, which calls make it up; of instructions, which functions."""
    from allocphase.judge.calls import call_differences
    from allocphase.judge.functions import function_differences
    from allocphase.judge.render.calls import print_calls
    from allocphase.judge.render.explain import found_row
    from allocphase.judge.render.functions import print_functions

    row = found_row(verdict, row_id).row
    if row.measure.probe is Probe.INSTRUCTIONS:
        print_functions(function_differences(folder, row.scenario), row.scenario, stream)
    elif _is_of_calls(row.measure):
        print_calls(call_differences(folder, row.scenario), row.scenario, stream)

"""`allocphase tune`: which settings of an allocator are best for a workload?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    say,
    share,
    target_option,
    timeout_option,
    write_json,
)
from allocphase.errors import UsageError

if TYPE_CHECKING:
    from allocphase.scenario import AnyScenario, Program
    from allocphase.tune import TuneRequest

__all__ = ["tune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """What is searched, as it was given; None or empty: it was not."""

    allocator: str
    scenario: str | None
    program: Program | None
    minimize: str
    bounds: Sequence[str]
    theta: float
    time_budget_s: float
    max_rounds: int
    seed: int | None
    timeout_s: float
    keep_allocator_environment: bool
    out: Path
    label: str


@click.command()
@click.option(
    "-a",
    "--allocator",
    required=True,
    metavar="NAME[=FILE]|FOLDER[?KEY=VALUE,VALUE&KEY=...]",
    help="Whose settings: every combination of the values is tried. A bare NAME has those that "
    "its allocator.toml suggests.",
)
@click.option(
    "-s", "--scenario", metavar="NAME|FILE.toml[?KEY=VALUE]", help="On which scenario; one."
)
@program_options
@click.option(
    "--minimize",
    default="time",
    show_default=True,
    metavar="METRIC",
    help="What shall be least: a metric that a gate takes.",
)
@click.option(
    "--subject-to",
    "bounds",
    multiple=True,
    metavar="'METRIC<=FACTORx|VALUE'",
    help="A bound: peak_rss<=1.1x is at most 1.1 times the default's, peak_rss<=64MiB at most "
    "so much; repeat for more.",
)
@click.option(
    "--theta",
    default="2%",
    show_default=True,
    callback=share,
    help="What is better by less than this does not count.",
)
@click.option(
    "--time-budget",
    "time_budget_s",
    default=600.0,
    show_default=True,
    type=click.FloatRange(1),
    help="Seconds for the search, which has half of them, and the gate of its winner.",
)
@click.option(
    "--max-rounds",
    default=40,
    show_default=True,
    type=click.IntRange(1, 400),
    help="Rounds of a session of the gate at most.",
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Of the order of processes.")
@timeout_option
@keep_environment_option
@out_option
@quiet_option
@click.option("--label", default="tune", show_default=True, help="Part of the directories' names.")
@target_option("--json", "json_path", help="Write the answer as JSON.")
@click.pass_context
def tune(ctx: click.Context, /, json_path: str | None, **options: Any) -> None:
    """Search the settings of an allocator for the best ones for a scenario or a program.

    All settings run a few rounds beside the default, the worse half is dropped, the rounds are
    doubled, until few are left. The best of them is judged against the default by a gate, in a
    session of its own; what to set is printed only if that says that it is better.

    \b
    Exit codes: 0 a setting is better, or none is (the answer says which), 4
    cannot be told, 5 something was not measured, 2 usage, 1 the tool failed.

    \b
    Example:
      allocphase tune -a jemalloc --program './server selftest'
      allocphase tune -a 'libc?arena_max=1,2,4&tcache_count=7,64' -s larson
      allocphase tune -a mimalloc -s fleet --subject-to 'peak_rss<=1.1x'
      allocphase tune -a jemalloc -s fleet --minimize peak_rss --subject-to 'time<=1.02x'
    """
    from allocphase.tune import run_tune
    from allocphase.tune.document import document
    from allocphase.tune.text import print_tuning

    require_targets(ctx)
    request = _request(TuneOptions(**options))
    with measuring() as (executor, progress):
        found = run_tune(request, executor, progress=progress)
    if json_path != "-":
        print_tuning(found)
    if json_path:
        write_json(document(found), json_path)
    for path in (found.path, *(found.confirmation.paths if found.confirmation else ())):
        click.echo(f"run directory: {path}", err=True)
    ctx.exit(found.exit_code)


def _request(options: TuneOptions) -> TuneRequest:
    from allocphase.run.request import draw_seed, kept_variables
    from allocphase.scenario import Program
    from allocphase.tune import TuneRequest, read_bound, space_of, target_measure

    scenario = _scenario(options)
    of_program = isinstance(scenario, Program)
    minimize = target_measure(options.minimize, of_program=of_program)
    bounds = [read_bound(text, of_program=of_program) for text in options.bounds]
    names = [minimize.name, *(bound.measure.name for bound in bounds)]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--subject-to: {name} is minimised, or bounded, already")
    return TuneRequest(
        space=space_of(options.allocator),
        scenario=scenario,
        minimize=minimize,
        bounds=bounds,
        theta=options.theta,
        time_budget_s=options.time_budget_s,
        max_rounds=options.max_rounds,
        timeout_s=options.timeout_s,
        out=options.out,
        seed=draw_seed() if options.seed is None else options.seed,
        label=options.label,
        command=command_line(),
        kept_variables=kept_variables(keep=options.keep_allocator_environment),
    )


def _scenario(options: TuneOptions) -> AnyScenario:
    """The one of -s, or the program. Raises UsageError, NothingMeasuredError."""
    from allocphase.run.request import chosen_scenarios, one_scenario

    if (options.scenario is None) == (options.program is None):
        raise UsageError("tune wants one of -s SCENARIO and --program 'COMMAND...'")
    if options.scenario is not None:
        one_scenario(options.scenario, reason="tune takes one")
    named = [] if options.scenario is None else [options.scenario]
    (found,) = chosen_scenarios(named, program=options.program, say=partial(say, err=True))
    return found

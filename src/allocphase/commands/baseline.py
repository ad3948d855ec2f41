"""`allocphase baseline`: save what an allocator costs, and look at what was saved."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from allocphase.commands.shared import (
    baseline_dir_option,
    cache_sim_option,
    command_line,
    keep_environment_option,
    measuring,
    out_option,
    program_options,
    quiet_option,
    rounds_option,
    say,
    scenario_option,
    timeout_option,
)
from allocphase.errors import UsageError

if TYPE_CHECKING:
    from allocphase.probe.probe import Probe
    from allocphase.scenario import Program

__all__ = ["baseline"]


@click.group()
def baseline() -> None:
    """Save baselines for `gate --saved`: what holds where the machine's facts are the same.

    \b
    Example:
      allocphase baseline save main -a mine=build/libmine.so
      allocphase baseline list
    """


@baseline.command()
@click.argument("name")
@click.option(
    "-a", "--allocator", required=True, metavar="NAME[=FILE]|FOLDER", help="What to measure."
)
@scenario_option
@program_options
@rounds_option(default=40, most=400)
@click.option(
    "--only-counts",
    is_flag=True,
    help="Save what a busy machine cannot disturb, and no times: system calls, page faults, memory "
    "and, where there is valgrind, instructions. For `gate --saved NAME --only-counts`.",
)
@cache_sim_option
@timeout_option
@keep_environment_option
@out_option
@quiet_option
@baseline_dir_option
def save(
    name: str,
    allocator: str,
    scenarios: Sequence[str],
    program: Program | None,
    rounds: int,
    only_counts: bool,
    cache_sim: str | None,
    timeout_s: float,
    keep_allocator_environment: bool,
    out: Path,
    baseline_dir: Path,
) -> None:
    """Measure an allocator and save it as baseline NAME.

    A gate against it has no more rounds than it was measured in.

    \b
    Example:
      allocphase baseline save main -a mine=build/mine.so -s random-churn
    """
    from allocphase.gate import baseline_arm
    from allocphase.gate.baseline import require_place, save_baseline
    from allocphase.gate.saved import USUAL_PROBES, measure_baseline
    from allocphase.machine.simulated_caches import simulated_caches
    from allocphase.run.request import Request, chosen_scenarios, kept_variables

    if cache_sim and not only_counts:
        raise UsageError("--cache-sim is for what --only-counts saves: add that")
    require_place(name, baseline_dir)
    request = Request(
        allocators=(),
        scenarios=chosen_scenarios(scenarios, program=program, say=partial(say, err=True)),
        probes=(),
        rounds=rounds,
        timeout_s=timeout_s,
        out=out,
        label="baseline",
        command=command_line(),
        kept_variables=kept_variables(keep=keep_allocator_environment),
        simulated_caches=simulated_caches(cache_sim) if cache_sim else "",
    )
    arm = baseline_arm(allocator)
    with measuring() as (executor, progress):
        found = measure_baseline(
            request,
            executor,
            name=name,
            arm=arm,
            progress=progress,
            probes=_counting_probes() if only_counts else USUAL_PROBES,
        )
    click.echo(save_baseline(found, baseline_dir))


def _counting_probes() -> Sequence[Probe]:
    """Every probe of counts; that of instructions where there is valgrind."""
    from allocphase.gate.saved import COUNTING_PROBES
    from allocphase.machine.valgrind import NOT_INSTALLED, find_valgrind

    if find_valgrind() is not None:
        return COUNTING_PROBES
    say(f"no instructions: valgrind is {NOT_INSTALLED}", err=True)
    return [probe for probe in COUNTING_PROBES if probe.usual]


@baseline.command(name="list")
@baseline_dir_option
def list_command(baseline_dir: Path) -> None:
    """List the saved baselines.

    \b
    Example:
      allocphase baseline list
    """
    from allocphase.gate.baseline import list_baselines

    for found in list_baselines(baseline_dir):
        names = ", ".join(found.scenarios)
        say(f"{found.name}  {found.saved}  {found.allocator.name} on {names}")


@baseline.command()
@click.argument("name")
@baseline_dir_option
def show(name: str, baseline_dir: Path) -> None:
    """Show a saved baseline: its machine, and the median of each of its figures.

    \b
    Example:
      allocphase baseline show main
    """
    from allocphase.gate.baseline import load_baseline
    from allocphase.gate.baseline_text import describe

    say(describe(load_baseline(name, baseline_dir)))

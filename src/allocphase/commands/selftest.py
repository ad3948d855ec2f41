"""`allocphase selftest`: what the gate can see on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from allocphase.commands.shared import (
    measuring,
    out_option,
    quiet_option,
    require_targets,
    scratch_folder,
    share,
    target_option,
    write_json,
)

__all__ = ["selftest"]

QUICK_SESSIONS = 2
QUICK_EFFECTS = (0.0, 0.05, 0.10)


@click.command()
@click.option(
    "-a",
    "--allocator",
    default="phase3",
    show_default=True,
    metavar="NAME[=FILE]|FOLDER",
    help="What is gated against itself.",
)
@click.option(
    "-s",
    "--scenario",
    "scenario_spec",
    default="random-churn",
    show_default=True,
    metavar="NAME|FILE",
    help="On which scenario.",
)
@click.option("--theta", default="2%", show_default=True, callback=share, help="As in gate.")
@click.option(
    "--sessions",
    default=10,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Gates of each slowdown.",
)
@click.option(
    "--max-rounds", default=40, show_default=True, type=click.IntRange(1, 400), help="As in gate."
)
@click.option(
    "--quick",
    is_flag=True,
    help=f"{QUICK_SESSIONS} gates of nothing, 5% and 10% only: a sign of life, a few minutes.",
)
@out_option
@quiet_option
@target_option("--json", "json_path", help="Write the trials as JSON.")
@click.pass_context
def selftest(
    ctx: click.Context,
    /,
    allocator: str,
    scenario_spec: str,
    theta: float,
    sessions: int,
    max_rounds: int,
    quick: bool,
    out: Path,
    json_path: str | None,
) -> None:
    """Find out what the gate sees here: false alarms, and power at known slowdowns.

    An allocator is gated against itself: unchanged, and made slower by 1, 3, 5 and 10% by a
    plug-in that spins a calibrated amount. The full test takes about a quarter of an hour.

    \b
    Example:
      allocphase selftest --quick
      allocphase selftest -a mimalloc --theta 1%
    """
    from allocphase.gate.arms import named_arm
    from allocphase.run.request import one_trace
    from allocphase.selftest import EFFECTS, Selftest, behind_toll, calibrate, run_trials
    from allocphase.selftest.text import document, table

    require_targets(ctx)
    scenario = one_trace(scenario_spec, reason="selftest takes one")
    subject = behind_toll(named_arm(allocator))
    with measuring() as (executor, progress), scratch_folder(out) as folder:
        plan = Selftest(
            subject=subject,
            scenario=scenario,
            calibration=calibrate(subject, scenario, executor, out=folder, progress=progress),
            sessions=QUICK_SESSIONS if quick else sessions,
            theta=theta,
            max_rounds=max_rounds,
            out=folder,
            effects=QUICK_EFFECTS if quick else EFFECTS,
        )
        trials = list(run_trials(plan, executor, progress=progress))
    if json_path != "-":
        click.echo(table(trials, theta=theta))
    if json_path:
        write_json(document(trials, theta=theta), json_path)

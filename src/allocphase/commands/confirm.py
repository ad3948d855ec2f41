"""`allocphase history confirm`: gates both sides of changes, and keeps the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allocphase.commands.revisions import RevisionOptions, recipe_options
from allocphase.commands.shared import (
    branch_option,
    command_line,
    db_option,
    keep_environment_option,
    measuring,
    out_option,
    quiet_option,
    say,
    scenario_option,
    share,
    timeout_option,
)
from allocphase.errors import NothingMeasuredError, UsageError

if TYPE_CHECKING:
    from allocphase.gate import GateRequest
    from allocphase.gate.confirmation import Confirmation
    from allocphase.gate.revisions import Revisions
    from allocphase.history import Change, History
    from allocphase.judge import GateVerdict
    from allocphase.scenario import AnyScenario

__all__ = ["confirm"]


@click.command()
@click.argument("series", nargs=-1, metavar="[SERIES...]")
@db_option
@branch_option
@recipe_options("The repository of the commits. Without it: the objects that the runs had.")
@scenario_option
@click.option(
    "--theta",
    default="2%",
    show_default=True,
    callback=share,
    help="A change by less is none; of an exact count any is one.",
)
@click.option(
    "--max-rounds",
    default=40,
    show_default=True,
    type=click.IntRange(1, 400),
    help="Rounds of each session of a gate at most.",
)
@click.option(
    "--time-budget",
    "time_budget_s",
    metavar="SECONDS",
    type=click.FloatRange(1),
    help="For each gate, as `gate` has it.",
)
@click.option("--again", is_flag=True, help="Changes that were decided before, too.")
@timeout_option
@keep_environment_option
@out_option
@quiet_option
@click.pass_context
def confirm(
    ctx: click.Context,
    /,
    series: Sequence[str],
    db: Path,
    branch: str | None,
    repo: Path | None,
    build: str | None,
    object_spec: str | None,
    again: bool,
    **rest: Any,
) -> None:
    """Gate the two commits at each change of the series, or of all, and keep what that says.

    A change point is a guess from runs of different days. Here both commits are measured side by
    side; where they do not differ, those nearby. Of a scenario from a file, give the file with -s.

    \b
    Exit codes: 0 every change was decided, 3 something is confirmed to be worse,
    4 something cannot be told, 2 usage, 1 the tool failed.

    \b
    Example:
      allocphase history confirm
      allocphase history confirm time:random-churn:mine --repo . --object '{source}/mine.c'
    """
    from allocphase.gate.confirmation import confirmations
    from allocphase.history import Decided, changes_of, open_history
    from allocphase.history.choice import chosen_branch, chosen_series
    from allocphase.history.text import change_line

    revisions = RevisionOptions(repo=repo, build=build, object_spec=object_spec).opened()
    with open_history(db) as found:
        chosen = chosen_branch(found, branch)

        def changes() -> list[Change]:
            entries = chosen_series(found.series(), series)
            return changes_of(found, (found.load(entry, branch=chosen) for entry in entries))

        wanted = [one for one in changes() if again or not one.is_decided]
        todo, left_out = confirmations(wanted)
        for line in left_out:
            say(f"! {line}", err=True)
        for one in todo:
            _confirm(found, one, revisions, **rest)
        sides = {(one.series.id, one.before.side, one.after.side) for one in wanted}
        said = [
            one for one in changes() if (one.series.id, one.before.side, one.after.side) in sides
        ]
    for change in said:
        say(change_line(change))
    verdicts = {change.decision.verdict if change.decision else Decided.OPEN for change in said}
    ctx.exit(3 if Decided.WORSE in verdicts else 4 if Decided.OPEN in verdicts else 0)


def _confirm(
    found: History, one: Confirmation, revisions: Revisions | None, **options: Any
) -> None:
    """Keeps what gates say; where one cannot be run, says why, and what is left stays advice."""
    from allocphase.gate import run_gate
    from allocphase.gate.confirmation import Said, confirmed, said_of

    def ask(asked: Confirmation) -> Mapping[tuple[int, str, str], Said]:
        say(f"gating {asked}", err=True)
        request = _request(found, asked, revisions, **options)
        with measuring() as (executor, progress):
            verdict = run_gate(request, executor, progress=progress)
        _tell(verdict, asked)
        return said_of(asked, verdict)

    try:
        for decision in confirmed(one, ask):
            found.decide(decision)
    except (UsageError, NothingMeasuredError) as error:
        say(f"! {one}: {error}", err=True)


def _tell(verdict: GateVerdict, one: Confirmation) -> None:
    from allocphase.judge.render.words import headline
    from allocphase.machine.fingerprint import differences

    for session in verdict.sessions:
        say(f"run directory: {session.path}", err=True)
    say(f"{one}: {headline(verdict)}", err=True)
    facts = {fact: value for change in one.changes for fact, value in change.series.facts.items()}
    here = {**verdict.environment, "driver": facts.get("driver")}
    for line in differences(facts, {fact: here.get(fact) for fact in facts}).values():
        say(f"! the series is of another machine: {line}", err=True)


def _request(
    found: History,
    one: Confirmation,
    revisions: Revisions | None,
    *,
    scenarios: Sequence[str],
    theta: float,
    max_rounds: int,
    time_budget_s: float | None,
    timeout_s: float,
    keep_allocator_environment: bool,
    out: Path,
) -> GateRequest:
    from allocphase.gate import GateRequest
    from allocphase.gate.confirmation import arms_of
    from allocphase.gate.request import STRETCH, TIME_BUDGET_S
    from allocphase.run.request import kept_variables

    chosen = _scenarios(one, scenarios)
    return GateRequest(
        arms=arms_of(one, found, revisions),
        scenarios=chosen,
        limits=one.limits(theta),
        out=out,
        max_rounds=max_rounds,
        time_budget_s=time_budget_s or TIME_BUDGET_S,
        stretch=STRETCH if time_budget_s is None else 1.0,
        timeout_s=timeout_s,
        label="confirm",
        command=command_line(),
        kept_variables=kept_variables(keep=keep_allocator_environment),
        notes=() if revisions is None else revisions.notes(),
    )


def _scenarios(one: Confirmation, given: Sequence[str]) -> list[AnyScenario]:
    """Those of the changes, by name: of what was given, else of the collection."""
    from allocphase.run.request import chosen_scenarios

    tell: Callable[[str], None] = partial(say, err=True)
    known = {each.name: each for each in chosen_scenarios(given, say=tell)} if given else {}
    others = [name for name in one.scenarios if name not in known]
    if others:
        known |= {each.name: each for each in chosen_scenarios(others, say=tell)}
    return [known[name] for name in one.scenarios]

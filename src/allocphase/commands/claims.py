"""`allocphase claims`: published figures, or a team's own promises, put to the test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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
    write_text,
)
from allocphase.errors import UsageError

if TYPE_CHECKING:
    from allocphase.analysis.frames import Run
    from allocphase.claim import ClaimsFile
    from allocphase.scenario import AnyScenario, Program

__all__ = ["claims"]


@click.command()
@click.argument("file")
@click.option(
    "--run",
    "directory",
    type=click.Path(path_type=Path),
    help="Judge this run directory; measure nothing.",
)
@program_options
@rounds_option(default=5, most=1000)
@timeout_option
@keep_environment_option
@out_option
@quiet_option
@click.option("--label", default="claims", show_default=True, help="Part of its name.")
@click.option(
    "--inconclusive",
    default="fail",
    show_default=True,
    type=click.Choice(["fail", "pass"]),
    help="What claims do that the measurements cannot tell: exit code 4, or 0.",
)
@target_option("--json", "json_path", help="Write the verdicts; - is stdout.")
@target_option("--export-markdown", "markdown_path", help="Write them as a table.")
@click.pass_context
def claims(
    ctx: click.Context,
    file: str,
    directory: Path | None,
    program: Program | None,
    rounds: int,
    timeout_s: float,
    keep_allocator_environment: bool,
    out: Path,
    label: str,
    inconclusive: str,
    json_path: str | None,
    markdown_path: str | None,
) -> None:
    """Put claims to the test: measure what they need, and judge each by its figures.

    FILE is a path, or the name of a file that comes with allocphase, such as phase-report. Where
    its claims are about a scenario that only you have, --program is that, under its --name.

    \b
    Exit codes: 0 no claim failed, 3 a measurement contradicts a claim, 4 cannot
    be told, 5 something was not measured, 2 usage, 1 the tool failed.

    \b
    Example:
      allocphase claims phase-report
      allocphase claims promises.toml --run out/20261123-101500-bench --json -
      allocphase claims server.toml --program './server selftest' --name selftest
    """
    from allocphase.analysis import frames
    from allocphase.claim import (
        exit_code,
        judge,
        load,
        print_section,
        section_document,
        section_markdown,
        write_section,
    )

    require_targets(ctx)
    if program is not None and directory is not None:
        raise UsageError("--program is for measuring, and --run measures nothing: leave one out")
    promised = load(file)
    measured = frames.load(directory) if directory else None
    if measured is None:
        from allocphase.run.request import kept_variables

        kept = kept_variables(keep=keep_allocator_environment)
        measured = _measure(promised, program, rounds, timeout_s, out, label, kept)
    section = judge(promised, measured)
    if measured is not None:
        write_section(section, measured.path)
    if "-" not in (json_path, markdown_path):
        print_section(section)
    if json_path:
        write_json(section_document(section), json_path)
    if markdown_path:
        write_text(section_markdown(section), markdown_path)
    ctx.exit(
        exit_code(
            section,
            measured_now=directory is None,
            fail_inconclusive=inconclusive == "fail",
        )
    )


def _measure(
    promised: ClaimsFile,
    program: Program | None,
    rounds: int,
    timeout_s: float,
    out: Path,
    label: str,
    kept: Mapping[str, str],
) -> Run | None:
    """Runs what the claims need; None when they need nothing."""
    from allocphase.analysis import frames
    from allocphase.claim import requirements
    from allocphase.probe.probe import Probe
    from allocphase.run.prepare import begin
    from allocphase.run.request import Request, chosen_allocators
    from allocphase.run.session import fill

    needed = requirements(promised)
    scenarios = _scenarios(needed.scenarios, program)
    if not needed.cells:
        return None
    request = Request(
        allocators=chosen_allocators(needed.allocators, say=partial(say, err=True)),
        scenarios=scenarios,
        probes=[Probe(name) for name in needed.probes],
        rounds=rounds,
        timeout_s=timeout_s,
        out=out,
        label=label,
        command=command_line(),
        kept_variables=kept,
        only=needed.cells_of([scenario.name for scenario in scenarios]),
    )
    with measuring() as (executor, progress):
        begun = begin(request)
        fill(begun, executor, progress=progress)
    click.echo(f"run directory: {begun.path}", err=True)
    return frames.load(begun.path)


def _scenarios(needed: Sequence[str], program: Program | None) -> list[AnyScenario]:
    """What the claims are about; one name of these may be the program's. Raises UsageError."""
    from allocphase.run.request import chosen_scenarios
    from allocphase.spec import Spec

    others = [spec for spec in needed if program is None or spec != program.name]
    if program is not None and len(others) == len(needed):
        known = ", ".join(Spec.of_scenario(spec).label for spec in needed) or "no scenario"
        raise UsageError(
            f"--program: no claim is about {program.name!r}, they are about {known}: --name says "
            "which of these it is"
        )
    if not needed:
        return []
    return chosen_scenarios(others, program=program, say=partial(say, err=True))

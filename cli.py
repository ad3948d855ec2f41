"""The `allocphase` command: the group, its error line and the list of its commands.

stdout is data, stderr is progress. Every error is one line and carries its exit code.
"""

from __future__ import annotations

import json
from typing import Any

import click

from allocphase import __version__
from allocphase.commands.abi import abi
from allocphase.commands.baseline import baseline
from allocphase.commands.claims import claims
from allocphase.commands.compare import compare
from allocphase.commands.doctor import doctor
from allocphase.commands.exec import exec_command
from allocphase.commands.export import export
from allocphase.commands.fleet import fleet
from allocphase.commands.gate import gate
from allocphase.commands.history import history
from allocphase.commands.import_file import import_command
from allocphase.commands.list import list_command
from allocphase.commands.profile import profile
from allocphase.commands.record import record_command
from allocphase.commands.report import report
from allocphase.commands.run import run
from allocphase.commands.selftest import selftest
from allocphase.commands.trace import trace
from allocphase.commands.tune import tune
from allocphase.commands.validate import validate
from allocphase.errors import AllocphaseError
from allocphase.text.line import inert

# What shells say of a command that Ctrl-C ended.
INTERRUPTED = 130


class Command(click.Group):
    """The group that turns an AllocphaseError into one line and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AllocphaseError as error:
            click.echo(inert(f"allocphase: {error}"), err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


def _say_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    if ctx.params["as_json"]:
        from allocphase.commands.version import facts

        click.echo(json.dumps(facts(), indent=2))
    else:
        click.echo(f"allocphase, version {__version__}")
    ctx.exit()


@click.group(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    is_eager=True,
    help="With --version: driver, interface and schemas, too.",
)
@click.option(
    "-V", "--version", is_flag=True, expose_value=False, callback=_say_version, help="Show it."
)
def main(as_json: bool) -> None:
    """Compare memory allocators: the latency of every call, the system calls behind it, and the
    memory it costs.

    \b
    Start with:
      allocphase run --report          every allocator here, the default scenarios
      allocphase list                  what there is to choose from
      allocphase doctor                what this machine can measure
    """
    if as_json:
        raise click.UsageError("--json goes with --version here: a command has its own behind it")


COMMANDS = (
    abi,
    baseline,
    claims,
    compare,
    doctor,
    exec_command,
    export,
    fleet,
    gate,
    history,
    import_command,
    list_command,
    profile,
    record_command,
    report,
    run,
    selftest,
    trace,
    tune,
    validate,
)
for command in COMMANDS:
    main.add_command(command)

if __name__ == "__main__":
    main()

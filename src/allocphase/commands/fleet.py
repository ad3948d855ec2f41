"""`allocphase fleet`: the same run or gate on many machines, each by itself."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from allocphase.commands.fleet_results import FleetOutputs, gate_of_fleet
from allocphase.commands.gate import gate
from allocphase.commands.run import run
from allocphase.commands.shared import command_line, say
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.hosts.document import Fleet, HostEntry, HostStatus, read_fleet

if TYPE_CHECKING:
    from allocphase.hosts.dask_executor import DaskExecutor
    from allocphase.hosts.document import Kind

__all__ = ["fleet"]

_EXTRA = "distributed"
WORSE = 3  # the exit code


@click.group()
def fleet() -> None:
    """Measure on many machines: each one runs the whole plan, and is compared with itself alone.

    \b
    Example:
      allocphase fleet run --local 2 -a libc -a mimalloc -s random-churn -r 3
      allocphase fleet certificates certs
      allocphase fleet worker tls://10.0.0.1:8786 --certificates certs/worker
      allocphase fleet gate --scheduler tls://10.0.0.1:8786 --certificates certs/controller \\
          --baseline mine=old.so --candidate mine=new.so -s random-churn
      allocphase fleet status out/20261123-101500-fleet
    """


def _require_dask() -> None:
    if importlib.util.find_spec(_EXTRA) is None:
        raise UsageError("fleets need dask.distributed: pip install 'allocphase[fleet]'")


_SCHEDULER = click.option(
    "--scheduler",
    metavar="tls://HOST:PORT",
    help="dask's scheduler; tcp:// on this machine alone.",
)
_CERTIFICATES = click.option(
    "--certificates",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The folder of one role of `fleet certificates`: ca.pem, cert.pem, key.pem.",
)
_PATIENCE = click.option(
    "--patience",
    "patience_s",
    default=600.0,
    show_default=True,
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="How long a host may be away before it is called lost; `fleet resume` goes on with it.",
)
_FLEET_OPTIONS = (
    _SCHEDULER,
    _CERTIFICATES,
    click.option(
        "--local",
        type=click.IntRange(1, 64),
        metavar="N",
        help="A trial instead: N workers on this machine, which take turns.",
    ),
    click.option(
        "--host",
        "patterns",
        multiple=True,
        metavar="NAME|GLOB",
        help="Only these hosts; repeat for more. Without it: all that are there.",
    ),
    _PATIENCE,
    click.option(
        "--out",
        default=Path("out"),
        show_default=True,
        type=click.Path(path_type=Path),
        help="Folder that fleets go into.",
    ),
    click.option(
        "--label", default="fleet", show_default=True, help="Part of the directory's name."
    ),
)


def _flag(option: click.Parameter) -> str:
    """The long one."""
    return next(flag for flag in option.opts if flag.startswith("--"))


def _sent(kind: Kind, command: click.Command) -> list[click.Parameter]:
    """The options of `run` or `gate` that a host may be asked for."""
    from allocphase.hosts.job import FLAGS

    return [option for option in command.params if _flag(option) in FLAGS[kind]]


def _given(ctx: click.Context, option: click.Parameter) -> Iterator[tuple[str, str | None]]:
    """Its flag and value, once for each time that it was given, as a host will read them."""
    name = str(option.name)
    if ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
        return
    value = ctx.params[name]
    if value is True:
        yield _flag(option), None
    elif value is not False:
        values = value if isinstance(value, tuple | list) else [value]
        yield from ((_flag(option), str(one)) for one in values)


def _measuring(kind: Kind, command: click.Command, help_text: str) -> click.Command:
    """A command with the options of a fleet, and those of `run` or `gate` that a host takes."""

    @click.pass_context
    def callback(ctx: click.Context, /, **options: Any) -> None:
        _require_dask()
        given = [pair for option in _sent(kind, command) for pair in _given(ctx, option)]
        names = ("scheduler", "certificates", "local", "patterns", "patience_s", "out", "label")
        _begin(kind, given, **{name: options[name] for name in names})

    decorated: Any = callback
    for option in reversed(_FLEET_OPTIONS):
        decorated = option(decorated)
    made = click.command(kind, help=help_text)(decorated)
    made.params += _sent(kind, command)
    fleet.add_command(made)
    return made


_measuring(
    "run",
    run,
    """Run the same plan on each host; takes the options of `allocphase run`.

    Each host has its own run directory in the end, hosts/HOST/ in the fleet's. It may be away
    meanwhile, or be started again: its run is gone on with there, and nowhere else.

    \b
    Example:
      allocphase fleet run --local 2 -a libc -a mimalloc -s random-churn -r 3
      allocphase fleet run --scheduler tls://10.0.0.1:8786 --certificates certs/controller \\
          -a libc -a mine=./libmine.so
    """,
)
_measuring(
    "gate",
    gate,
    """Gate a candidate on each host; takes the options of `allocphase gate`.

    In the end all hosts are judged together, as `gate --again` shows it later.

    Exit codes: 0 not worse, 3 worse on a host or over all rounds, 4 cannot be told, 5 a host
    has no verdict.

    \b
    Example:
      allocphase fleet gate --scheduler tls://10.0.0.1:8786 --certificates certs/controller \\
          --baseline mine=old.so --candidate mine=new.so -s random-churn
    """,
)


def _begin(
    kind: Kind,
    given: Sequence[tuple[str, str | None]],
    *,
    scheduler: str | None,
    certificates: Path | None,
    local: int | None,
    patterns: Sequence[str],
    patience_s: float,
    out: Path,
    label: str,
) -> None:
    from allocphase.hosts.begin import begin, new_folder

    if (scheduler is None) == (local is None):
        raise UsageError("fleet wants one of --scheduler tls://HOST:PORT and --local N")
    folder = new_folder(out, label)
    with (
        _gone_when_nothing_began(folder),
        _executor(scheduler, certificates, local, folder) as executor,
    ):
        begin(
            folder,
            executor,
            kind=kind,
            label=label,
            command=command_line(),
            scheduler=scheduler,
            local=local or 0,
            given=given,
            patterns=patterns,
        )
        ended = _follow(folder, executor, patience_s=patience_s)
    _conclude(folder, ended)


@contextmanager
def _gone_when_nothing_began(folder: Path) -> Iterator[None]:
    """What no fleet came of goes away again."""
    from allocphase.hosts.document import FILE

    try:
        yield
    finally:
        if not (folder / FILE).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _follow(folder: Path, executor: DaskExecutor, *, patience_s: float) -> Fleet:
    from allocphase.hosts.jobs import Controller

    say(f"fleet: {folder}", err=True)
    try:
        return Controller(folder, executor, _tell, patience_s=patience_s).run()
    except KeyboardInterrupt:
        say(f"the hosts have their jobs: `allocphase fleet resume {folder}` goes on", err=True)
        raise


def _tell(entry: HostEntry) -> None:
    say(_line(entry), err=True)


def _line(entry: HostEntry) -> str:
    code = "" if entry.exit_code is None else f", exit code {entry.exit_code}"
    return f"{entry.name}: {entry.status.value}{code}" + (
        f": {entry.reason}" if entry.reason else ""
    )


def _conclude(folder: Path, ended: Fleet) -> None:
    """Of a gate its verdict over the hosts, and its exit code. Raises NothingMeasuredError where a
    host has no result, unless the candidate is worse on another one.
    """
    missing = [entry for entry in ended.hosts if entry.status is not HostStatus.DONE]
    click.echo(str(folder))
    code = 0
    if ended.kind == "gate" and len(missing) < len(ended.hosts):
        code = gate_of_fleet(folder, FleetOutputs())
    if missing and code != WORSE:
        names = ", ".join(f"{entry.name} ({entry.status.value})" for entry in missing)
        raise NothingMeasuredError(
            f"no result of {names}: `allocphase fleet resume {folder}` goes on with them"
        )
    if ended.kind == "run":
        say(f"`allocphase compare {folder}` and `report {folder}` show all hosts", err=True)
    click.get_current_context().exit(code)


@contextmanager
def _executor(
    scheduler: str | None, certificates: Path | None, local: int | None, folder: Path
) -> Iterator[DaskExecutor]:
    from allocphase.hosts.certificates import Certificates
    from allocphase.hosts.dask_executor import DaskExecutor, local_cluster, require_secure

    if scheduler is not None:
        require_secure(scheduler, secured=certificates is not None)
        security = Certificates.of(certificates).security() if certificates else None
        executor = DaskExecutor(scheduler, objects=folder / "objects", security=security)
        try:
            yield executor
        finally:
            executor.close()
        return
    with local_cluster(local or 1, folder / "local") as cluster:
        executor = DaskExecutor(cluster, objects=folder / "objects", security=None)
        try:
            yield executor
        finally:
            executor.close()


@fleet.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def status(folder: Path) -> None:
    """Show how far each host of a fleet was when its controller last looked.

    \b
    Example:
      allocphase fleet status out/20261123-101500-fleet
    """
    for entry in read_fleet(folder).hosts:
        say(_line(entry))


@fleet.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_SCHEDULER
@_CERTIFICATES
def fetch(folder: Path, scheduler: str | None, certificates: Path | None) -> None:
    """Bring back what has ended meanwhile, and wait for nothing.

    \b
    Example:
      allocphase fleet fetch out/20261123-101500-fleet --certificates certs/controller
    """
    _again(folder, scheduler, certificates, patience_s=0.0, only_fetch=True)


@fleet.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_SCHEDULER
@_CERTIFICATES
@_PATIENCE
def resume(
    folder: Path, scheduler: str | None, certificates: Path | None, patience_s: float
) -> None:
    """Go on with a fleet: hosts that were lost or failed are given their job again.

    \b
    Example:
      allocphase fleet resume out/20261123-101500-fleet --certificates certs/controller
    """
    _again(folder, scheduler, certificates, patience_s=patience_s, only_fetch=False)


def _again(
    folder: Path,
    scheduler: str | None,
    certificates: Path | None,
    *,
    patience_s: float,
    only_fetch: bool,
) -> None:
    """`scheduler`: where it is another one than the fleet began with."""
    _require_dask()
    from allocphase.hosts.jobs import Controller, reopen

    found = read_fleet(folder)
    address = scheduler or found.scheduler
    if not only_fetch:
        reopen(folder)
    with _executor(address, certificates, found.local or None, folder) as executor:
        controller = Controller(folder, executor, _tell, patience_s=patience_s)
        ended = controller.run(only_fetch=only_fetch)
    _conclude(folder, ended)


@fleet.command()
@click.argument("scheduler", metavar="SCHEDULER")
@_CERTIFICATES
@click.option(
    "--host", metavar="NAME", help="What the host is called. Without it: as the machine is."
)
@click.option(
    "--dir",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where its jobs are kept. Without it: ~/.local/state/allocphase/fleet.",
)
@click.pass_context
def worker(
    ctx: click.Context,
    scheduler: str,
    certificates: Path | None,
    host: str | None,
    folder: Path | None,
) -> None:
    """Make this machine a host: one worker, which is idle until it is given a job.

    It stays when the scheduler goes, and comes back when that does. Ctrl-C ends it; a job that it
    runs keeps what is finished, and is gone on with when it is back.

    \b
    Example:
      allocphase fleet worker tls://10.0.0.1:8786 --certificates certs/worker
    """
    _require_dask()
    from allocphase.hosts.certificates import Certificates
    from allocphase.hosts.dask_executor import require_secure
    from allocphase.hosts.inventory import own_folder, own_name
    from allocphase.hosts.supervisor import keep_worker

    require_secure(scheduler, secured=certificates is not None)
    if certificates is not None:
        Certificates.of(certificates)
    code = keep_worker(
        scheduler,
        host=host or own_name(),
        folder=folder or own_folder(),
        certificates=certificates,
        say=lambda text: say(text, err=True),
    )
    ctx.exit(code)


@fleet.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def certificates(folder: Path) -> None:
    """Make a small certificate authority: a folder each for scheduler, worker and controller.

    Whoever has one of the keys can run anything on every machine of the fleet.

    \b
    Example:
      allocphase fleet certificates certs
    """
    _require_dask()
    from allocphase.hosts.certificates import ROLES, make_certificates

    make_certificates(folder)
    for role in ROLES:
        click.echo(str(folder / role))

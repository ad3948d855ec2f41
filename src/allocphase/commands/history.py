"""`allocphase history`: what runs said, over commits; where that changes, and what is confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allocphase.commands.confirm import confirm
from allocphase.commands.shared import branch_option, db_option, say
from allocphase.errors import UsageError

if TYPE_CHECKING:
    from allocphase.history import History
    from allocphase.history.model import CommitEntry

__all__ = ["history"]

# What a page shows where nobody names series.
HEADLINES = {
    "time", "wall", "cpu", "instructions", "syscalls", "page_faults", "peak_rss",
    "program_peak_rss", "program_page_faults",
}  # fmt: skip


@click.group()
def history() -> None:
    """Keep what runs said over commits, and say since when something has changed.

    \b
    Example:
      allocphase history add out/20261123-101500-bench
      allocphase history list 'time*'
      allocphase history show time:random-churn:mine
      allocphase history report
      allocphase history confirm --repo . --build make --object '{source}/libmine.so'
      allocphase history gate --since v1.2
    """


@history.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@db_option
@click.option(
    "--commit",
    metavar="REVISION",
    help="What was measured; of a gate, the candidate. Without it: what the repository has checked "
    "out that the objects lie in.",
)
@click.option(
    "--repo",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The repository that knows --commit. Without it: that of the objects, or this one.",
)
@click.option("--branch", metavar="NAME", help="The branch. Without it: what is checked out.")
@click.option("--label", metavar="TEXT", help="What the runs are called. Without it: as they are.")
def add(
    runs: Sequence[Path],
    db: Path,
    commit: str | None,
    repo: Path | None,
    branch: str | None,
    label: str | None,
) -> None:
    """Add runs, or gates: a value for each allocator, scenario and metric.

    What is there already is left as it is; a run in which there is more since is renewed.

    \b
    Example:
      allocphase history add out/2026*-nightly
      allocphase history add out/20261123-101500-bench --commit HEAD~1 --branch main
    """
    from allocphase.gate.repository import Repository
    from allocphase.history import open_history

    if repo is not None and commit is None:
        raise UsageError("--repo knows the commit that --commit names: add --commit REVISION")
    repository = Repository.at(repo) if repo is not None else None
    with open_history(db, make=True) as found:
        for path in runs:
            _add(found, path, revision=commit, repository=repository, branch=branch, label=label)


def _add(found: History, path: Path, *, renew: bool = False, **told: Any) -> None:
    """Every arm of one run directory; raises before anything of it is added. told: options of
    measured_arm.
    """
    from allocphase.gate.commits import measured_arm
    from allocphase.history.reading import read_run

    arms = [measured_arm(arm, known=found.known(arm.identity), **told) for arm in read_run(path)]
    for measured, note in arms:
        if note:
            say(f"! {note}", err=True)
        if measured is not None:
            became = found.add(measured, renew=renew)
            commit = measured.commit.short if measured.commit else "no commit known"
            arm = f" {measured.arm}" if measured.arm else ""
            say(f"{path}{arm}: {became}, {commit}, {len(measured.values)} values")


@history.command(name="list")
@click.argument("series", nargs=-1, metavar="[SERIES...]")
@db_option
@branch_option
@click.option("--runs", "lists_runs", is_flag=True, help="List the runs instead.")
def list_command(series: Sequence[str], db: Path, branch: str | None, lists_runs: bool) -> None:
    """List the series with their changes, or the runs.

    A series is named by its id, or METRIC:SCENARIO:ALLOCATOR, in which an asterisk stands for
    anything. Where a scenario or the machine changes, another series of the same name begins.

    \b
    Example:
      allocphase history list
      allocphase history list 'time*:mine' --branch main
    """
    from allocphase.history import changes_of, open_history
    from allocphase.history.choice import chosen_series
    from allocphase.history.text import print_list, print_runs

    with open_history(db) as found:
        chosen = _branch(found, branch)
        if lists_runs:
            if series:
                raise UsageError("--runs lists runs: leave the series out")
            print_runs([run for run in found.runs() if chosen in (None, run.branch)])
            return
        entries = chosen_series(found.series(), series)
        changes = changes_of(found, (found.load(entry, branch=chosen) for entry in entries))
        print_list(entries, found.point_counts(branch=chosen), changes)


@history.command()
@click.argument("series", nargs=-1, required=True, metavar="SERIES...")
@db_option
@branch_option
def show(series: Sequence[str], db: Path, branch: str | None) -> None:
    """Show series point by point, with their changes.

    \b
    Example:
      allocphase history show time:random-churn:mine
      allocphase history show 12
    """
    from allocphase.history import changes_of, open_history
    from allocphase.history.choice import chosen_series
    from allocphase.history.text import print_series

    with open_history(db) as found:
        chosen = _branch(found, branch)
        for entry in chosen_series(found.series(), series):
            loaded = found.load(entry, branch=chosen)
            print_series(loaded, changes_of(found, [loaded]))


@history.command()
@click.argument("series", nargs=-1, metavar="[SERIES...]")
@db_option
@branch_option
@click.option(
    "-o",
    "--output",
    default="history.html",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the page goes; one that is there is written anew.",
)
def report(series: Sequence[str], db: Path, branch: str | None, output: Path) -> None:
    """Draw the series over their commits as one page, the changed ones first.

    Without SERIES (as `list` takes them): times, memory, page faults, system calls and instructions
    of all branches; with --branch of that one.

    \b
    Example:
      allocphase history report
      allocphase history report 'time*' --branch main -o times.html
    """
    from allocphase.files.durable import require_writable, write_text
    from allocphase.history import changes_of, open_history
    from allocphase.history.choice import chosen_series
    from allocphase.report.page.history import page

    require_writable(output)
    with open_history(db) as found:
        every = found.series()
        entries = chosen_series(every, series)
        if not series:
            entries = [one for one in entries if one.key.metric in HEADLINES]
        branches = [_branch(found, branch)] if branch is not None else list(found.branches())
        loaded = [
            one
            for name in branches
            for entry in entries
            if (one := found.load(entry, branch=name)).points
        ]
        if not loaded:
            raise UsageError(f"{db}: has no points of these series")
        changes = changes_of(found, loaded)
    left_out = len(every) - len(entries)
    text = page(loaded, changes, folder=output.absolute().parent, left_out=left_out)
    write_text(output, text)
    say(f"page: {output}")


@history.command()
@db_option
@click.option("--before", metavar="DATE", help="Runs that started before, such as 2026-01-31.")
@click.option("--keep", metavar="N", type=click.IntRange(0), help="All but the N newest runs.")
@click.option("--missing", is_flag=True, help="Runs whose directory is gone.")
@click.option("--dry-run", is_flag=True, help="Only say which.")
def prune(db: Path, before: str | None, keep: int | None, missing: bool, dry_run: bool) -> None:
    """Take runs out of the history, with series that have none left; no run directory is touched.

    A run goes where one of the options means it.

    \b
    Example:
      allocphase history prune --keep 1500
      allocphase history prune --before 2026-01-31 --dry-run
    """
    from allocphase.history import open_history
    from allocphase.history.choice import utc

    if before is None and keep is None and not missing:
        raise UsageError("prune wants --before DATE, --keep N or --missing: which runs are to go")
    first = utc("--before", before) if before is not None else ""
    with open_history(db) as found:
        runs = found.runs()
        kept = set(runs[-keep:] if keep else [] if keep == 0 else runs)
        gone = [
            run
            for run in runs
            if run.started < first or run not in kept or (missing and not Path(run.path).is_dir())
        ]
        for run in gone:
            say(f"{run.path} {run.arm}".rstrip())
        if not dry_run:
            found.delete_runs([run.id for run in gone])
            found.shrink()
        say(f"{len(gone)} of {len(runs)} runs{' would go' if dry_run else ' are gone'}", err=True)


@history.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER...]", type=click.Path(path_type=Path))
@db_option
def rebuild(folders: Sequence[Path], db: Path) -> None:
    """Read every run of the history again, and those that lie below FOLDER.

    Commits, branches, labels and decisions stay; so do runs whose directory is gone.

    \b
    Example:
      allocphase history rebuild
      allocphase history rebuild out
    """
    from allocphase.history import open_history

    if not folders and not db.exists():
        raise UsageError(f"{db}: no history there: name the folders that its runs lie in")
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder")
    with open_history(db, make=bool(folders)) as found:
        known = list(dict.fromkeys(Path(run.path) for run in found.runs()))
        below = sorted(place.parent for folder in folders for place in folder.rglob("run.json"))
        for path in known:
            if path.is_dir():
                _read_again(found, path, renew=True)
            else:
                say(f"! {path}: is gone: its values stay as they are", err=True)
        for path in below:
            if path.resolve() not in known:
                _read_again(found, path)


def _read_again(found: History, path: Path, *, renew: bool = False) -> None:
    """Of the others nothing is lost where one of them cannot be read."""
    try:
        _add(found, path, renew=renew)
    except UsageError as error:
        say(f"! {error}", err=True)


@history.command()
@db_option
@click.option(
    "--parquet",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="One table, a row a point.",
)
def export(db: Path, parquet: Path) -> None:
    """Write the whole history as one table, for notebooks and DuckDB.

    \b
    Example:
      allocphase history export --parquet history.parquet
    """
    from allocphase.files.durable import require_writable
    from allocphase.history import open_history
    from allocphase.history.parquet import write_parquet
    from allocphase.text.units import counted

    require_writable(parquet)
    with open_history(db) as found:
        say(f"{parquet}: {counted(write_parquet(found, parquet), 'point')}")


@history.command()
@db_option
@branch_option
@click.option(
    "--since",
    metavar="REVISION",
    required=True,
    help="The commit after which nothing may have changed.",
)
@click.option(
    "--repo",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The repository that knows --since. Without it: this one, or the history's own commits.",
)
@click.option("--either", is_flag=True, help="What got better counts, too.")
@click.pass_context
def gate(
    ctx: click.Context,
    db: Path,
    branch: str | None,
    since: str,
    repo: Path | None,
    either: bool,
) -> None:
    """Say whether something got worse since a commit, by what `confirm` has confirmed.

    What no gate has decided is printed, and is no reason: it is advice.

    \b
    Exit codes: 0 nothing is confirmed, 3 something is, 5 no later commit was
    measured, 2 usage, 1 the tool failed.

    \b
    Example:
      allocphase history gate --since v1.2
    """
    from allocphase.history import changes_of, open_history
    from allocphase.history.choice import confirmed_after
    from allocphase.history.model import Decided
    from allocphase.history.text import change_line, decision_line

    with open_history(db) as found:
        chosen = _branch(found, branch)
        entries = found.series()
        changes = changes_of(found, (found.load(entry, branch=chosen) for entry in entries))
        start = _since(found, since, repo)
        confirmed, undecided = confirmed_after(found, changes, start, chosen)
        for decision in confirmed:
            say(decision_line(decision, entries, found.runs()))
        for change in undecided:
            say(f"advice: {change_line(change)}")
    counts = [one for one in confirmed if either or one.verdict is Decided.WORSE]
    ctx.exit(3 if counts else 0)


def _since(found: History, since: str, repo: Path | None) -> CommitEntry:
    """By a repository where there is one that has it, else among the history's own commits."""
    from allocphase.gate.commits import named_commit
    from allocphase.gate.repository import Repository
    from allocphase.history.choice import commit_of

    here = commit_of(found.runs(), since)
    if here is not None:
        return here
    repository = Repository.at(repo) if repo is not None else Repository.around(Path.cwd())
    told = None if repository is None else named_commit(since, repository, option="--since").commit
    if told is None or not told.time:
        raise UsageError(f"--since {since}: no commit of {found.path}, nor of a repository here")
    return told


def _branch(found: History, named: str | None) -> str | None:
    """Says which one where there are several and none was named."""
    from allocphase.history.choice import chosen_branch

    chosen = chosen_branch(found, named)
    others = found.branches()
    if named is None and len(others) > 1:
        shown = chosen or "without a name"
        say(f"branch {shown}, {others[str(chosen)]} of the runs: --branch for others", err=True)
    return chosen


history.add_command(confirm)

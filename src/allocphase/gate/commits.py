"""Of which commit a run's objects are: from the repository that they lie in, or as somebody says.

A working tree says what is checked out now, and a run may be older: where the object is another one
than the run had, or the commit younger than the run, there is no answer.

Place in the pipeline: above repository; what it finds goes into a history with the run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from allocphase.errors import UsageError, shown
from allocphase.files.elf import loaded_sha256
from allocphase.gate.repository import Commit, Repository
from allocphase.history.model import CommitEntry, Measured, RunEntry
from allocphase.history.reading import RunArm, measured
from allocphase.judge import BASELINE

__all__ = ["Told", "commit_entry", "found_commit", "measured_arm", "named_commit"]

_WAY_OUT = "say which commit it was with --commit"
_HASH = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True, slots=True)
class Told:
    """A commit with its branch; note: what a reader may not expect, empty for nothing."""

    commit: CommitEntry | None
    branch: str = ""
    note: str = ""


def commit_entry(repository: Repository, commit: Commit) -> CommitEntry:
    """With all that a repository says of it."""
    return CommitEntry(
        commit.id,
        commit.subject,
        repository.committed(commit).isoformat(timespec="seconds"),
        repository.ancestors(commit),
    )


def named_commit(revision: str, repository: Repository | None, *, option: str) -> Told:
    """The one that somebody named, by any name that git knows; without a repository that has it, by
    its id alone. Raises UsageError, which begins with the option.
    """
    if repository is not None:
        try:
            return Told(commit_entry(repository, repository.commit(revision)), repository.branch())
        except UsageError as error:
            if not _HASH.fullmatch(revision):
                raise UsageError(f"{option}: {error}") from None
    if not _HASH.fullmatch(revision):
        raise UsageError(
            f"{option} {shown(revision)}: without a repository that has it, give an id"
        )
    note = f"no repository here has commit {revision}: times order series that it is in"
    return Told(CommitEntry(revision), "", note)


def found_commit(arm: RunArm) -> Told:
    """That of the repository which the objects of a run lie in; none where they lie in none.

    Raises UsageError where there are several, and where the run may be of an earlier one.
    """
    repositories = {}
    for place in arm.sources:
        found = Repository.around(place)
        if found is not None:
            commit = found.commit(arm.revision or "HEAD")
            repositories[commit.id] = (found, commit)
    if not repositories:
        return Told(None)
    if len(repositories) > 1:
        names = ", ".join(str(commit) for _, commit in repositories.values())
        raise UsageError(f"{arm.run.path}: its objects are of several commits, {names}: {_WAY_OUT}")
    ((repository, commit),) = repositories.values()
    if not arm.revision:
        _require_unchanged(arm, repository, commit)
    changed = repository.has_changes()
    note = f"{repository.folder} has changes that no commit has" if changed else ""
    return Told(commit_entry(repository, commit), repository.branch(), note)


def _require_unchanged(arm: RunArm, repository: Repository, commit: Commit) -> None:
    """Raises UsageError where what is there now is not what was measured."""
    for one in arm.objects.values():
        if one.path is None or Repository.around(Path(one.path)) is None:
            continue
        try:
            same = loaded_sha256(Path(one.path)) == one.sha256
        except OSError:
            same = False
        if not same:
            raise UsageError(f"{arm.run.path}: {one.path} is not what it measured: {_WAY_OUT}")
    if repository.committed(commit) > arm.started:
        raise UsageError(f"{arm.run.path}: commit {commit} is younger than it: {_WAY_OUT}")


def measured_arm(
    arm: RunArm,
    *,
    known: RunEntry | None = None,
    revision: str | None = None,
    repository: Repository | None = None,
    branch: str | None = None,
    label: str | None = None,
) -> tuple[Measured | None, str]:
    """What a history takes of an arm, and a note, empty for none.

    known: what the history has of it; it holds where nobody says anything else, since repositories
    go on. revision: the commit of a run's allocators, or of a gate's candidate, looked up in
    `repository`, or where its objects lie, or here. None where nobody knows the commit of a gate's
    baseline: without one it would stand among the candidate's. Raises UsageError as the others.
    """
    if revision is not None and arm.arm != BASELINE:
        told = named_commit(revision, repository or _nearest(arm), option="--commit")
    elif known is not None:
        told = Told(known.commit, known.branch)
    else:
        told = found_commit(arm)
    if told.commit is None and arm.arm == BASELINE:
        return None, f"{arm.run.path}: the baseline is left out: nobody knows its commit"
    found = measured(
        arm,
        commit=told.commit,
        branch=told.branch if branch is None else branch,
        label=label if known is None or label is not None else known.label,
    )
    return found, told.note


def _nearest(arm: RunArm) -> Repository | None:
    places = (*arm.sources, Path.cwd())
    return next((found for place in places if (found := Repository.around(place))), None)

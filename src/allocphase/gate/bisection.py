"""The first commit that a gate calls worse: a walk that halves what is left, as git bisect does.

Every commit is held against the same good one. One that cannot be built, measured or told is
skipped, and another one near the middle takes its place. Nothing is written into the repository.

Place in the pipeline: above whatever gates a commit, which it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from allocphase.errors import NothingMeasuredError, UsageError, shown
from allocphase.gate.builds import BuildError
from allocphase.gate.repository import Commit, Repository
from allocphase.judge import GateVerdict
from allocphase.judge.render.words import headline

__all__ = ["Bisection", "Skipped", "bisect", "read_range"]

# Gates a commit against the good one. Raises BuildError and NothingMeasuredError where that cannot
# be; whatever else it raises would come at every commit.
Gated = Callable[[Commit], GateVerdict]

WORSE = 3
_PASSED = 0


@dataclass(frozen=True, slots=True)
class Skipped:
    """A commit of which nothing is known, and why."""

    commit: Commit
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bisection:
    """What came of it. worse: the first worse commit, None where the last one is not worse than the
    good one. verdict: of that commit, or of the last one. suspects: skipped commits just before it,
    any of which may have brought it.
    """

    good: Commit
    bad: Commit
    worse: Commit | None
    verdict: GateVerdict
    skipped: tuple[Skipped, ...] = ()
    suspects: tuple[Commit, ...] = ()


def read_range(text: str, repository: Repository) -> tuple[Commit, Commit]:
    """GOOD..BAD, without BAD for HEAD. Raises UsageError."""
    good_name, dots, bad_name = text.partition("..")
    if not dots or not good_name or bad_name.startswith("."):
        raise UsageError(f"--bisect {shown(text)}: it is written GOOD..BAD, two revisions")
    try:
        good, bad = (repository.commit(name) for name in (good_name, bad_name or "HEAD"))
    except UsageError as error:
        raise UsageError(f"--bisect {shown(text)}: {error}") from None
    if good == bad:
        raise UsageError(f"--bisect {shown(text)}: both are {good.short}")
    if not repository.is_ancestor(good, bad):
        raise UsageError(
            f"--bisect {shown(text)}: {good_name} does not come before {bad_name or 'HEAD'}: the "
            "last commit that both have is shown by git merge-base"
        )
    return good, bad


def bisect(
    repository: Repository, good: Commit, bad: Commit, gated: Gated, *, say: Callable[[str], None]
) -> Bisection:
    """Gates `bad`, then commits between the two until none is left; `say` is told of each.

    Raises as `gated` of `bad`: without its verdict there is nothing to look for.
    """
    verdict = gated(bad)
    say(f"{bad}: {headline(verdict)}")
    if verdict.exit_code != WORSE:
        return Bisection(good=good, bad=bad, worse=None, verdict=verdict)
    worse, not_worse, skipped = bad, [good], dict[str, Skipped]()
    while True:
        left = repository.halving(not_worse, worse)
        found_id = next((each for each in left if each not in skipped), None)
        if found_id is None:
            break
        commit = repository.commit(found_id)
        say(f"{len(left)} left: {commit}")
        found = _verdict(gated, commit)
        say(f"{commit}: {found if isinstance(found, str) else headline(found)}")
        if isinstance(found, str):
            skipped[commit.id] = Skipped(commit, found)
        elif found.exit_code == WORSE:
            worse, verdict = commit, found
        elif found.exit_code == _PASSED:
            not_worse.append(commit)
        else:
            skipped[commit.id] = Skipped(commit, headline(found))
    return Bisection(
        good=good,
        bad=bad,
        worse=worse,
        verdict=verdict,
        skipped=tuple(skipped.values()),
        suspects=tuple(skipped[each].commit for each in left),
    )


def _verdict(gated: Gated, commit: Commit) -> GateVerdict | str:
    """Or why there is none."""
    try:
        return gated(commit)
    except BuildError as error:
        return error.reason.partition("\n")[0]
    except NothingMeasuredError as error:
        return str(error)

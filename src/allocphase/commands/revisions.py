"""What `allocphase gate` has for revisions of a repository: options, and git's own bisection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from allocphase.commands.shared import say
from allocphase.errors import AllocphaseError, UsageError

if TYPE_CHECKING:
    from allocphase.gate.revisions import Revisions

__all__ = [
    "GIT_BISECT",
    "RevisionOptions",
    "as_git_bisect_wants",
    "recipe_options",
    "revision_options",
]

# `git bisect run` takes 1 to 124 for bad, skips a commit at 125, and stops at 128 and above.
GOOD, BAD, SKIPPED, BROKEN = 0, 1, 125, 128
GIT_BISECT = {0: GOOD, 3: BAD, 4: SKIPPED, 5: SKIPPED}

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionOptions:
    """Where revisions come from and how they are built, as it was given; None: it was not."""

    repo: Path | None
    build: str | None
    object_spec: str | None
    bisect: str | None = None

    def opened(self) -> Revisions | None:
        """None without a repository. Raises UsageError."""
        from allocphase.gate.repository import Repository
        from allocphase.gate.revisions import Recipe, Revisions

        if self.repo is None:
            given = {"build": self.build, "object": self.object_spec, "bisect": self.bisect}
            for name, value in given.items():
                if value is not None:
                    raise UsageError(f"--{name} is for --repo DIR")
            return None
        recipe = Recipe.read(self.build, self.object_spec)
        return Revisions(Repository.at(self.repo), recipe, lambda line: say(line, err=True))

    def notes(self) -> tuple[str, ...]:
        """What the verdict has to say of the repository."""
        opened = self.opened()
        return opened.notes() if opened else ()


def revision_options(command: _Command) -> _Command:
    """--repo, --build, --object and --bisect."""
    command = click.option(
        "--bisect",
        metavar="GOOD..BAD",
        help="Find the first commit that is worse than GOOD; skips what cannot be told.",
    )(command)
    return recipe_options("A git repository: --baseline and --candidate are revisions of it.")(
        command
    )


def recipe_options(repository: str) -> Callable[[_Command], _Command]:
    """--repo, which is for what `repository` says, --build and --object."""
    options = (
        click.option("--repo", metavar="DIR", type=click.Path(path_type=Path), help=repository),
        click.option(
            "--build",
            metavar="COMMAND",
            help="What a shell runs in a revision's files; {source} and {build} are its folders.",
        ),
        click.option(
            "--object",
            "object_spec",
            metavar="[NAME=]FILE[?KEY=VALUE]",
            help="What it makes, such as {build}/libmine.so, or a C file or folder in {source}.",
        ),
    )

    def with_options(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return with_options


@contextmanager
def as_git_bisect_wants(ctx: click.Context) -> Iterator[None]:
    """What cannot be built or measured is skipped; whatever else goes wrong goes wrong at every
    commit.
    """
    from allocphase.gate.builds import BuildError

    try:
        yield
    except AllocphaseError as error:
        say(f"allocphase: {error}", err=True)
        otherwise = SKIPPED if isinstance(error, BuildError) else BROKEN
        ctx.exit(GIT_BISECT.get(error.exit_code, otherwise))

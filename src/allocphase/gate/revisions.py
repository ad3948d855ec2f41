"""The arms of a gate between revisions: an object of each, and what the verdict says of them.

A recipe says how a revision becomes an object: a command for a shell, and an allocator's
specification (spec.py), in both of which {source} and {build} stand for the revision's folders.

Place in the pipeline: above builds; what it gives is gated like any other arms.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.allocator import Allocator
from allocphase.errors import NothingMeasuredError, UsageError, shown
from allocphase.gate.arms import Arms, named_arm
from allocphase.gate.builds import SOURCE_AND_BUILD, BuildError, Tree, build_revision
from allocphase.gate.repository import Commit, Repository
from allocphase.spec import Spec, base_name

__all__ = ["Recipe", "Revisions"]

# A name in braces that no shell reads otherwise.
_BRACES = re.compile(r"(?<!\$)\{(\w+)\}")
# Of objects and sources: libmine.so.2.1, mine.c.
_ENDING = re.compile(r"\.(so[.\d]*|c)$")
_OBJECT = "--object wants [NAME=]FILE[?KEY=VALUE] with {build} or {source} in FILE"


@dataclass(frozen=True, slots=True)
class Recipe:
    """build: what a shell runs in {source}, empty for nothing. object: the specification of what it
    makes, or of what lies in the revision itself: a plug-in, a preload, a plug-in's C file or its
    folder.
    """

    build: str
    object: Spec

    @classmethod
    def read(cls, build: str | None, text: str | None) -> Recipe:
        """As --build and --object have it. Raises UsageError."""
        if not text:
            raise UsageError(f"{_OBJECT}: what the revision is measured by")
        for option, value in (("--build", build or ""), ("--object", text)):
            _refuse_misspelt(option, value)
        spec = Spec.of_allocator(text, where="--object: ")
        file = spec.name if spec.file is None else spec.file
        if not any(place in file for place in SOURCE_AND_BUILD):
            raise UsageError(f"--object {shown(text)}: the same file of every revision: {_OBJECT}")
        if not build and "{source}" not in file:
            raise UsageError(f"--object {shown(text)}: nothing is built without --build COMMAND")
        return cls(build or "", replace(spec, file=file, named=spec.named and spec.name != file))

    def arm(self, tree: Tree, commit: Commit) -> Allocator:
        """What a revision is measured by. Raises UsageError where its object is not there."""
        assert self.object.file is not None, "`read` gives it one"
        path = Path(tree.filled(self.object.file))
        if not path.exists():
            raise UsageError(f"{path} is not there{_objects_in(tree)}: see --object")
        name = self.object.name if self.object.named else _ENDING.sub("", path.name)
        spec = replace(self.object, name=name, file=str(path), named=True)
        found = named_arm(str(spec))
        base = base_name(found.name)
        return replace(found, name=f"{base}@{commit.short}{found.name.removeprefix(base)}")


def _refuse_misspelt(option: str, text: str) -> None:
    for name in _BRACES.findall(text):
        place = f"{{{name}}}"
        near = difflib.get_close_matches(place, SOURCE_AND_BUILD, n=1, cutoff=0.6)
        if place not in SOURCE_AND_BUILD and near:
            raise UsageError(f"{option}: {place} stands for nothing: did you mean {near[0]}?")


def _objects_in(tree: Tree) -> str:
    """A few that may have been meant."""
    found = [path for folder in (tree.build, tree.source) for path in folder.rglob("*.so*")]
    shown_paths = ", ".join(str(path.relative_to(tree.folder)) for path in sorted(found)[:3])
    return f", but there is {shown_paths}" if found else ""


@dataclass(frozen=True, slots=True)
class Revisions:
    """A repository whose revisions are gated. say: is told of what takes long."""

    repository: Repository
    recipe: Recipe
    say: Callable[[str], None]

    def arms(self, baseline: str | None, candidate: str) -> Arms:
        """Of two revisions, by any name that git knows; no baseline where that was saved.

        Raises NothingMeasuredError where there is no such baseline, UsageError where there is no
        such candidate, and as `arms_of`.
        """
        try:
            old = self.repository.commit(baseline) if baseline else None
        except UsageError as error:
            raise NothingMeasuredError(f"baseline: {error}") from None
        try:
            new = self.repository.commit(candidate)
        except UsageError as error:
            raise UsageError(f"candidate: {error}") from None
        return self.arms_of(old, new)

    def arms_of(self, baseline: Commit | None, candidate: Commit) -> Arms:
        """Built if they were not before. Raises BuildError where that is the candidate's fault,
        and UsageError where it is the baseline's: no other candidate would help.
        """
        try:
            old = self._arm(baseline) if baseline else None
        except BuildError as error:
            raise UsageError(f"baseline: {error}") from None
        return Arms(old, self._arm(candidate))

    def _arm(self, commit: Commit) -> Allocator:
        """Raises BuildError, also where the revision is built and its object is not there."""
        tree = build_revision(self.repository, commit, self.recipe.build, say=self.say)
        try:
            return self.recipe.arm(tree, commit)
        except UsageError as error:
            raise BuildError(commit, str(error)) from None

    def notes(self) -> tuple[str, ...]:
        """What a reader of the verdict may not expect."""
        if not self.repository.has_changes():
            return ()
        folder = self.repository.folder
        return (f"{folder} has changes that are not committed: they are in no revision",)

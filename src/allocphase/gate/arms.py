"""The arms of a gate: the baseline, its twin and the candidate.

Every round measures fresh copies of the objects, side by side in one folder, under names of equal
length: so the arms share a file system, their paths move the stack alike, and where a copy lies in
the page cache is drawn anew for each round, as part of its noise. libc cannot be copied: its twin
is libc itself once more.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.allocator import Allocator, collected
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.files.durable import copy_whole
from allocphase.judge import BASELINE, CANDIDATE, TWIN, ArmEntry
from allocphase.run.prepare import making
from allocphase.run.request import one_allocator
from allocphase.spec import base_name

__all__ = [
    "Arms",
    "Copies",
    "baseline_arm",
    "candidate_arm",
    "describe_arm",
    "fresh_copies",
    "named_arm",
]


@dataclass(frozen=True, slots=True)
class Arms:
    """What is compared, under the names that the user gave. No baseline: it was saved before."""

    baseline: Allocator | None
    candidate: Allocator


def baseline_arm(spec: str) -> Allocator:
    """The baseline that `spec` names. Raises NothingMeasuredError when there is none such."""
    try:
        return named_arm(spec)
    except UsageError as error:
        raise NothingMeasuredError(f"baseline: {error}") from None


def candidate_arm(spec: str) -> Allocator:
    """The candidate that `spec` names. Raises UsageError."""
    try:
        return named_arm(spec)
    except UsageError as error:
        raise UsageError(f"candidate: {error}") from None


def named_arm(spec: str) -> Allocator:
    """One allocator to be gated. Raises UsageError."""
    chosen = one_allocator(spec, reason="a gate compares one with one")
    if not chosen.correct:
        raise UsageError(f"allocator {chosen.name} is the floor: its blocks overlap")
    return _with_settings_of_the_name(chosen)


def _with_settings_of_the_name(chosen: Allocator) -> Allocator:
    """`phase3=./new.so` is another build of phase3: it gets what the collection gives phase3. A
    folder has its own allocator.toml.
    """
    if chosen.described:
        return chosen
    known = collected().get(base_name(chosen.name))
    if known is None or known.kind != chosen.kind:
        return chosen
    kept = chosen.keeping(known.environment)
    return replace(kept, config={**known.config, **chosen.config})


def describe_arm(arm: Allocator) -> ArmEntry:
    """What the verdict says of an arm."""
    return ArmEntry(
        name=arm.name,
        kind=arm.kind,
        path=str(arm.path) if arm.path else None,
        sha256=arm.sha256(),
        config=arm.config,
    )


class Copies:
    """The objects of the arms, copied anew for each round.

    arms: by label, as a run takes them, with the copies of the first round.
    """

    def __init__(self, chosen: Mapping[str, Allocator], folder: Path) -> None:
        self._chosen = chosen
        self._folder = folder
        self._round = 0
        self._paths = self._copied()
        self.arms = [self._arm(label) for label in chosen]

    def renew(self) -> None:
        """Other copies from now on; those before are gone. Raises AllocphaseError."""
        before = self._paths
        self._round += 1
        self._paths = self._copied()
        for path in before.values():
            path.unlink()

    def current(self, arm: Allocator) -> Allocator:
        """The arm with its copy of this round; what is no arm, and libc, as it is."""
        return replace(arm, path=self._paths.get(arm.name, arm.path))

    def _copied(self) -> dict[str, Path]:
        paths = {}
        for position, (label, arm) in enumerate(self._chosen.items()):
            if arm.path is not None:
                path = self._folder / f"{self._round:04}-{position}.so"
                copy_whole(arm.path, path)
                paths[label] = path
        return paths

    def _arm(self, label: str) -> Allocator:
        arm = self._chosen[label]
        named = replace(
            arm,
            name=label,
            title=f"{label}: {arm.name}",
            summary=f"The {label}: {arm.name}. {arm.summary}",
        )
        return self.current(named)


@contextmanager
def fresh_copies(arms: Arms, folder: Path, *, twin: bool) -> Iterator[Copies]:
    """The arms of one session, under their labels, with copies that go away afterwards.

    `folder` is where run directories go: it lets objects be loaded, as /tmp does not everywhere.
    Raises as `making`, when it cannot be written.
    """
    labels = {BASELINE: arms.baseline, **({TWIN: arms.baseline} if twin else {})}
    chosen = {label: arm for label, arm in labels.items() if arm is not None}
    with making(folder, out=folder):
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".objects-", dir=folder)
    with scratch as name:
        yield Copies({**chosen, CANDIDATE: arms.candidate}, Path(name).resolve())

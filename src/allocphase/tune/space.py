"""The settings to try: every combination of the values that a specification names, or else of those
that the allocator.toml calls of interest (`tune`), each beside leaving its key alone.

The default, which is the allocator with none of these, is no point of the space: everything is
held against it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from allocphase.allocator import Allocator
from allocphase.errors import AllocphaseError, UsageError
from allocphase.gate.arms import named_arm
from allocphase.spec import Spec

__all__ = ["MOST_ARMS", "Space", "space_of"]

# Each has to be measured some times: more than these take an hour.
MOST_ARMS = 512


@dataclass(frozen=True, slots=True)
class Space:
    """default: the allocator as it is; arms: it with settings, each another one. notes: what was
    left out.
    """

    default: Allocator
    arms: Sequence[Allocator]
    notes: tuple[str, ...] = ()


def space_of(text: str) -> Space:
    """What `NAME?KEY=VALUE,VALUE` or a bare NAME comes to. Raises UsageError."""
    spec = Spec.of_allocator(text)
    default = named_arm(str(replace(spec, settings=())))
    points, notes = (spec.points(), ()) if spec.settings else _suggested(default)
    if len(points) > MOST_ARMS:
        raise UsageError(f"{text}: {len(points)} settings, at most {MOST_ARMS} can be searched")
    arms = [arm for arm in map(default.with_settings, points) if not _alike(arm, default)]
    if not arms:
        raise UsageError(f"{text}: that is the default: there is nothing to search")
    return Space(default, arms, notes)


def _alike(arm: Allocator, default: Allocator) -> bool:
    return arm.config == default.config and arm.environment == default.environment


def _suggested(default: Allocator) -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """Every combination of the values of interest but that of none, and which keys this build of
    the allocator knows nothing of.
    """
    form = default.settings_form
    values = {key: known.tune for key, known in form.keys.items() if known.tune} if form else {}
    ignored = _ignored(default, values)
    axes = {key: tried for key, tried in values.items() if key not in ignored}
    if not axes:
        raise UsageError(_no_values(default))
    if math.prod(len(tried) + 1 for tried in axes.values()) > MOST_ARMS + 1:
        raise UsageError(
            f"{default.name}: its allocator.toml suggests more than {MOST_ARMS} settings: name "
            f"some, {_example(default)}"
        )
    choices = [[None, *((key, value) for value in tried)] for key, tried in axes.items()]
    points = [dict(filter(None, point)) for point in itertools.product(*choices)]
    notes = [f"{default.name}: this build knows nothing of {', '.join(ignored)}"] if ignored else []
    return [point for point in points if point], tuple(notes)


def _ignored(default: Allocator, values: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    try:
        everything = default.with_settings({key: tried[0] for key, tried in values.items()})
        return everything.ignored_settings()
    except OSError as error:
        raise AllocphaseError(f"{error.filename}: {error.strerror}") from error


def _no_values(default: Allocator) -> str:
    return f"{default.name}: no values to try are declared for it: name some, {_example(default)}"


def _example(default: Allocator) -> str:
    """How values are named; with a key of its own, where one is known."""
    known = default.settings_form.keys if default.settings_form else default.config
    key = next(iter(known), "KEY")
    return f"as in -a '{default.name}?{key}=VALUE,VALUE'"

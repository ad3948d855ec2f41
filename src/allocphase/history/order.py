"""In which order the points of a series stand."""

from __future__ import annotations

from collections.abc import Iterable

from allocphase.history.model import Point

__all__ = ["in_order"]


def in_order(points: Iterable[Point]) -> tuple[bool, tuple[Point, ...]]:
    """Whether commits order them, and the points in their order.

    By the topology of commits where a repository has told it of each: a commit has more ancestors
    than any that it came from. Else by the time at which the runs started.
    """
    found = list(points)
    by_commit = bool(found) and all(p.commit and p.commit.ancestors is not None for p in found)
    key = _commit_order if by_commit else _time_order
    return by_commit, tuple(sorted(found, key=key))


def _commit_order(point: Point) -> tuple[int, str, str, str, int]:
    commit = point.commit
    assert commit is not None, "all of them have one"
    return commit.ancestors or 0, commit.time, commit.hash, point.time, point.run.id


def _time_order(point: Point) -> tuple[str, int]:
    return point.time, point.run.id

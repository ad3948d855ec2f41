"""Items that are made ahead: the same ones, errors where they come, and no thread that is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from allocphase.recorder.ahead import ahead


def counting(end: int, made: list[int]) -> Iterator[int]:
    for number in range(end):
        made.append(number)
        yield number
    if end % 2:
        raise ValueError("behind the last")


@pytest.mark.parametrize("end", [0, 2, 100])
def test_all_come_in_their_order(end: int) -> None:
    assert list(ahead(counting(end, []))) == list(range(end))


def test_what_the_source_raises_comes_behind_what_it_yielded() -> None:
    items = ahead(counting(7, []))
    assert [next(items) for _ in range(7)] == list(range(7))
    with pytest.raises(ValueError, match="behind the last"):
        next(items)


def test_who_takes_no_more_leaves_no_thread_and_little_unused() -> None:
    made: list[int] = []
    items = ahead(counting(1000, made))
    assert next(items) == 0
    items.close()
    assert len(made) <= 6
    assert not [one for one in threading.enumerate() if one.name.startswith("ahead")]

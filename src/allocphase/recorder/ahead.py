"""What an iterator yields, made ahead in a thread of its own.

Reading a recording and making its trace are both numpy's work, which lets other threads run
meanwhile: on two cores they overlap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

__all__ = ["ahead"]

T = TypeVar("T")
_MOST = 4  # that are made and not yet taken
_END: Final = object()


def ahead(source: Iterator[T]) -> Generator[T]:
    """The same items in the same order. What `source` raises is raised where its item was to come;
    no thread is left, whenever the taker ends.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        waiting = deque(pool.submit(next, source, _END) for _ in range(_MOST))
        while (item := waiting.popleft().result()) is not _END:
            waiting.append(pool.submit(next, source, _END))
            yield item  # type: ignore[misc]  # it is no _END

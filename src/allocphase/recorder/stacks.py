"""Free slots: a stack for each thread, so that a slot is used again by the thread that freed it,
the last one first.

So no order between threads comes of a slot that is used again, as little as of an address, and the
driver's table stays as small and as warm as the objects that live. A chunk of pushes and pops is
matched at once: a pop takes what was pushed last at its height.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NEW", "SlotStack"]

Indices = npt.NDArray[np.signedinteger[Any]]
# Of a pop: there was nothing on the stack.
NEW = -1


@dataclass(slots=True)
class Matching:
    """What the pops of a chunk take. `pushed`: by pop, which push it takes, or NEW; `held`: by pop,
    which slot from before the chunk, or NEW.
    """

    pushed: Indices
    held: Indices
    depth: int
    levels: Indices  # of the pushes that stay, from 0
    left: Indices  # which pushes these are


@dataclass(slots=True)
class SlotStack:
    """The free slots of one thread."""

    slots: npt.NDArray[np.uint32] = field(default_factory=lambda: np.zeros(64, dtype=np.uint32))
    depth: int = 0

    def match(self, pushes: npt.NDArray[np.bool_]) -> Matching:
        """`pushes`: of each step in order, whether it is a push or a pop; at most 2^16 steps."""
        raw = np.cumsum(pushes.view(np.int8) * np.int8(2) - np.int8(1), dtype=np.int32)
        raw += self.depth
        floor = np.minimum(np.minimum.accumulate(raw), 0)
        height = raw - floor  # after the step
        fresh = np.diff(floor, prepend=0) < 0
        level = np.where(pushes, height - 1, height)  # of the place that is filled or emptied
        chosen = np.flatnonzero(~fresh)
        levels = level[chosen]
        low = int(levels.min()) if len(levels) else 0
        order = chosen[np.argsort((levels - low).astype(np.uint16), kind="stable")]
        grouped, is_push = level[order], pushes[order]
        follows = np.zeros(len(order), dtype=np.bool_)
        follows[1:] = grouped[1:] == grouped[:-1]
        pops = np.flatnonzero(~is_push)
        number = np.cumsum(pushes, dtype=np.int32) - 1  # of a push
        pop_number = np.arange(len(pushes), dtype=np.int32) - number - 1
        pushed = np.full(int(np.count_nonzero(~pushes)), NEW, dtype=np.int32)
        held = pushed.copy()
        inside = pops[follows[pops]]
        pushed[pop_number[order[inside]]] = number[order[inside - 1]]
        outside = pops[~follows[pops]]
        held[pop_number[order[outside]]] = self.slots[grouped[outside]]
        last = np.ones(len(order), dtype=np.bool_)
        last[:-1] = ~follows[1:]
        left = np.flatnonzero(last & is_push)
        depth = int(height[-1]) if len(height) else self.depth
        return Matching(pushed, held, depth, grouped[left], number[order[left]])

    def settle(self, matching: Matching, pushed: npt.NDArray[np.uint32]) -> None:
        """The stack after the chunk; `pushed`: the slot of each push."""
        if matching.depth > len(self.slots):
            room = np.zeros(max(matching.depth, 2 * len(self.slots)), dtype=np.uint32)
            room[: len(self.slots)] = self.slots
            self.slots = room
        self.slots[matching.levels] = pushed[matching.left]
        self.depth = matching.depth

"""Call stacks of an allocator and what was spent in each; and the tree that they make.

A stack begins with the function that was called from outside of the allocator: what the replay or
the program takes by itself is no stack, but a share beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["FOREIGN", "Frame", "Kind", "Node", "Profile", "Share", "Stacks", "costliest", "tree"]


class Kind(StrEnum):
    """Whose code a frame is."""

    ALLOCATOR = "allocator"
    OTHER = "other"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True)
class Frame:
    """One function. object: the name of its file. source: FILE:LINE of its costliest line, "" where
    that is not known; one function has it from its first stack.
    """

    name: str
    object: str
    kind: Kind
    source: str = field(default="", compare=False)

    @property
    def place(self) -> str:
        """Where to look."""
        return self.source or self.object


Stacks = Mapping[tuple[Frame, ...], int]
# What is spent outside of the allocator, in the words of the page.
FOREIGN = (
    "the replay itself",
    "the program itself",
    "start and end of the process, and its keeper",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Of one allocator. tool: "callgrind" or "perf"; unit: of the figures, "instructions" or
    "samples". stacks: outermost first. rest: what others than the allocator took, by what that is.
    per_op: of the allocator an operation, in `op_unit`; None of a program. how: what was done, in a
    few words. notes: what a reader must know.
    """

    allocator: str
    tool: str
    unit: str
    stacks: Stacks
    rest: Mapping[str, int]
    how: str
    per_op: float | None = None
    op_unit: str = ""
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """The allocator's."""
        return sum(self.stacks.values())

    @property
    def shares(self) -> list[Share]:
        """Of all that was seen: the allocator's own code, what it called, the kernel for it, the
        rest.
        """
        inner = dict.fromkeys(Kind, 0)
        for stack, cost in self.stacks.items():
            inner[stack[-1].kind] += cost
        words = {
            Kind.ALLOCATOR: "the allocator's own code",
            Kind.OTHER: "libraries that it calls",
            Kind.KERNEL: "the kernel, for it",
        }
        parts = [(words[kind], kind.value, cost) for kind, cost in inner.items()]
        parts += [(name, "rest", cost) for name, cost in self.rest.items()]
        every = sum(cost for *_, cost in parts) or 1
        return [Share(name, look, cost / every) for name, look, cost in parts if cost]


@dataclass(frozen=True, slots=True)
class Share:
    """Of all that was seen, a part from 0 to 1; look: a class of the style sheet."""

    name: str
    look: str
    part: float


@dataclass(slots=True)
class Node:
    """A frame in its place: what it took by itself, and with all below."""

    frame: Frame
    own: int = 0
    total: int = 0
    below: dict[Frame, Node] = field(default_factory=dict)

    @property
    def children(self) -> list[Node]:
        """The costliest first."""
        return _sorted(self.below.values())


def tree(stacks: Stacks) -> list[Node]:
    """The functions that are called from outside, the costliest first."""
    roots: dict[Frame, Node] = {}
    for stack, cost in stacks.items():
        level, node = roots, None
        for frame in stack:
            node = level.setdefault(frame, Node(frame))
            node.total += cost
            level = node.below
        if node is not None:
            node.own += cost
    return _sorted(roots.values())


def costliest(stacks: Stacks, most: int) -> list[tuple[Frame, int]]:
    """The functions that took the most by themselves, wherever they stand."""
    own: dict[Frame, int] = {}
    for stack, cost in stacks.items():
        own[stack[-1]] = own.get(stack[-1], 0) + cost
    return sorted(own.items(), key=lambda one: (-one[1], one[0].name))[:most]


def _sorted(nodes: Iterable[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: (-node.total, node.frame.name))


def merged(stack: Sequence[Frame]) -> tuple[Frame, ...]:
    """Without a frame that is the one before it: what calls itself, or has no name of its own."""
    return tuple(
        frame for place, frame in enumerate(stack) if not place or frame != stack[place - 1]
    )

"""A queue: producers allocate objects in batches, consumers free them.

Producer and consumer are a pair: threads 0 and 1, 2 and 3, ..., so that two CPUs and more have
one of each. A single thread is both by turns: the same operations, and nothing is handed over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, ParameterError, parameter
from allocphase.scenario.families.weave import Life, in_step
from allocphase.trace.records import Draft, Kind, kind_of, operations

__all__ = ["QUEUE"]

Indices = npt.NDArray[np.int64]

POINTER_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    threads: int = parameter(
        "half of them producers, each with a consumer; 1: both in one",
        default=2,
        minimum=1,
        maximum=64,
    )
    batches: int = parameter(
        "batches of all producers, rounded up to whole turns of the queue", minimum=1
    )
    batch_objects: int = parameter("objects in a batch", minimum=2)
    queued: int = parameter("batches that wait for each consumer, at most", minimum=1)
    sizes: tuple[int, ...] = parameter("sizes, equally likely", minimum=1, maximum=sizes.MAX_SIZE)


def most_operations(parameters: Parameters) -> int:
    """The places of the queue count too: a hostile file asks for more of them than of batches."""
    turn = _turn(parameters.queued)
    batches = parameters.batches + parameters.threads * (turn + parameters.queued + 2)
    return 2 * batches * (parameters.batch_objects + 1)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """A batch is an array of pointers, itself allocated, and its objects.

    The global order fills the queue: the most that can be live. A run may keep it emptier.
    """
    if parameters.threads > 1 and parameters.threads % 2:
        raise ParameterError("threads", f"must be 1 or even, not {parameters.threads}")
    pairs = max(parameters.threads // 2, 1)
    draft = in_step([_pair(parameters, rng, pair=pair, pairs=pairs) for pair in range(pairs)])
    if parameters.threads == 1:
        return draft
    consumes = kind_of(draft.ops) == Kind.FREE
    pair = np.zeros(len(draft.ops), np.uint32) if draft.thread is None else draft.thread
    return replace(draft, thread=(2 * pair + consumes).astype(np.uint32))


def _turn(queued: int) -> int:
    """After so many batches all slots are used as before: see _slots."""
    return math.lcm(queued + 2, 2 * queued + 3)


def _pair(parameters: Parameters, rng: np.random.Generator, *, pair: int, pairs: int) -> Life:
    """A consumer frees a batch's last object first: it waits for that one, and so for all.

    A producer starts a batch when the consumer has taken the one that lies `queued` before the
    one before it. The build fills the queue, which is as full at the end of the steady part.
    """
    queued = parameters.queued
    ahead, turn = queued + 1, _turn(queued)
    own = max(len(range(pair, parameters.batches, pairs)), 1)
    count = ahead + -(-own // turn) * turn
    batch, produces = _schedule(count, ahead=ahead)
    slot, slot_count = _slots(count, queued=queued, objects=parameters.batch_objects)
    width = parameters.batch_objects + 1
    member = np.where(produces[:, None], np.arange(width), _freed_order(width))
    size = np.where(produces[:, None], _sizes(parameters, rng, count)[batch], 0)
    ops = operations(
        np.repeat(np.where(produces, Kind.MALLOC, Kind.FREE), width),
        pair * slot_count + np.take_along_axis(slot[batch], member, axis=1).ravel(),
        size=size.ravel(),
    )
    return Life(*np.split(ops, [ahead * width, len(ops) - ahead * width]))


def _schedule(count: int, *, ahead: int) -> tuple[Indices, npt.NDArray[np.bool_]]:
    """Which batch each step handles, and whether it produces it."""
    later = np.arange(ahead, count)
    steady = np.stack([later - ahead, later], axis=1).ravel()
    batch = np.concatenate([np.arange(ahead), steady, np.arange(count - ahead, count)])
    produces = np.concatenate(
        [np.ones(ahead, bool), np.tile([False, True], count - ahead), np.zeros(ahead, bool)]
    )
    return batch, produces


def _slots(count: int, *, queued: int, objects: int) -> tuple[Indices, int]:
    """The slot of each member, shape (batches, 1 + objects), the array first; and how many slots.

    The array takes the slot of the last object of the batch that must have been taken before;
    all other slots have been empty for a batch by then. So the producer waits for a batch to be
    taken, as at a queue that is full, and never for its single objects.
    """
    number = np.arange(count)
    ring, ends, inner = queued + 2, 2 * queued + 3, objects - 1
    first, last = (number - queued - 1) % ends, number % ends
    between = ends + (number % ring)[:, None] * inner + np.arange(inner)
    return np.concatenate([first[:, None], between, last[:, None]], axis=1), ends + ring * inner


def _freed_order(width: int) -> Indices:
    """The last object, the others in order, and the array (member 0) at last."""
    return np.concatenate([[width - 1], np.arange(1, width - 1), [0]])


def _sizes(parameters: Parameters, rng: np.random.Generator, count: int) -> Indices:
    picked = rng.integers(0, len(parameters.sizes), size=(count, parameters.batch_objects))
    array_bytes = (parameters.batch_objects + 1) * POINTER_BYTES
    first = np.full((count, 1), array_bytes)
    return np.concatenate([first, np.array(parameters.sizes)[picked]], axis=1)


QUEUE = Family(
    name="queue",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)

"""A queue: producers allocate objects in batches, consumers free them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.families import sizes
from allocphase.families.family import Family, parameter
from allocphase.layout import Draft, Kind, operations

__all__ = ["QUEUE"]

Indices = npt.NDArray[np.int64]

POINTER_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    pairs: int = parameter("producers, and as many consumers", default=1, minimum=1, maximum=32)
    batches: int = parameter("batches produced by all", minimum=1)
    batch_objects: int = parameter("objects in a batch", minimum=2)
    queued: int = parameter("batches that the queue holds at most", minimum=1)
    sizes: tuple[int, ...] = parameter("sizes, equally likely", minimum=1, maximum=sizes.MAX_SIZE)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """The global order fills the queue: the most that can be live. A run may keep it emptier.

    A batch is an array of pointers, itself allocated, and its objects. The consumer frees the
    batch's last object first: it waits for that one, and so for the whole batch, as for a queue.
    """
    count, width = parameters.batches, parameters.batch_objects + 1
    ring = min(parameters.queued + parameters.pairs, count)
    batch, produces = _schedule(count, ring)
    member = np.where(produces[:, None], np.arange(width), _freed_order(width))
    size = _sizes(parameters, rng)[batch]
    size[~produces] = 0
    ops = operations(
        np.repeat(np.where(produces, Kind.MALLOC, Kind.FREE), width),
        ((batch % ring)[:, None] * width + member).ravel(),
        size=size.ravel(),
    )
    thread = batch % parameters.pairs + np.where(produces, 0, parameters.pairs)
    return Draft(ops=ops, thread=np.repeat(thread.astype(np.uint32), width))


def _schedule(count: int, ring: int) -> tuple[Indices, npt.NDArray[np.bool_]]:
    """Which batch each step handles, and whether it produces it: ring ahead of the consumer."""
    later = np.arange(ring, count)
    steady = np.stack([later - ring, later], axis=1).ravel()
    batch = np.concatenate([np.arange(ring), steady, np.arange(count - ring, count)])
    produces = np.concatenate(
        [np.ones(ring, bool), np.tile([False, True], count - ring), np.zeros(ring, bool)]
    )
    return batch, produces


def _freed_order(width: int) -> Indices:
    """The last object, the others in order, and the array (member 0) at last."""
    return np.concatenate([[width - 1], np.arange(1, width - 1), [0]])


def _sizes(parameters: Parameters, rng: np.random.Generator) -> Indices:
    shape = (parameters.batches, parameters.batch_objects)
    picked = rng.integers(0, len(parameters.sizes), size=shape)
    array_bytes = (parameters.batch_objects + 1) * POINTER_BYTES
    first = np.full((parameters.batches, 1), array_bytes)
    return np.concatenate([first, np.array(parameters.sizes)[picked]], axis=1)


QUEUE = Family(name="queue", parameters=Parameters, draft=draft)

"""A trace of any length in constant memory: runs of one scenario, one after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from allocphase import scenario
from allocphase.trace.encoding import parts, sealed
from allocphase.trace.records import OP, Trace
from tests.support.scenarios import resolve_traced

__all__ = ["write_chunks"]


def write_chunks(path: Path, spec: str, *, chunks: int) -> None:
    """Writes a trace of `chunks` runs of the scenario, each with a seed of its own.

    A run leaves every slot empty, so that the next one may use them all again: it counts on where
    the last one's epochs end.
    """
    chosen = resolve_traced(spec)[0]
    first = scenario.generate(chosen)
    head_bytes = sum(part.nbytes for part in _head(first))
    uses = np.zeros(first.slot_count, dtype=np.uint32)
    whole = replace(first, peak_live_bytes=0)
    op_count = 0
    with path.open("wb") as file:
        file.seek(head_bytes)
        for seed in range(chosen.seed, chosen.seed + chunks):
            made = scenario.generate(replace(chosen, seed=seed))
            assert made.slot_count == first.slot_count
            if made.peak_live_bytes > whole.peak_live_bytes:
                at = op_count + made.peak_live_op
                whole = replace(whole, peak_live_bytes=made.peak_live_bytes, peak_live_op=at)
            made.ops["epoch"] += uses[made.ops["slot"]]
            uses += np.bincount(made.ops["slot"], minlength=len(uses)).astype(np.uint32)
            op_count += len(made.ops)
            file.write(made.ops.data)
    threads = first.threads.copy()
    threads["op_count"] = op_count
    threads["build_ops"] = threads["drain_ops"] = 0  # of the first run
    ops = np.memmap(path, OP, "r", head_bytes)
    with path.open("r+b") as file:
        for part in _head(sealed(replace(whole, ops=ops, threads=threads))):
            file.write(part.data)


def _head(trace: Trace) -> list[np.ndarray]:
    return list(parts(trace, digest_bytes=bytes.fromhex(trace.digest)))[:-1]

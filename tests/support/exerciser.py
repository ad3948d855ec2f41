"""Builds tests/c/exerciser.c with one of our allocators, and feeds it streams of operations."""

from __future__ import annotations

import struct
import subprocess
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.support.plugins import ROOT, digest
from tests.support.sharing import made_once

__all__ = [
    "ALIGNED_ALLOC",
    "CALLOC",
    "CORRECT",
    "FREE",
    "FREE_FOREIGN",
    "MALLOC",
    "PLUGINS",
    "PROGRAMS",
    "REALLOC",
    "REFUSING_MUNMAP",
    "SMALL_POOLS",
    "TIMEOUT_S",
    "WARNINGS",
    "Exercisers",
    "Op",
    "Outcome",
    "config_of",
    "exercise",
    "long_stream",
    "passes",
    "source_of",
]

PROGRAMS = ROOT / "tests" / "c"
EXERCISER = PROGRAMS / "exerciser.c"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'driver'}"]
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
TIMEOUT_S = 120.0

OP = struct.Struct("<BBHIIId")  # struct op of exerciser.c
MALLOC, CALLOC, REALLOC, ALIGNED_ALLOC, FREE, FREE_FOREIGN = range(6)
SHARES = {MALLOC: 0.4, CALLOC: 0.05, REALLOC: 0.1, ALIGNED_ALLOC: 0.05, FREE: 0.4}


@dataclass(frozen=True, slots=True)
class Op:
    """One operation of a stream; sizes in bytes, the hint in Hz."""

    kind: int
    slot: int = 0
    size: int = 0
    align_log2: int = 0
    class_id: int = 0
    domain: int = 0
    hint_hz: float = 0.0

    def packed(self) -> bytes:
        """As exerciser.c reads it."""
        tag = (self.class_id, self.domain, self.hint_hz)
        return OP.pack(self.kind, self.align_log2, self.slot, self.size, *tag)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an exerciser ended: 0 fine, 1 a fault, 3 init refused."""

    code: int
    stats: dict[str, float]
    message: str


def _toml(name: str) -> dict[str, object]:
    return tomllib.loads((ROOT / "allocators" / name / "allocator.toml").read_text())


def config_of(name: str) -> dict[str, object]:
    """The table [config] of an allocator of the collection."""
    config = _toml(name).get("config", {})
    assert isinstance(config, dict)
    return config


def source_of(name: str) -> Path:
    """The C source of one of our allocators."""
    return ROOT / "allocators" / name / f"{name}.c"


PLUGINS = sorted(folder.parent.name for folder in (ROOT / "allocators").glob("*/*.c"))
CORRECT = [name for name in PLUGINS if _toml(name).get("correct", True)]

# Settings that leave little room, so that what lies beyond is soon reached.
SMALL_POOLS = {
    "ariax": ["standard_pool_bytes=200000", "blocks=100"],
    "original": ["region_bytes=65536"],
    "phase1": ["region_bytes=1048576", "regions_at_init=1"],
    "phase2": ["objects_per_slab=7"],
    "phase21": ["pool_bytes=65536"],
    "phase3": ["reserve_bytes=1048576"],
}

# For the compiler: munmap fails, as when the process has as many mappings as it may have.
REFUSING_MUNMAP = ("-Wl,--wrap=munmap", str(PROGRAMS / "refusing_munmap.c"))


@dataclass(frozen=True, slots=True)
class Exercisers:
    """exercisers("phase1"): the sanitized program, compiled once; `extra` goes to the compiler."""

    folder: Path

    def __call__(self, name: str, *extra: str, main: Path = EXERCISER) -> Path:
        return self.build(source_of(name), *extra, main=main)

    def build(self, source: Path, *extra: str, main: Path = EXERCISER) -> Path:
        """The exerciser, or another program that drives a table, with any allocator's source."""
        sources = [str(main), str(source)]

        def compile_to(program: Path) -> None:
            command = ["cc", *WARNINGS, *SANITIZED, *sources, *extra, "-o", str(program)]
            subprocess.run(command, check=True)

        variant = digest(*sources, *extra)
        return made_once(self.folder / f"{variant}-{source.stem}", compile_to)


def exercise(program: Path, ops: Iterable[Op], *settings: str, check_every: int = 16) -> Outcome:
    """Runs the stream; `settings` are key=value."""
    done = subprocess.run(
        [str(program), str(check_every), *settings],
        input=b"".join(op.packed() for op in ops),
        capture_output=True,
        timeout=TIMEOUT_S,
    )
    lines = (line.rsplit(" ", 1) for line in done.stdout.decode().splitlines())
    stats = {name: float(value) for name, value in lines}
    return Outcome(done.returncode, stats, done.stderr.decode())


def passes(
    program: Path, ops: Iterable[Op], *settings: str, check_every: int = 16
) -> dict[str, float]:
    """The allocator's statistics after a stream that must not show a fault."""
    outcome = exercise(program, ops, *settings, check_every=check_every)
    assert outcome.code == 0, outcome.message
    return outcome.stats


def long_stream(seed: int, *, count: int, live: int, largest: int) -> list[Op]:
    """`count` operations on `live` slots, sizes log-uniform up to `largest` bytes."""
    rng = np.random.default_rng(seed)
    columns = [
        rng.choice(list(SHARES), count, p=list(SHARES.values())),
        rng.integers(0, live, count),
        np.exp(rng.uniform(0, np.log(largest), count)).astype(np.int64),
        rng.integers(4, 13, count),
    ]
    return [Op(*row) for row in np.stack(columns, axis=1).tolist()]

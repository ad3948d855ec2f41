"""Our allocators, each linked with tests/c/exerciser.c under the address and UB sanitizers."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
EXERCISER = ROOT / "tests" / "c" / "exerciser.c"
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'driver'}"]
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
OP = struct.Struct("<BBHIIId")  # struct op of exerciser.c

MALLOC, CALLOC, REALLOC, ALIGNED_ALLOC, FREE, FREE_FOREIGN = range(6)


def read_toml(name: str) -> dict[str, object]:
    return tomllib.loads((ROOT / "allocators" / name / "allocator.toml").read_text())


def config_of(name: str) -> dict[str, object]:
    config = read_toml(name).get("config", {})
    assert isinstance(config, dict)
    return config


PLUGINS = sorted(source.stem for source in (ROOT / "allocators").glob("*/*.c"))
CORRECT = [name for name in PLUGINS if read_toml(name).get("correct", True)]


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
        fields = (self.class_id, self.domain, self.hint_hz)
        return OP.pack(self.kind, self.align_log2, self.slot, self.size, *fields)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an exerciser ended: 0 fine, 1 a fault, 3 init refused."""

    code: int
    stats: dict[str, float]
    message: str


def compiler() -> str:
    path = shutil.which("cc") or shutil.which("gcc")
    assert path is not None, "a C compiler is needed: apt-get install gcc"
    return path


def exercise(program: Path, ops: Iterable[Op], *arguments: str, check_every: int = 16) -> Outcome:
    """Runs the stream; `arguments` are settings as key=value."""
    done = subprocess.run(
        [str(program), str(check_every), *arguments],
        input=b"".join(op.packed() for op in ops),
        capture_output=True,
        timeout=120,
    )
    lines = (line.rsplit(" ", 1) for line in done.stdout.decode().splitlines())
    stats = {name: float(value) for name, value in lines}
    return Outcome(done.returncode, stats, done.stderr.decode())


def passes(program: Path, ops: Iterable[Op], *arguments: str, check_every: int = 16) -> Outcome:
    """The outcome of a stream that must not show a fault."""
    outcome = exercise(program, ops, *arguments, check_every=check_every)
    assert outcome.code == 0, outcome.message
    return outcome


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Compiles an allocator with the exerciser, once for each session."""
    folder = tmp_path_factory.mktemp("exercisers")

    def build_one(name: str) -> Path:
        program = folder / name
        if not program.exists():
            source = ROOT / "allocators" / name / f"{name}.c"
            command = [compiler(), *WARNINGS, *SANITIZED, EXERCISER, source, "-o", program]
            subprocess.run([str(part) for part in command], check=True)
        return program

    return build_one


sizes = st.one_of(
    st.integers(0, 40),
    st.integers(0, 300),
    st.integers(0, 4_000),
    st.integers(0, 70_000),
    st.sampled_from([200_000, 1_000_000, 3_000_000, 9_000_000]),
)
slots = st.integers(0, 23)
operations = st.one_of(
    st.builds(Op, st.just(MALLOC), slots, sizes),
    st.builds(Op, st.just(CALLOC), slots, sizes),
    st.builds(Op, st.just(REALLOC), slots, sizes),
    st.builds(Op, st.just(ALIGNED_ALLOC), slots, sizes, st.integers(0, 21)),
    st.builds(Op, st.just(FREE), slots),
    st.builds(Op, st.just(FREE), slots),
)

in_processes = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize("name", CORRECT)
@in_processes
@given(stream=st.lists(operations, max_size=120))
def test_any_stream_of_operations_is_served_without_a_fault(
    build: Callable[[str], Path], name: str, stream: list[Op]
) -> None:
    passes(build(name), stream)


def long_stream(seed: int, *, count: int, live: int, largest: int) -> list[Op]:
    """`count` operations on `live` slots, sizes log-uniform up to `largest` bytes."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(
        [MALLOC, CALLOC, REALLOC, ALIGNED_ALLOC, FREE], count, p=[0.4, 0.05, 0.1, 0.05, 0.4]
    )
    log_sizes = rng.uniform(0, np.log(largest), count)
    columns = (kinds, rng.integers(0, live, count), np.exp(log_sizes), rng.integers(4, 13, count))
    return [Op(int(k), int(s), int(b), int(a)) for k, s, b, a in zip(*columns, strict=True)]


@pytest.mark.parametrize("name", CORRECT)
def test_long_churn_of_small_blocks_is_served_without_a_fault(
    build: Callable[[str], Path], name: str
) -> None:
    passes(build(name), long_stream(1, count=20_000, live=600, largest=8_192), check_every=1_000)


@pytest.mark.parametrize("name", CORRECT)
def test_large_blocks_beyond_every_pool_are_served_without_a_fault(
    build: Callable[[str], Path], name: str
) -> None:
    sizes_mib = [5, 25, 7, 12, 25, 19, 6, 25, 10, 14]
    stream = [Op(MALLOC, slot, mib << 20) for slot, mib in enumerate(sizes_mib)]
    stream += [Op(FREE, slot) for slot in range(0, 10, 2)]
    stream += [Op(REALLOC, slot, (slot + 3) << 20) for slot in range(10)]
    passes(build(name), stream, check_every=1)


SMALL_POOLS = {
    "original": ["region_bytes=65536"],
    "phase1": ["region_bytes=1048576", "regions_at_init=1"],
    "phase2": ["objects_per_slab=7"],
    "phase21": ["pool_bytes=65536"],
    "phase3": ["reserve_bytes=1048576"],
    "ariax": ["standard_pool_bytes=200000", "blocks=100"],
}


@pytest.mark.parametrize("name", SMALL_POOLS)
def test_an_allocator_whose_pool_is_too_small_grows_or_falls_back(
    build: Callable[[str], Path], name: str
) -> None:
    stream = long_stream(2, count=6_000, live=700, largest=60_000)
    passes(build(name), stream, *SMALL_POOLS[name], check_every=200)


def test_phase21_counts_each_allocation_as_a_hit_or_a_miss(build: Callable[[str], Path]) -> None:
    stream = [Op(MALLOC, slot, 4_096) for slot in range(20)]
    stats = passes(build("phase21"), stream, "pool_bytes=65536").stats
    assert stats["pool_used_bytes"] == stats["pool_peak_used_bytes"] == 16 * 4_096
    assert stats["pool_misses"] == 4
    assert stats["pool_hit_rate"] == 16 / 20


# ---- Configuration and the exported symbol ----------------------------------------------


def arguments_of(name: str) -> list[str]:
    return [f"{key}={value}" for key, value in config_of(name).items()]


@pytest.mark.parametrize("name", CORRECT)
def test_the_defaults_of_the_toml_are_accepted(build: Callable[[str], Path], name: str) -> None:
    passes(build(name), [Op(MALLOC, 0, 100)], *arguments_of(name))


@pytest.mark.parametrize("name", CORRECT)
def test_the_defaults_of_the_toml_are_those_of_the_source(name: str) -> None:
    source = (ROOT / "allocators" / name / f"{name}.c").read_text()
    declared = re.findall(r"^static (?:size_t|double) (\w+) = ([\d.]+);", source, re.MULTILINE)
    keys = re.findall(r'\{"(\w+)", \.(?:whole|real) = &\1,', source)
    defaults = {key: float(value) for key, value in declared if key in keys}
    assert sorted(keys) == sorted(config_of(name))
    assert defaults == config_of(name)


@pytest.mark.parametrize("name", CORRECT)
@pytest.mark.parametrize(
    "value", ["", " 4096", "-1", "+1", "0x1000", "1e", "nan", "99999999999999999999"]
)
def test_a_setting_that_is_no_number_in_range_is_refused(
    build: Callable[[str], Path], name: str, value: str
) -> None:
    for key in config_of(name):
        outcome = exercise(build(name), [], f"{key}={value}")
        assert (outcome.code, outcome.message) == (3, "init: Invalid argument\n"), key


@pytest.mark.parametrize("name", CORRECT)
def test_a_setting_that_the_allocator_does_not_know_is_refused(
    build: Callable[[str], Path], name: str
) -> None:
    outcome = exercise(build(name), [], "misspelt=1")
    assert (outcome.code, outcome.message) == (3, "init: Invalid argument\n")


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_exports_its_table_and_nothing_else(tmp_path: Path, name: str) -> None:
    library = tmp_path / f"{name}.so"
    source = ROOT / "allocators" / name / f"{name}.c"
    flags = ["-O2", "-fPIC", "-shared", "-fvisibility=hidden"]
    command = [compiler(), *WARNINGS, *flags, str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    nm = ["nm", "--dynamic", "--defined-only", "--format=posix", str(library)]
    listing = subprocess.run(nm, check=True, capture_output=True, text=True).stdout
    assert [line.split()[0] for line in listing.splitlines()] == ["allocphase_plugin"]


# ---- The exerciser itself: it must find what it is there to find --------------------------

FAULTY = r"""
#include <stdlib.h>
#include <string.h>
#include "allocphase.h"

static _Alignas(4096) char memory[1 << 20];
static size_t used;

static int f_init(const struct allocphase_config *config) { return (int)config->count * 0; }
static void f_fini(void) {}
static void f_free(void *block) { (void)block; }
static void *cut(size_t alignment, size_t size) {
  if (size > sizeof memory) return NULL;
  used = (used + alignment - 1) & -alignment;
  char *block = memory + used;
  used += size + 112; /* usable_size says 100 of each */
  return memset(block, 0xa5, size);
}
static void *f_malloc(size_t size) {
  if (FAULT == 1) used = 0; /* overlap */
  return cut(FAULT == 2 ? 8 : 16, size) ;
}
static void *f_aligned(size_t alignment, size_t size) {
  if ((alignment & (alignment - 1)) != 0 || size > sizeof memory) return NULL;
  return cut(FAULT == 3 ? 16 : alignment, size);
}
static void *f_calloc(size_t count, size_t size) {
  if (count > sizeof memory || size > sizeof memory) return NULL;
  void *block = cut(16, count * size);
  return FAULT == 4 ? block : memset(block, 0, count * size);
}
static void *f_realloc(void *block, size_t size) {
  void *moved = cut(16, size);
  if (FAULT != 5 && block != NULL) memcpy(moved, block, size);
  return moved;
}
static size_t f_usable(const void *block) { return block != NULL && FAULT == 6 ? 1 : 100; }
static const char *f_check(void) { return FAULT == 7 ? "broken on purpose" : NULL; }
static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION, .init = f_init, .fini = f_fini, .malloc = f_malloc,
    .free = f_free, .calloc = f_calloc, .realloc = f_realloc, .aligned_alloc = f_aligned,
    .usable_size = f_usable, .check = f_check,
};
const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
"""

FAULTS = {
    0: "",
    1: "operation 1 (malloc): the block overlaps a live one",
    2: "the block is not aligned",
    3: "operation 2 (aligned_alloc): the block is not aligned",
    4: "operation 3 (calloc): the block is not zeroed",
    5: "operation 4 (realloc): the block does not hold what was written",
    6: "operation 0 (malloc): usable_size is below the size asked for",
    7: "operation 0 (malloc): broken on purpose",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_exerciser_finds_a_fault_that_was_made_on_purpose(tmp_path: Path, fault: int) -> None:
    source, program = tmp_path / "faulty.c", tmp_path / "faulty"
    source.write_text(FAULTY)
    command = [compiler(), *WARNINGS, "-O1", f"-DFAULT={fault}", EXERCISER, source, "-o", program]
    subprocess.run([str(part) for part in command], check=True)
    stream = [
        Op(MALLOC, 0, 100),
        Op(MALLOC, 1, 24),
        Op(ALIGNED_ALLOC, 2, 64, align_log2=8),
        Op(CALLOC, 3, 99),
        Op(REALLOC, 0, 90),
        Op(MALLOC, 4, 8),
        Op(FREE, 1),
    ]
    outcome = exercise(program, stream, check_every=1)
    assert outcome.code == (1 if fault else 0)
    assert FAULTS[fault] in outcome.message

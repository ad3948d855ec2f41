"""Trace files: laid out as the C header says, read as written, and refused when invalid."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocphase import trace
from allocphase.errors import AllocphaseError, UsageError
from allocphase.operation import KIND_NAMES, MAX_OPERATIONS, MAX_THREADS, MAX_WARM
from allocphase.trace import HEADER, OP, TAG, THREAD, Draft, Kind, Touch, Trace, TraceError
from allocphase.trace.encoding import MAX_META_BYTES, sealed
from allocphase.trace.records import (
    GAP_COARSE,
    NO_THREAD,
    POST,
    VERSION,
    WAIT,
    WARM_BYTES,
    WARM_OPS,
    Ops,
    Part,
    gap_codes,
    gaps_ns,
    kind_of,
)

DRIVER = Path(__file__).parents[3] / "driver"
TRACE_C = (DRIVER / "trace.c").read_text()

STRUCTS = {
    "trace_header": HEADER,
    "trace_thread": THREAD,
    "trace_tag": TAG,
    "trace_op": OP,
}
BIT_FIELDS = {"kind_flags"}

READER = """
#include <stdio.h>
#include "trace.h"
int main(int count, char **arguments) {
  FILE *file = fopen(arguments[count - 1], "rb");
  struct trace_header header;
  struct trace_op op;
  if (!file || fread(&header, sizeof header, 1, file) != 1) return 1;
  fseek(file, (long)header.op_offset, SEEK_SET);
  while (fread(&op, sizeof op, 1, file) == 1)
    printf("%u %u %u %u %u %u %u\\n", op.slot, op.size, op.epoch, (unsigned)op.tag,
           (unsigned)op.kind, (unsigned)op.flags, (unsigned)op.align_log2);
  return 0;
}
"""


def c_program(source: str, folder: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler: apt-get install gcc libc6-dev")
    path = folder / "program.c"
    path.write_text(source)
    binary = folder / "program"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{DRIVER}"]
    subprocess.run([compiler, *flags, "-o", str(binary), str(path)], check=True)
    return binary


def output(command: list[str]) -> list[str]:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def ops_of(*rows: tuple[int, int, int]) -> Ops:
    """Ops from (kind, slot, size)."""
    kind, slot, size = (np.array(column) for column in zip(*rows, strict=True))
    return trace.operations(kind, slot, size=size)


M, C, R, A, F, X, W, S = Kind


def one_thread(*rows: tuple[int, int, int], touch: Touch = Touch.NONE) -> Trace:
    return trace.complete(Draft(ops=ops_of(*rows)), touch=touch)


def two_threads(*rows: tuple[int, int, int, int]) -> Trace:
    """Ops from (thread, kind, slot, size), in the global order."""
    draft = Draft(ops=ops_of(*(row[1:] for row in rows)), thread=np.array([r[0] for r in rows]))
    return trace.complete(draft, touch=Touch.NONE)


def handed_over() -> Trace:
    return two_threads((0, M, 0, 8), (1, F, 0, 0), (1, M, 1, 16), (0, F, 1, 0))


# ---- The layout is that of driver/trace.h -------------------------------------


def test_every_field_lies_where_the_c_struct_has_it(tmp_path: Path) -> None:
    expected, lines = [], []
    for struct, dtype in STRUCTS.items():
        lines.append(f'printf("{struct} %zu\\n", sizeof(struct {struct}));')
        expected.append(f"{struct} {dtype.itemsize}")
        for name in sorted(set(dtype.names or ()) - BIT_FIELDS):
            lines.append(
                f'printf("{struct}.{name} %zu %zu\\n", offsetof(struct {struct}, {name}),'
                f" sizeof(((struct {struct} *)0)->{name}));"
            )
            assert dtype.fields is not None
            expected.append(f"{struct}.{name} {dtype.fields[name][1]} {dtype[name].itemsize}")
    source = '#include <stdio.h>\n#include "trace.h"\nint main(void) {' + "\n".join(lines) + "}"
    assert output([str(c_program(source, tmp_path))]) == expected


def test_every_enumerator_has_the_value_of_the_c_enum(tmp_path: Path) -> None:
    names = {f"TRACE_{kind.name}": int(kind) for kind in Kind}
    names |= {f"TRACE_TOUCH_{touch.name}": int(touch) for touch in Touch}
    names |= {"TRACE_WAIT": WAIT, "TRACE_POST": POST, "TRACE_KINDS": len(Kind)}
    names |= {f"TRACE_{part.name}": int(part) for part in Part} | {"TRACE_PARTS": len(Part)}
    names |= {"TRACE_VERSION": VERSION, "TRACE_NO_THREAD": NO_THREAD}
    names |= {"TRACE_MAX_THREADS": MAX_THREADS, "TRACE_MAX_WARM": MAX_WARM}
    names |= {"TRACE_WARM_OPS": WARM_OPS, "TRACE_WARM_BYTES": WARM_BYTES}
    names |= {"TRACE_GAP_COARSE": GAP_COARSE}
    names |= {"TRACE_MAX_META_BYTES": MAX_META_BYTES}
    names |= {"HISTOGRAM_KINDS": len(KIND_NAMES)}
    lines = [f'printf("{name} %u\\n", (unsigned){name});' for name in names]
    source = '#include <stdio.h>\n#include "probes/histogram.h"\nint main(void) {'
    program = c_program(source + "\n".join(lines) + "}", tmp_path)
    assert output([str(program)]) == [f"{n} {v}" for n, v in names.items()]


def test_the_kinds_have_the_names_that_the_driver_gives_them() -> None:
    table = re.search(r"trace_kind_names\[TRACE_KINDS\] = \{(.*?)\}", TRACE_C, re.DOTALL)
    assert table is not None
    assert (*re.findall(r'"(\w+)"', table[1]), "free_remote") == KIND_NAMES


def test_a_slot_s_operations_can_be_numbered_up_to_the_most_that_a_trace_may_have() -> None:
    assert np.iinfo(OP["epoch"]).max == MAX_OPERATIONS


def test_c_reads_back_each_op_that_was_written(tmp_path: Path) -> None:
    ops = ops_of((M, 0, 7), (A, 1, 4096), (C, 2, 1), (R, 2, 2), (W, 0, 0), (F, 0, 0))
    ops["size"][0], ops["size"][4], ops["align_log2"][1] = 8, 3, 12
    rows = [(1, F, 1, 0), (1, F, 2, 0), (0, M, 0, 9), (0, F, 0, 0)]
    ops = np.concatenate([ops, ops_of(*(row[1:] for row in rows))])
    made = trace.complete(
        Draft(ops=ops, thread=np.array([0] * 6 + [row[0] for row in rows])), touch=Touch.ALL
    )
    trace.write(made, tmp_path / "x.trace")
    found = output([str(c_program(READER, tmp_path)), str(tmp_path / "x.trace")])
    assert found == [
        f"{op['slot']} {op['size']} {op['epoch']} {op['tag']}"
        f" {op['kind_flags'] & 15} {op['kind_flags'] >> 4} {op['align_log2']}"
        for op in made.ops
    ]
    assert len({line.split()[5] for line in found}) > 1  # some wait or post: the flags were seen


# ---- What is written is read ---------------------------------------------------


def test_a_trace_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = handed_over()
    written = trace.write(made, tmp_path / "x.trace")
    found = trace.read(tmp_path / "x.trace")
    assert written == found.digest == made.digest
    assert (found.ops == made.ops).all()
    assert (found.threads == made.threads).all()
    assert (found.tags == made.tags).all()
    for name in ("touch", "slot_count", "peak_live_bytes", "peak_live_op", "work_ns"):
        assert getattr(found, name) == getattr(made, name)


def test_work_between_operations_makes_another_trace_of_the_same_operations(
    tmp_path: Path,
) -> None:
    made = handed_over()
    paced = sealed(replace(made, work_ns=25))
    trace.write(paced, tmp_path / "x.trace")
    found = trace.read(tmp_path / "x.trace")
    assert found.work_ns == 25
    assert found.digest == paced.digest != made.digest
    assert (found.ops == made.ops).all()


def test_a_generated_trace_says_nothing_of_what_only_a_recording_has(tmp_path: Path) -> None:
    trace.write(handed_over(), tmp_path / "x.trace")
    head = (tmp_path / "x.trace").read_bytes()[: HEADER.itemsize]
    assert not any(head[-80:])  # from work_ns on


META = b'{"origin": "made up"}'


def recorded(**changes: Any) -> Trace:
    """What a recording has: two threads that end, their order, gaps, touched bytes, a source."""
    kinds = [M, S, S, F, S, S, M, W, F]
    draft = Draft(
        ops=ops_of(*zip(kinds, [0, 1, 1, 0, 1, 1, 2, 2, 2], [99, *[0] * 5, 50, 3, 0], strict=True)),
        thread=np.array([0, 0, 1, 1, 1, 0, 0, 0, 2], dtype=np.uint32),
        lane=(0, 1, 0),
        build_ops=8,
        drain_ops=1,
        threads_end=True,
        gaps=gap_codes(np.arange(9) * 1000),
        touched=np.array([64, 0, 0, 0, 0, 0, 50, 0, 0], dtype=np.uint32),
    )
    return trace.complete(replace(draft, **changes), touch=Touch.NONE, meta=META)


@pytest.mark.parametrize("missing", [(), ("gaps",), ("touched",), ("gaps", "touched")])
def test_a_recorded_trace_is_read_as_it_was_written(
    tmp_path: Path, missing: tuple[str, ...]
) -> None:
    made = recorded(**dict.fromkeys(missing))
    trace.write(made, tmp_path / "x.trace")
    found = trace.read(tmp_path / "x.trace")
    assert (found.ops == made.ops).all()
    assert found.threads_end
    assert found.meta == META
    assert found.part_ops(Part.STEADY) == 0
    for name in ("gaps", "touched"):
        column = getattr(found, name)
        if name in missing:
            assert column is None
        else:
            assert column.tolist() == getattr(made, name).tolist() != [0] * 9


def test_columns_go_with_their_operations_to_the_threads() -> None:
    made = recorded()
    assert made.gaps is not None and made.touched is not None
    assert gaps_ns(made.gaps).tolist() == [0, 1000, 5000, 6000, 7000, 2000, 3000, 4000, 8000]
    assert made.touched[kind_of(made.ops) == M].tolist() == [64, 50]


def test_a_sync_orders_its_threads() -> None:
    made = recorded()
    flags = made.ops["kind_flags"][kind_of(made.ops) == S] >> 4
    assert flags.tolist() == [POST, WAIT, WAIT, POST]


@given(st.lists(st.integers(0, 1 << 62)))
def test_a_gap_is_exact_to_two_seconds_and_to_a_microsecond_up_to_half_an_hour(
    gaps: list[int],
) -> None:
    found = gaps_ns(gap_codes(np.array(gaps, dtype=np.uint64))).tolist()
    for gap, kept in zip(gaps, found, strict=True):
        if gap < GAP_COARSE:
            assert kept == gap
        elif gap < 2000 * 10**9:
            assert kept <= gap < kept + 1000
        else:
            assert kept > 2000 * 10**9


def test_c_reads_the_gaps_that_python_writes(tmp_path: Path) -> None:
    gaps = [0, 7, GAP_COARSE - 1, GAP_COARSE, 3 * 10**9, 10**13]
    codes = gap_codes(np.array(gaps, dtype=np.uint64))
    calls = "".join(f'printf("%llu\\n", (unsigned long long)trace_gap_ns({c}u));' for c in codes)
    source = f'#include <stdio.h>\n#include "trace.h"\nint main(void) {{{calls}}}'
    found = output([str(c_program(source, tmp_path))])
    assert found == [str(gap) for gap in gaps_ns(codes)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"touched": np.full(9, 65, dtype=np.uint32)}, "op 1 touches more than its object"),
        ({"gaps": np.zeros(8, dtype=np.uint32)}, "has gaps that are not one number"),
        (
            {"build_ops": 6, "drain_ops": 3},
            "has threads that end, and thread 0 has more than one part",
        ),
    ],
)
def test_what_a_recording_cannot_have_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(TraceError, match=reason):
        recorded(**changes)


@pytest.mark.parametrize("before", ["op_offset", "gap_offset", "touched_offset"])
def test_nothing_hides_between_the_sections(tmp_path: Path, before: str) -> None:
    path = tmp_path / "x.trace"
    trace.write(recorded(), path)
    content = np.fromfile(path, dtype=np.uint8)
    at = int(content[: HEADER.itemsize].view(HEADER)[before][0]) - 1
    assert content[at] == 0
    content[at] = 1
    path.write_bytes(content.tobytes())
    with pytest.raises(TraceError, match=f"has something before its {before}"):
        trace.read(path)


def test_the_ops_of_a_file_are_mapped_not_copied(tmp_path: Path) -> None:
    trace.write(handed_over(), tmp_path / "x.trace")
    assert isinstance(trace.read(tmp_path / "x.trace").ops, np.memmap)


def test_the_digest_is_that_of_the_file_with_its_own_field_zeroed(tmp_path: Path) -> None:
    written = trace.write(handed_over(), tmp_path / "x.trace")
    data = bytearray((tmp_path / "x.trace").read_bytes())
    assert data[16:48].hex() == written
    data[16:48] = bytes(32)
    assert hashlib.sha256(data).hexdigest() == written


def test_a_failed_write_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> Iterator[object]:
        yield np.zeros(3, np.uint8)
        raise OSError("no space left")

    made = handed_over()
    monkeypatch.setattr(trace.file, "parts", full_disk)
    with pytest.raises(AllocphaseError, match="no space"):
        trace.write(made, tmp_path / "x.trace")
    assert list(tmp_path.iterdir()) == []


# ---- Completion ----------------------------------------------------------------


def test_an_op_carries_how_many_ops_its_slot_had_before() -> None:
    made = one_thread((M, 5, 8), (M, 2, 8), (R, 5, 9), (F, 2, 0), (F, 5, 0), (M, 5, 1), (F, 5, 0))
    assert made.ops["epoch"].tolist() == [0, 0, 1, 1, 2, 3, 4]


def test_slots_are_numbered_without_gaps() -> None:
    made = one_thread((M, 700, 8), (M, 30, 8), (F, 700, 0), (F, 30, 0))
    assert made.ops["slot"].tolist() == [1, 0, 1, 0]
    assert made.slot_count == 2


def test_a_slot_that_changes_threads_posts_and_is_waited_for() -> None:
    made = handed_over()
    assert kind_of(made.ops).tolist() == [M, F, F, M]  # thread 0 first, then thread 1
    assert (made.ops["kind_flags"] >> 4).tolist() == [POST, WAIT, WAIT, POST]
    assert made.threads["first_op"].tolist() == [0, 2]
    assert made.threads["op_count"].tolist() == [2, 2]


def test_threads_of_a_lane_follow_each_other() -> None:
    draft = Draft(
        ops=ops_of((M, 0, 8), (M, 1, 8), (F, 0, 0), (F, 1, 0)),
        thread=np.array([0, 1, 2, 1]),
        lane=(0, 1, 0),
    )
    made = trace.complete(draft, touch=Touch.NONE)
    assert made.threads["predecessor"].tolist() == [NO_THREAD, NO_THREAD, 0]


def test_ops_are_counted_by_kind() -> None:
    counts = one_thread((C, 0, 8), (R, 0, 9), (W, 0, 5), (F, 0, 0)).op_counts
    assert counts == {
        "malloc": 0,
        "calloc": 1,
        "realloc": 1,
        "aligned_alloc": 0,
        "free": 1,
        "free_foreign": 0,
        "write": 1,
        "sync": 0,
    }


def test_the_peak_of_two_threads_is_named_by_its_place_in_the_file() -> None:
    made = two_threads((1, M, 0, 100), (0, M, 1, 1), (1, F, 0, 0), (0, F, 1, 0))
    assert made.peak_live_bytes == 101
    assert kind_of(made.ops)[made.peak_live_op] == M
    assert made.ops["size"][made.peak_live_op] == 1


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Random valid single-thread ops (kind, slot, size), every slot emptied at the end."""
    held: dict[int, int] = {}
    rows: list[tuple[int, int, int]] = []
    for slot in draw(st.lists(st.integers(0, 6), min_size=1, max_size=40)):
        if slot not in held:
            held[slot] = draw(st.integers(8, 1000))
            rows.append((draw(st.sampled_from([M, C])), slot, held[slot]))
            continue
        kind = draw(st.sampled_from([F, R, W]))
        size = {F: 0, W: 3}.get(kind, draw(st.integers(8, 1000)))
        rows.append((kind, slot, size))
        if kind == F:
            del held[slot]
        elif kind == R:
            held[slot] = size
    return rows + [(F, slot, 0) for slot in sorted(held)]


def peak_by_walking(rows: list[tuple[int, int, int]]) -> tuple[int, int]:
    held: dict[int, int] = {}
    live = []
    for kind, slot, size in rows:
        if kind == F:
            del held[slot]
        elif kind != W:
            held[slot] = size
        live.append(sum(held.values()))
    return max(live), live.index(max(live))


@given(programs())
def test_the_peak_is_the_one_that_a_walk_finds(rows: list[tuple[int, int, int]]) -> None:
    made = one_thread(*rows)
    assert (made.peak_live_bytes, made.peak_live_op) == peak_by_walking(rows)
    trace.validate(made)


# ---- What is invalid is refused -------------------------------------------------

BROKEN: dict[str, list[tuple[int, int, int]]] = {
    "allocates a slot that is filled": [(M, 0, 8), (M, 0, 8), (F, 0, 0)],
    "uses a slot that is empty": [(M, 0, 8), (F, 0, 0), (F, 0, 0)],
    "leaves it filled": [(M, 0, 8)],
    "is a free with a size": [(M, 0, 8), (F, 0, 8)],
    "is a realloc to nothing": [(M, 0, 8), (R, 0, 0), (F, 0, 0)],
    "is a sync of a slot that is filled": [(M, 0, 8), (S, 0, 0), (F, 0, 0)],
    "is a sync with a size": [(S, 0, 8)],
    "writes a word past": [(M, 0, 7), (W, 0, 1), (F, 0, 0)],
    "a foreign free without a tag": [(M, 0, 8), (X, 0, 0), (F, 0, 0)],
    "has an alignment, not both": [(A, 0, 8), (F, 0, 0)],
    "a kind that does not exist": [(9, 0, 8), (F, 0, 0)],
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_broken_life_is_refused(reason: str) -> None:
    with pytest.raises(TraceError, match=reason):
        one_thread((M, 1, 8), *BROKEN[reason], (F, 1, 0))


def test_the_message_names_the_first_broken_op() -> None:
    with pytest.raises(TraceError, match=r"op 2 \(slot 7\)"):
        one_thread((M, 9, 8), (M, 7, 8), (M, 7, 8), (F, 9, 0), (F, 9, 0))


def test_a_realloc_of_an_aligned_object_is_refused() -> None:
    ops = ops_of((M, 0, 8), (F, 0, 0), (A, 0, 64), (R, 0, 128), (F, 0, 0))
    ops["align_log2"][2] = 6
    with pytest.raises(TraceError, match="realloc of an aligned object"):
        trace.complete(Draft(ops=ops), touch=Touch.NONE)


def test_a_realloc_after_an_aligned_object_of_the_same_slot_is_fine() -> None:
    ops = ops_of((A, 0, 64), (F, 0, 0), (M, 0, 8), (R, 0, 128), (F, 0, 0))
    ops["align_log2"][0] = 6
    trace.complete(Draft(ops=ops), touch=Touch.NONE)


@pytest.mark.parametrize("log2", [3, 22])
def test_an_alignment_out_of_range_is_refused(log2: int) -> None:
    ops = ops_of((A, 0, 64), (F, 0, 0))
    ops["align_log2"][0] = log2
    with pytest.raises(TraceError, match=r"outside 2\^4 to 2\^21"):
        trace.complete(Draft(ops=ops), touch=Touch.NONE)


def tagged(*tag_of_op: int) -> Draft:
    ops = ops_of((M, 0, 8), (X, 0, 0), (F, 0, 0))
    ops["tag"] = tag_of_op
    tags = np.zeros(3, dtype=TAG)
    tags["domain"] = [0, 1, 2]
    return Draft(ops=ops, tags=tags)


def test_a_foreign_free_carries_another_domain_and_leaves_the_object() -> None:
    assert trace.complete(tagged(1, 2, 1), touch=Touch.NONE).op_counts["free_foreign"] == 1


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ((1, 1, 1), "from the object's own domain"),
        ((1, 2, 2), "another tag than its object"),
        ((1, 3, 1), "a tag that the tag table lacks"),
    ],
)
def test_a_wrong_tag_is_refused(tags: tuple[int, int, int], reason: str) -> None:
    with pytest.raises(TraceError, match=reason):
        trace.complete(tagged(*tags), touch=Touch.NONE)


def test_a_trace_without_ops_is_refused() -> None:
    with pytest.raises(TraceError, match="0 operations"):
        trace.complete(Draft(ops=np.zeros(0, OP)), touch=Touch.NONE)


def test_overlapping_threads_of_a_lane_are_refused() -> None:
    draft = Draft(
        ops=ops_of((M, 0, 8), (M, 1, 8), (F, 0, 0), (F, 1, 0)),
        thread=np.array([0, 1, 0, 1]),
        lane=(0, 0),
    )
    with pytest.raises(TraceError, match="before the last of thread 0"):
        trace.complete(draft, touch=Touch.NONE)


# ---- No file makes it crash ------------------------------------------------------


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.trace: No such file"):
        trace.read(tmp_path / "nothing.trace")


def test_a_folder_is_no_trace(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Is a directory"):
        trace.read(tmp_path)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_changed_byte_is_found(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.trace"
    trace.write(data.draw(st.sampled_from([handed_over, recorded]))(), path)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.trace: "):
        trace.read(path)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_hostile_file_with_a_right_digest_is_refused_or_valid(
    tmp_path: Path, data: st.DataObject
) -> None:
    """Past the digest, each check must stand on its own: counts may wrap, offsets lie outside."""
    path = tmp_path / "x.trace"
    trace.write(data.draw(st.sampled_from([handed_over, recorded]))(), path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(48, len(content) - 1))
        width = data.draw(st.sampled_from([1, 4, 8]))
        content[at : at + width] = data.draw(st.sampled_from([b"\xff", b"\0", b"\x01"])) * width
    length = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    content = content[:length]
    if length >= 48:
        content[16:48] = bytes(32)
        content[16:48] = hashlib.sha256(content).digest()
    path.write_bytes(content)
    try:
        found = trace.read(path)
    except UsageError as error:
        assert str(path) in str(error)
    else:
        trace.validate(found)


def test_a_count_that_wraps_around_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.trace"
    trace.write(handed_over(), path)
    content = np.fromfile(path, dtype=np.uint8)
    head = content[: HEADER.itemsize].view(HEADER)
    head["op_count"] += np.uint64(1 << 60)  # times 16 bytes: 2^64, which is 0
    path.write_bytes(content.tobytes())
    with pytest.raises(UsageError, match="its counts make it"):
        trace.read(path)


def contradicting(column: str, value: int) -> Trace:
    """A trace whose digest is right and one of whose derived values is not."""
    made = one_thread((M, 0, 8), (M, 1, 9), (F, 1, 0), (F, 0, 0))
    if column in ("slot_count", "peak_live_bytes", "peak_live_op", "work_ns", "threads_end"):
        changes: dict[str, Any] = {column: value}
        return sealed(replace(made, **changes))
    rows = made.ops if column in ("epoch", "kind_flags") else made.threads
    rows[column][-1] = value
    return sealed(made)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("slot_count", 3, "has slot_count 3; its operations use 2 slots"),
        ("work_ns", 1_000_001, "has 1000001 ns of work after each operation, more than 1000000"),
        ("peak_live_bytes", 16, r"has live peak \(bytes, op\) \(16, 1\), not \(17, 1\)"),
        ("peak_live_op", 2, r"not \(17, 1\)"),
        ("threads_end", 2, "has threads_end 2, neither 0 nor 1"),
        ("threads_end", 1, "has threads that end, and only one"),
        ("build_ops", 5, "has thread 0 with 5 of 4 ops in its parts"),
        ("drain_ops", 1, "cannot repeat its steady part: op 0 .* allocates a slot that is filled"),
        ("epoch", 2, "op 3 has epoch 2"),
        ("kind_flags", F | WAIT << 4, "op 3 has wrong WAIT or POST flags"),
        ("first_op", 1, "has thread 0 start at op 1, not 0"),
        ("op_count", 3, "has 3 operations in its threads"),
        ("predecessor", 0, "thread 0 must follow no thread"),
        ("lane", 1, "thread 0 has lane 1"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    tmp_path: Path, column: str, value: int, reason: str
) -> None:
    trace.write(contradicting(column, value), tmp_path / "x.trace")
    with pytest.raises(TraceError, match=reason):
        trace.read(tmp_path / "x.trace")


# ---- All threads can end ----------------------------------------------------------


def by_hand(*rows: tuple[int, int, int, int], predecessor: tuple[int, ...] = ()) -> Trace:
    """A trace from (thread, kind, slot, epoch) in the order of the file, flags set from epochs."""
    ops = ops_of(*((row[1], row[2], 0 if row[1] == F else 8) for row in rows))
    ops["epoch"] = [row[3] for row in rows]
    owner = {(row[2], row[3]): row[0] for row in rows}
    for op, (thread, _, slot, epoch) in zip(ops, rows, strict=True):
        before, after = owner.get((slot, epoch - 1), thread), owner.get((slot, epoch + 1), thread)
        op["kind_flags"] |= (WAIT * (before != thread) | POST * (after != thread)) << 4
    threads = np.zeros(rows[-1][0] + 1, dtype=THREAD)
    threads["op_count"] = np.bincount([row[0] for row in rows])
    threads["first_op"] = np.cumsum(threads["op_count"]) - threads["op_count"]
    threads["predecessor"] = predecessor or NO_THREAD
    threads["lane"] = 0 if predecessor else np.arange(len(threads))
    tags = np.zeros(1, dtype=TAG)
    slots = len({row[2] for row in rows})
    return sealed(Trace(ops, threads, tags, Touch.NONE, slots, 0, 0, digest=""))


def test_a_hand_over_that_works_is_valid() -> None:
    trace.validate(by_hand((0, M, 0, 0), (0, F, 1, 1), (1, M, 1, 0), (1, F, 0, 1)))


def test_a_cyclic_wait_is_found() -> None:
    with pytest.raises(TraceError, match="can never go on"):
        trace.validate(by_hand((0, F, 1, 1), (0, M, 0, 0), (1, F, 0, 1), (1, M, 1, 0)))


def test_a_wait_for_a_successor_is_found() -> None:
    """Thread 1 starts when thread 0 has ended, and thread 0 waits for it."""
    rows = ((0, F, 0, 1), (0, M, 1, 0), (1, M, 0, 0), (1, F, 1, 1))
    with pytest.raises(TraceError, match="thread 0 can never go on"):
        trace.validate(by_hand(*rows, predecessor=(NO_THREAD, 0)))


def test_a_slot_that_nobody_fills_is_found() -> None:
    with pytest.raises(TraceError, match="epoch 1"):
        trace.validate(by_hand((0, M, 0, 0), (0, F, 0, 1), (1, F, 1, 1)))


@st.composite
def threaded(draw: st.DrawFn) -> Draft:
    """Random valid traces of up to four threads, in two lanes or one for each."""
    rows = draw(programs())
    count = draw(st.integers(2, 4))
    thread = np.array(
        draw(st.lists(st.integers(0, count - 1), min_size=len(rows), max_size=len(rows)))
    )
    if draw(st.booleans()):
        return Draft(ops=ops_of(*rows), thread=thread, lane=tuple(range(count)))
    lane = tuple(index % 2 for index in range(count))
    half = np.arange(len(rows)) * 2 // len(rows)  # the first threads, then their successors
    return Draft(ops=ops_of(*rows), thread=np.minimum(thread % 2 + 2 * half, count - 1), lane=lane)


@given(threaded())
@settings(deadline=None)
def test_a_trace_made_from_a_global_order_can_always_end(draft: Draft) -> None:
    try:
        made = trace.complete(draft, touch=Touch.NONE)
    except TraceError as error:
        assert "before the last of thread" in str(error)  # the draw broke a lane's order
        return
    trace.validate(made)


@given(programs(), st.data())
@settings(deadline=None)
def test_the_threads_end_as_a_step_by_step_run_says(
    rows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """Ops dealt out and each thread's then shuffled: most such traces cannot end."""
    epochs = one_thread(*rows).ops["epoch"].tolist()
    slots = np.unique([slot for _, slot, _ in rows], return_inverse=True)[1].tolist()
    dealt = [
        (data.draw(st.integers(0, 2)), kind, slot, epoch)
        for (kind, _, _), slot, epoch in zip(rows, slots, epochs, strict=True)
    ]
    for thread in range(3):  # so that each thread has an op
        own = max(slots) + 1 + thread
        dealt += [(thread, M, own, 0), (thread, F, own, 1)]
    if data.draw(st.booleans()):
        dealt = data.draw(st.permutations(dealt))
    dealt = sorted(dealt, key=lambda row: row[0])
    if ends_step_by_step(dealt):
        trace.validate(by_hand(*dealt))
    else:
        with pytest.raises(TraceError, match=r"never go on|comes before"):
            trace.validate(by_hand(*dealt))


def ends_step_by_step(rows: list[tuple[int, int, int, int]]) -> bool:
    """One op at a time: the next op of some thread whose slot has reached its epoch."""
    queues = [[row for row in rows if row[0] == thread] for thread in range(3)]
    epoch: dict[int, int] = {}
    moved = True
    while moved:
        moved = False
        for queue in queues:
            while queue and epoch.get(queue[0][2], 0) == queue[0][3]:
                _, _, slot, done = queue.pop(0)
                epoch[slot] = done + 1
                moved = True
    return not any(queues)

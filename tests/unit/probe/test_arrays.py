"""The driver's binary files and the stored samples."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocphase.errors import AllocphaseError, DataError
from allocphase.probe import arrays as samples
from tests.support.plugins import ROOT


def read_all(folder: Path) -> samples.Arrays:
    """As if the driver had named all that is there."""
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    return samples.read_driver_files(folder, files, operations=3)


def test_a_file_that_the_driver_does_not_name_is_none_of_its_own(tmp_path: Path) -> None:
    np.arange(6, dtype="<u4").tofile(tmp_path / "latency.bin")
    assert samples.read_driver_files(tmp_path, {}, operations=3) == {}


def test_absent_files_leave_no_arrays(tmp_path: Path) -> None:
    assert read_all(tmp_path) == {}


def test_latencies_are_the_calls_and_then_the_touches(tmp_path: Path) -> None:
    """Each of the first replay, and then of the warm ones: here two over two operations."""
    np.arange(14, dtype="<u4").tofile(tmp_path / "latency.bin")
    arrays = read_all(tmp_path)
    assert arrays["call_ticks"].tolist() == [0, 1, 2]
    assert arrays["warm_call_ticks"].tolist() == [3, 4, 5, 6]
    assert arrays["touch_ticks"].tolist() == [7, 8, 9]
    assert arrays["warm_touch_ticks"].tolist() == [10, 11, 12, 13]


def test_histograms_are_the_first_pass_and_then_the_warm_ones(tmp_path: Path) -> None:
    shape = (2, 2, samples.KINDS, samples.SIZE_CLASSES, samples.BUCKETS)
    counts = np.zeros(shape, dtype="<u8")
    counts[0, 0, 4, 2, 7] = 11
    counts[0, 1, 0, 1, 3] = 5
    counts[1, 0, 1, 1, 1] = 3
    counts.tofile(tmp_path / "histogram.bin")
    arrays = read_all(tmp_path)
    assert arrays["warm_call_histogram"][1, 1, 1] == arrays["warm_call_histogram"].sum() == 3
    assert arrays["warm_touch_histogram"].sum() == 0
    assert arrays["call_histogram"][4, 2, 7] == arrays["call_histogram"].sum() == 11
    assert arrays["touch_histogram"][0, 1, 3] == arrays["touch_histogram"].sum() == 5


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("syscalls", samples.SYSCALL_EVENT),
        ("checkpoints", samples.CHECKPOINT),
        ("faults", samples.FAULT_EVENT),
        ("outliers", samples.OUTLIER),
        ("slow", samples.SLOW_CALL),
    ],
)
def test_records_keep_their_fields_and_a_torn_file_is_refused(
    tmp_path: Path, name: str, dtype: np.dtype[np.void]
) -> None:
    content = bytes(2) + bytes(range(2 * dtype.itemsize - 2))
    (tmp_path / f"{name}.bin").write_bytes(content)
    found = read_all(tmp_path)
    later = found.get(f"warm_{name}", found[name][:0])
    assert len(found[name]) + len(later) == 2
    if "op" in (dtype.names or ()) and name != "checkpoints":
        later["op"] += 3
    assert found[name].tobytes() + later.tobytes() == content
    (tmp_path / f"{name}.bin").write_bytes(content[:-1])
    with pytest.raises(AllocphaseError, match=rf"{name}.bin: torn: \d+ bytes of \d+ each"):
        read_all(tmp_path)


@pytest.mark.parametrize(
    ("dtype", "file", "struct"),
    [
        (samples.SYSCALL_EVENT, "syscall_log.h", "syscall_event"),
        (samples.CHECKPOINT, "footprint.c", "checkpoint"),
        (samples.FAULT_EVENT, "faults.c", "fault_event"),
        (samples.OUTLIER, "latency.c", "outlier"),
        (samples.SLOW_CALL, "latency.c", "slow_call"),
    ],
)
def test_a_record_has_the_fields_of_its_c_struct_in_order(
    dtype: np.dtype[np.void], file: str, struct: str
) -> None:
    body = re.search(
        rf"struct {struct} {{(.*?)}};", (ROOT / "driver" / "probes" / file).read_text(), re.DOTALL
    )
    assert body is not None
    fields = re.findall(r"uint(\d+)_t (\w+)(?:\[(\d+)\])?;", body[1])
    assert [name for _, name, _ in fields] == list(dtype.names or ())
    bytes_of = [int(bits) // 8 * int(times or 1) for bits, _, times in fields]
    assert bytes_of == [dtype[name].itemsize for name in dtype.names or ()]


def test_the_histogram_has_the_shape_that_the_header_gives_it() -> None:
    text = (ROOT / "driver" / "probes" / "histogram.h").read_text()
    assert f"#define HISTOGRAM_PART_BITS {samples.PART_BITS}\n" in text
    assert f"#define HISTOGRAM_SIZES {samples.SIZE_CLASSES}\n" in text


@given(st.integers(0, 2**32 - 1))
def test_a_bucket_s_midpoint_is_within_1_part_in_64_of_its_values(ticks: int) -> None:
    octave = max(ticks.bit_length() - 6, 0)
    middle = samples.bucket_midpoints()[octave * 32 + (ticks >> octave)]
    assert abs(middle - ticks) <= (0 if ticks < 64 else ticks / 64)


def test_midpoints_ascend() -> None:
    assert (np.diff(samples.bucket_midpoints()) > 0).all()


def test_stored_samples_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = {
        "call_ticks": np.array([1, 2, 2**32 - 1], dtype=np.uint32),
        "syscalls": np.zeros(3, dtype=samples.SYSCALL_EVENT),
    }
    samples.save_arrays(tmp_path / "s.npz", arrays)
    loaded = samples.load_arrays(tmp_path / "s.npz")
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].tolist() == array.tolist()


def test_a_torn_sample_file_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    samples.save_arrays(path, {"call_ticks": np.arange(1000, dtype=np.uint32)})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="not a sample file"):
        samples.load_arrays(path)


def test_a_sample_file_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, objects=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="not a sample file"):
        samples.load_arrays(path)

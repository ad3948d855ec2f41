"""HdrHistogram's formats, read by the package hdrhistogram, which is not ours."""

from __future__ import annotations

import re
from base64 import b64encode
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from allocphase.analysis.frames import Run
from allocphase.analysis.latency import Replay
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.export import hgrm, hlog
from allocphase.export.exported import Choice
from allocphase.export.hdr import HIGHEST_NS, HdrHistogram
from tests.conftest import Needs
from tests.golden.synthetic import MARKUP
from tests.support.exports import ALLOCATORS, SCENARIOS, SPACED


@pytest.fixture(scope="module")
def hdrh(needs: Needs) -> Any:
    """The package's module of histograms."""
    needs(find_spec("hdrh"), "hdrhistogram", install="pip install -e '.[test]'")
    import hdrh.histogram

    return hdrh.histogram


def test_values_of_every_octave_lie_in_the_buckets_that_the_library_has_for_them(
    hdrh: Any,
) -> None:
    values = np.array([0, 1, 1023, 1024, 2047, 2048, 2049, 4095, 4096, *(3**n for n in range(26))])
    counts = np.arange(1, values.size + 1)
    theirs = hdrh.HdrHistogram(1, HIGHEST_NS, 3)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        assert theirs.record_value(value, count)
    found = HdrHistogram.of((values.astype(np.float64), counts))
    lowest, highest, _ = found.buckets()
    assert all(theirs.get_lowest_equivalent_value(int(low)) == low for low in lowest)
    assert all(theirs.get_highest_equivalent_value(int(high)) == high for high in highest)
    decoded = hdrh.HdrHistogram.decode(b64encode(found.encoded()))
    assert decoded.equals(theirs)
    assert decoded.get_total_count() == counts.sum() == found.total


@pytest.mark.parametrize("count", [1, 127, 128, 2**40])
def test_counts_of_any_size_and_long_runs_of_nothing_are_decoded(hdrh: Any, count: int) -> None:
    found = HdrHistogram.of((np.array([5.0, 3e12]), np.array([count, 1])))
    decoded = hdrh.HdrHistogram.decode(b64encode(found.encoded()))
    assert decoded.get_count_at_value(5) == count
    assert decoded.get_total_count() == count + 1


def test_a_value_beyond_the_highest_is_kept_as_that() -> None:
    lowest, highest, _ = HdrHistogram.of((np.array([1e15]), np.array([1]))).buckets()
    assert lowest[0] <= HIGHEST_NS <= highest[0]


# ---- The log -----------------------------------------------------------------------------


def test_the_log_has_every_distribution_of_the_run_under_its_tag(
    hdrh: Any, awkward: Run, tmp_path: Path
) -> None:
    import hdrh.log as log

    path = tmp_path / "run.hlog"
    path.write_bytes(hlog.write([awkward], Choice()).content)
    reference = hdrh.HdrHistogram(1, HIGHEST_NS, 3)
    reader = log.HistogramLogReader(str(path), reference)
    found = {}
    while (histogram := reader.get_next_interval_histogram()) is not None:
        found[tuple(map(unquote, histogram.get_tag().split("/")))] = histogram
    reader.close()
    assert found.keys() == {
        (scenario, allocator, kind)
        for scenario in SCENARIOS
        for allocator in ALLOCATORS
        for kind in ("malloc", "free")
        if (allocator, scenario) != (MARKUP, "keep")
    }
    for (scenario, allocator, kind), histogram in found.items():
        values, counts = awkward.latencies(allocator, scenario, Replay.WARM).by_kind[kind]
        assert histogram.get_total_count() == counts.sum()
        assert histogram.get_max_value() == pytest.approx(values.max(), rel=1e-3, abs=0.5)
        mean = np.average(values, weights=counts)
        assert histogram.get_mean_value() == pytest.approx(mean, rel=1e-3, abs=0.5)


def test_the_log_says_which_cells_have_no_latencies(awkward: Run) -> None:
    notes = hlog.write([awkward], Choice()).notes
    assert sum(note.startswith("without latencies: ") for note in notes) == 1
    assert sum(note.startswith("crashed: ") for note in notes) == 1


# ---- Percentiles -------------------------------------------------------------------------

LINE = re.compile(r" *([0-9.]+) ([01]\.[0-9]{12}) +([0-9]+)(?: +([0-9.]+))?$")


def test_every_line_of_the_percentiles_is_what_the_library_says_of_the_same_values(
    hdrh: Any, awkward: Run
) -> None:
    choice = Choice(allocator=SPACED, scenario="keep", kind="free")
    head, empty, *lines = hgrm.write([awkward], choice).content.decode("utf-8").splitlines()
    assert head.split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert empty == ""
    values, counts = awkward.latencies(SPACED, "keep", Replay.WARM).by_kind["free"]
    theirs = hdrh.HdrHistogram(1, HIGHEST_NS, 3)
    for value, count in zip(np.rint(values).astype(int), counts, strict=True):
        theirs.record_value(int(value), int(count))
    total = theirs.get_total_count()
    recorded = {
        one.value_iterated_to: (one.total_count_to_this_value, one.count_at_value_iterated_to)
        for one in theirs.get_recorded_iterator()
    }
    rows = [row for line in lines[:-3] if (row := LINE.match(line)) is not None]
    assert len(rows) == len(lines) - 3 > 20
    for row in rows:
        level, (upto, here) = float(row[2]), recorded[int(float(row[1]))]
        assert int(row[3]) == upto
        assert upto - here <= level * total <= upto
        assert (
            row[4] is None
            if level == 1
            else float(row[4]) == pytest.approx(1 / (1 - level), abs=0.01)
        )
    assert (float(rows[-1][2]), int(rows[-1][3])) == (1.0, total)
    numbers = [float(n) for n in re.findall(r"= +([0-9.]+)", " ".join(lines[-3:]))]
    assert numbers[0] == pytest.approx(theirs.get_mean_value(), abs=1e-3)
    assert numbers[1] == pytest.approx(theirs.get_stddev(), abs=1e-3)
    assert numbers[2] == theirs.get_max_value()
    assert numbers[3:] == [theirs.get_total_count(), theirs.bucket_count, theirs.sub_bucket_count]


def test_without_a_choice_the_cells_are_named(awkward: Run) -> None:
    with pytest.raises(UsageError, match="the run has 11 allocators: choose one by -a "):
        hgrm.write([awkward], Choice())


def test_a_name_that_is_none_is_refused_with_the_nearest(awkward: Run) -> None:
    with pytest.raises(UsageError, match="did you mean 'libc'"):
        hgrm.write([awkward], Choice(allocator="lbc", scenario="keep"))


def test_a_cell_without_such_calls_is_not_measured(awkward: Run) -> None:
    choice = Choice(allocator="libc", scenario="keep", kind="realloc")
    with pytest.raises(NothingMeasuredError, match="of malloc, free there are"):
        hgrm.write([awkward], choice)

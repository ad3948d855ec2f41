"""One metric of all arms against any of them: times by round, counts between their ends."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from allocphase.analysis.frames import load
from allocphase.analysis.measures import CATALOGUE, Measure
from allocphase.analysis.metric_names import measure
from allocphase.probe.probe import Probe
from allocphase.report.content import programs
from allocphase.report.content.compared import Compared, Count, count_ratio, mean_ratio
from allocphase.report.content.folds import Fold, fold
from allocphase.report.content.matrix import look_of, look_of_saved, matrix_row, mean_row
from allocphase.report.content.programs import MOST_LOOKS, changed, resident
from allocphase.report.content.rows import interval_text, ratio_text
from allocphase.report.content.source import Source
from allocphase.report.content.views import SAVED, VIEWS
from allocphase.report.page.parts.program import change_part
from allocphase.text.units import format_ratio
from tests.golden.synthetic import MARKUP, PROGRAMS, write_programs, write_run
from tests.support.programs import PEAK_RSS_BYTES

PEAK_RSS = measure("peak_rss")


def _count(value: float, least: float | None = None, most: float | None = None) -> Count:
    return Count(value, value if least is None else least, value if most is None else most, 4)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return Source.of(load(write_programs(tmp_path_factory.mktemp("compared") / "run")))


# ---- Counts -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "candidate", "text", "interval", "look"),
    [
        (_count(10), _count(20), "2.00x", "exact", "slower-3"),
        (_count(10), _count(10), "1.00x", "exact", "same"),
        (_count(10, 9, 11), _count(20, 18, 22), "2.00x", "1.64 to 2.44x", "slower-3"),
        (_count(10, 9, 11), _count(10, 9, 12), "~1.00x", "0.82 to 1.33x", "undecided"),
        (_count(10), _count(0), "0.00x", "exact", "faster-4"),
        (_count(0), _count(7), "from 0", "exact", "slower-4"),
        (_count(0), _count(0), "1.00x", "exact", "same"),
        (_count(0, 0, 1), _count(7), "from 0", "from 0", "slower-4"),
    ],
)
def test_counts_are_held_against_each_other_between_their_farthest_ends(
    base: Count, candidate: Count, text: str, interval: str, look: str
) -> None:
    found = count_ratio(base, candidate)
    assert (ratio_text(found), interval_text(found), look_of(found)) == (text, interval, look)


def test_what_a_single_process_counted_decides_nothing_but_the_baseline_itself() -> None:
    alone = Count(10, 10, 10, 1)
    found = count_ratio(alone, _count(90))
    assert (ratio_text(found), interval_text(found)) == ("~9.00x", "one process")
    assert look_of(found) == "undecided"
    itself = Compared(PEAK_RSS, {"libc": alone}).ratio("libc", "libc")
    assert (ratio_text(itself), interval_text(itself), look_of(itself)) == ("1.00x", "-", "same")


def test_a_mean_of_counts_lies_between_the_means_of_their_ends() -> None:
    columns = [
        Compared(PEAK_RSS, {"a": _count(10), "b": _count(20, 10, 40)}),
        Compared(PEAK_RSS, {"a": _count(10), "b": _count(80, 80, 160)}),
    ]
    found = mean_ratio(columns, "a", "b")
    assert found is not None
    assert found.interval.estimate == pytest.approx(4.0)
    assert found.interval.lower == pytest.approx(math.sqrt(1 * 8))
    assert found.interval.upper == pytest.approx(math.sqrt(4 * 16))


def test_a_mean_with_nothing_in_it_or_with_a_gap_is_none() -> None:
    whole, zero = Compared(PEAK_RSS, {"a": _count(1), "b": _count(2)}), _count(0)
    assert mean_ratio([whole, Compared(PEAK_RSS, {"a": _count(1), "b": zero})], "a", "b") is None
    assert mean_ratio([whole, Compared(PEAK_RSS, {"a": _count(1)})], "a", "b") is None
    assert mean_ratio([], "a", "b") is None


# ---- Views --------------------------------------------------------------------------------


def test_nanoseconds_have_a_scale_of_their_own(source: Source) -> None:
    row = matrix_row(source, "keep", SAVED)
    told = dict(zip(source.names, row, strict=True))
    assert (told["libc"].text, told["libc"].look) == ("0 ns", "same")
    assert (told["phase21"].text, told["phase21"].look) == ("-40.0 ns", "slower-3")
    assert told["phase2"].look == "slower-4"
    assert look_of_saved(None) == "missing"
    assert {cell.text for cell in matrix_row(source, PROGRAMS[0], SAVED)} == {"-"}
    assert mean_row(source, SAVED) == []


def test_a_view_has_the_program_s_counterpart_of_a_trace_s_metric(source: Source) -> None:
    (view,) = (view for view in VIEWS if view.name == "peak_rss")
    cells = matrix_row(source, PROGRAMS[0], view)
    ratios = [peak / PEAK_RSS_BYTES[0] for peak in PEAK_RSS_BYTES]
    assert [cell.text for cell in cells] == [f"{ratio:.2f}x" for ratio in ratios]
    assert cells[3].below == "64.0 MiB" and cells[3].look == "slower-4"


def test_p99_9_is_paired_by_round(tmp_path: Path) -> None:
    """Its quantile takes 10 calls beyond it in each process."""
    (view,) = (view for view in VIEWS if view.name == "p99_9")
    times = {"libc": 20.0, "phase21": 60.0}
    long = Source.of(load(write_run(tmp_path / "run", times_ns=times, scenarios={"long": 2400})))
    column = long.compared("long", measure("p99_9"))
    for name in times:
        found = column.values[name]
        assert isinstance(found, np.ndarray) and found.shape == (5,)
        mallocs = long.run.latencies(name, "long").mallocs
        assert found.tolist() == [one["p99_9"] for one in mallocs]
    cells = matrix_row(long, "long", view)
    ratio = np.median(np.array(column.values["phase21"]) / np.array(column.values["libc"]))
    assert cells[1].text.strip("~") == format_ratio(float(ratio))


# ---- Programs -----------------------------------------------------------------------------


def test_a_program_shows_what_the_catalogue_has_of_it_and_somebody_was_measured_for(
    source: Source,
) -> None:
    names = [column.measure.name for column in changed(source, PROGRAMS[0])]
    assert names[:4] == ["wall", "cpu", "user", "system"]
    assert {"context_switches", "program_peak_rss", "program_page_faults"} <= set(names)
    assert "program_major_faults" not in names, "nobody had any"
    assert not {"saved_wall", "output_sha256"} & set(names)


def test_a_metric_that_is_new_in_the_catalogue_appears_by_itself(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Measure(
        name="program_newest",
        path="program_peak_rss_bytes",
        title="something new",
        unit="bytes",
        probe=Probe.PROGRAM_MEMORY,
    )
    monkeypatch.setattr(programs, "CATALOGUE", (*CATALOGUE, new))
    part = change_part(source, PROGRAMS[0])
    assert part is not None
    assert part["names"][-1] == {"name": "newest", "hint": "something new"}
    row = next(row for row in part["rows"] if row["allocator"] == "fast")
    assert (row["cells"][-1]["text"], row["cells"][-1]["figure"]) == ("8.00x", "64.0 MiB")


def test_a_program_s_times_are_paired_and_its_counts_are_not(source: Source) -> None:
    part = change_part(source, PROGRAMS[0])
    assert part is not None
    place = {column["name"]: index for index, column in enumerate(part["names"])}
    cells = {row["allocator"]: row["cells"] for row in part["rows"]}
    assert cells["phase21"][place["wall"]]["text"] == "~1.02x", "it is faster in one round"
    assert cells["phase21"][place["wall"]]["interval"] == "0.92 to 1.02x"
    assert cells["phase2"][place["faults"]]["interval"] == "2.00 to 2.00x", "2,000 to 2,003"
    assert cells["fast"][place["faults"]]["interval"] == "exact"


def test_looks_are_thinned_to_few_and_no_peak_is_lost(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = resident(source, "fast", PROGRAMS[0])
    assert found is not None
    assert found.rss_bytes.max() == PEAK_RSS_BYTES[3]
    monkeypatch.setattr(programs, "MOST_LOOKS", 10)
    fewer = resident(source, "fast", PROGRAMS[0])
    assert fewer is not None
    assert fewer.time_ns.size <= 10 < found.time_ns.size <= MOST_LOOKS
    assert fewer.rss_bytes.max() == PEAK_RSS_BYTES[3]
    assert (fewer.time_ns[0], fewer.time_ns[-1]) == (found.time_ns[0], found.time_ns[-1])
    assert (np.diff(fewer.time_ns) > 0).all()


# ---- Folded -------------------------------------------------------------------------------


def test_a_scenario_in_one_line_leaves_out_who_failed(source: Source) -> None:
    assert fold(source, "keep") == Fold("fast 10.0 ns", "phase2 2.00 µs", "1 crashed", "1 doubt")
    found = fold(source, PROGRAMS[0])
    assert found == Fold("phase2 816 ms", "fast 2.04 s", "", "")
    assert MARKUP not in found.worst

"""Go's benchmark format, against its specification; tests/benchmarks has benchstat itself."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from allocphase.analysis.frames import Run
from allocphase.analysis.measures import MEASURES
from allocphase.export.exported import Choice
from allocphase.export.figures import COMPARED
from allocphase.export.go import go_unit, quoted, write
from tests.golden.synthetic import MARKUP
from tests.support.exports import ALLOCATORS, NOTHING, SCENARIOS, SPACED
from tests.support.gobench import GoFile, parse


@pytest.fixture(scope="module")
def parsed(awkward: Run) -> GoFile:
    return parse(write([awkward], Choice()).content.decode("utf-8"))


def test_each_process_of_a_cell_is_a_line_with_its_own_figures(
    awkward: Run, parsed: GoFile
) -> None:
    times = [
        one.values["ns/op"]
        for one in parsed.results
        if one.parts == {"scenario": "keep", "allocator": "libc"} and "ns/op" in one.values
    ]
    assert times == pytest.approx(list(awkward.times["libc", "keep"]))


def test_every_name_comes_back_whole_and_none_is_read_as_a_number_of_processors(
    parsed: GoFile,
) -> None:
    names = {(unquote(one.parts["allocator"]), unquote(one.parts["scenario"]))
             for one in parsed.results}  # fmt: skip
    assert names == {(a, s) for a in ALLOCATORS for s in SCENARIOS}
    assert any(SPACED in pair for pair in names)


def test_what_has_no_finite_figure_or_failed_has_no_line_and_is_told(awkward: Run) -> None:
    found = write([awkward], Choice())
    assert {one.partition(":")[0] for one in found.notes} == {"crashed", "not measured"}
    lines = found.content.decode("utf-8").splitlines()
    assert [one for one in lines if one.startswith("# crashed: ")] == [
        f"# crashed: {MARKUP} on keep: latency: SIGSEGV: <b>free</b>(): invalid pointer"
    ]
    assert not any(quoted(NOTHING) in one for one in lines if one.startswith("Benchmark"))


def test_units_that_are_told_of_are_those_of_the_lines_and_counts_that_agree_are_exact(
    parsed: GoFile,
) -> None:
    assert set(parsed.units) == {unit for one in parsed.results for unit in one.values}
    assert {settings["better"] for settings in parsed.units.values()} == {"lower"}
    exact = {unit for unit, settings in parsed.units.items() if "assume" in settings}
    # Of page faults and system calls one process of four counts more (synthetic.py).
    assert exact == {"peak-live-bytes", "peak-mapped-bytes"}


def test_configuration_has_nothing_that_differs_from_run_to_run(parsed: GoFile) -> None:
    assert parsed.config == {"goos": "linux", "cpu": "Golden CPU <1>"}


def test_the_first_line_of_a_benchmark_begins_with_its_time(parsed: GoFile) -> None:
    """Readers of Go's format that know one figure a benchmark take the first."""
    first = {one.name: next(iter(one.values)) for one in reversed(parsed.results)}
    assert set(first.values()) == {"ns/op"}


def test_every_metric_has_a_unit_of_its_own_but_times_of_traces_and_of_programs() -> None:
    units = [go_unit(one) for one in COMPARED]
    assert len(set(units)) == len(units) - 1
    assert go_unit(MEASURES["p99_9"]) == "p99.9-ns/op"
    assert go_unit(MEASURES["peak_rss"]) == "peak-rss-bytes"

"""Scaling as text: a row for each level of each allocator, and what a reader must know of them."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from allocphase.analysis.frames import Run
from allocphase.report.content.scaling import notes, panels, swept
from allocphase.report.content.source import Source
from allocphase.report.text.markdown import markdown
from allocphase.report.text.terminal import print_summary
from tests.support.scaling import write_scaling


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_scaling(tmp_path_factory.mktemp("scaling") / "run")


def told(run: Run) -> str:
    source = Source.of(run)
    (sweep,) = swept(source)
    return " ".join(notes(source, sweep))


def test_markdown_has_a_table_of_the_sweep(run: Run) -> None:
    lines = markdown(Source.of(run)).splitlines()
    assert "## glibc-thread by threads" in lines
    figures = {line.split(" | ")[0]: line.split(" | ")[1:] for line in lines}
    assert figures["| half, 2"] == [
        "62.5 M/s", "1.50x", "1.50 to 1.50x", "2.00x", "75%", "0", "0%", "1.00 MiB |",
    ]  # fmt: skip
    assert figures["| serial, 8+"] == [
        "41.7 M/s", "1.00x", "1.00 to 1.00x", "2.00x", "50%", "0.20", "10%", "1.00 MiB |",
    ]  # fmt: skip


def test_the_terminal_has_the_same_within_80_columns(run: Run) -> None:
    stream = io.StringIO()
    print_summary(run, stream)
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    start = lines.index("glibc-thread  by threads")
    assert lines[start + 1].split() == [
        "ops/s", "speed-up", "efficiency", "futex/op", "waited", "RSS/thread",
    ]  # fmt: skip
    rows = [line for line in lines[start:] if line.startswith("serial, 4+")]
    assert [row.split() for row in rows] == [
        ["serial,", "4+", "41.7", "M/s", "1.00x", "50%", "0.20", "10%", "1.00", "MiB"]
    ]
    assert max(map(len, lines)) <= 80


def test_what_nobody_measured_has_no_panel(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "timed"
    shutil.copytree(run.path, folder)
    journal = folder / "processes.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if '"probe":"throughput"' in line]
    journal.write_text("".join(kept), encoding="utf-8")
    source = Source.of(Run(folder))
    (sweep,) = swept(source)
    assert [panel.title for panel in panels(source, sweep)] == [
        "operations a second",
        "speed-up",
        "efficiency",
    ]


def test_levels_that_share_cpus_are_named(run: Run) -> None:
    assert "4 and 8 threads share 2 CPUs" in told(run)
    assert "Each thread does the same work" in told(run)


def test_with_cpus_enough_nothing_is_said_of_them(tmp_path: Path) -> None:
    found = told(write_scaling(tmp_path / "run", levels=(1, 2), cpus=2))
    assert "CPU" not in found


def test_a_trace_that_cannot_keep_all_cpus_busy_says_so(tmp_path: Path) -> None:
    run = write_scaling(
        tmp_path / "run", spec="mstress?rounds=1&transfers=20", levels=(1, 2), cpus=4
    )
    assert "By itself the trace keeps 1.50 of 2 CPUs busy at 2 threads" in told(run)


def test_a_workload_whose_threads_take_turns_has_no_speed_up_to_lose(tmp_path: Path) -> None:
    spec = "blow-up-idle?live_bytes=200000"
    run = write_scaling(tmp_path / "run", spec=spec, levels=(1, 2, 4), cpus=2)
    assert "keeps 1.00 of 2 CPUs busy" in told(run)
    assert "share" not in told(run)

"""`allocphase export`: what it refuses, and where its file goes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from allocphase.analysis.frames import Run
from allocphase.export.formats import FORMATS
from cli import main
from tests.support.runs import process, write_run

Invoke = Callable[..., Result]


@pytest.fixture
def invoke() -> Invoke:
    return lambda *words: CliRunner().invoke(main, ["export", *map(str, words)])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two allocators, of which one has a time and the other failed."""
    good = process("throughput", {"cold_ns_per_op": 9.0, "warm_ns_per_op": [8.0]})
    bad = process("throughput", {}, id=1, allocator="two", status="crashed", message="::error::x")
    return write_run(tmp_path / "run", [(good, {}), (bad, {})], allocators=("one", "two"))


def test_a_format_that_does_not_exist_names_the_nearest(invoke: Invoke, run: Run) -> None:
    found = invoke(run.path, "--to", "gooo")
    assert found.exit_code == 2
    assert found.stderr == "allocphase: format 'gooo' does not exist: did you mean 'go'?\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--to", "go", "-a", "one"), "-a: go is of the whole run"),
        (("--to", "csv", "-s", "some"), "-s: csv is of the whole run"),
        (("--to", "go", "--kind", "free"), "--kind: go is of all calls"),
        (("again", "--to", "go"), "go is of one run, not of 2"),
    ],
)
def test_what_a_format_does_not_take_is_refused(
    invoke: Invoke, run: Run, words: tuple[str, ...], problem: str
) -> None:
    found = invoke(run.path, *words)
    assert (found.exit_code, found.stderr) == (2, f"allocphase: {problem}\n")


def test_stdout_is_the_file_alone_and_stderr_what_it_lacks(invoke: Invoke, run: Run) -> None:
    found = invoke(run.path, "--to", "go")
    assert found.exit_code == 0
    assert "BenchmarkReplay/scenario=some/allocator=one 6 8 ns/op" in found.stdout
    assert found.stderr == "not in the file: crashed: two on some: throughput: ::error::x\n"


def test_a_file_is_written_whole_and_stdout_stays_empty(
    invoke: Invoke, run: Run, tmp_path: Path
) -> None:
    target = tmp_path / "out.txt"
    found = invoke(run.path, "--to", "go", "--output", target)
    assert (found.exit_code, found.stdout) == (0, "")
    assert target.read_text(encoding="utf-8") == invoke(run.path, "--to", "go").stdout


def test_the_help_names_every_format(invoke: Invoke) -> None:
    text = " ".join(invoke("--help").output.split())
    assert f"One of {', '.join(one.name for one in FORMATS)}." in text


def test_a_folder_that_is_no_run_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    found = invoke(tmp_path / "none", "--to", "csv")
    assert found.exit_code == 2
    assert "no run directory" in found.stderr

"""`allocphase import`: from a file to a run that compare, report and export take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import main
from tests.support.benchmarks import google, google_entry

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, list(map(str, words)))


def write(path: str, factor: float) -> None:
    entries = [google_entry("BM <alloc>", factor * (10 + 0.01 * n)) for n in range(10)]
    Path(path).write_text(google(entries), encoding="utf-8")


def test_two_files_become_runs_that_compare_report_and_export_take(invoke: Invoke) -> None:
    for name, factor in (("old", 1.0), ("new", 1.5)):
        write(f"{name}.json", factor)
        words = ("--from", "google-benchmark", f"{name}.json", "--allocator", "mine")
        found = invoke("import", *words, "--output", name)
        assert (found.exit_code, found.stdout) == (0, f"run: {name}\n")
    compared = invoke("compare", "old", "new")
    assert compared.exit_code == 0
    assert "regressed" in compared.stdout
    assert invoke("report", "old").exit_code == 0
    page = Path("old/report.html").read_text(encoding="utf-8")
    assert "a benchmark of Google Benchmark, imported from old.json" in page
    assert "0 operations" not in page
    assert "peak live 0" not in page
    exported = invoke("export", "old", "--to", "go")
    assert "BenchmarkImported/scenario=BM%20<alloc>/allocator=mine 1 10 ns/op" in exported.stdout


def test_runs_in_which_every_repetition_failed_are_not_compared(invoke: Invoke) -> None:
    failed = google_entry("BM", 0.0, error_occurred=True, error_message="boom")
    for name in ("old", "new"):
        Path(f"{name}.json").write_text(google([failed] * 4), encoding="utf-8")
        words = ("--from", "google-benchmark", f"{name}.json", "--allocator", "mine")
        assert invoke("import", *words, "--output", name).exit_code == 0
    compared = invoke("compare", "old", "new")
    assert (compared.exit_code, compared.stdout) == (5, "")
    assert "of both sides: old: unsupported: mine on BM: throughput: boom\n" in compared.stderr


def test_without_a_place_the_run_lies_where_runs_lie(invoke: Invoke) -> None:
    write("x.json", 1.0)
    words = ("x.json", "--from", "google-benchmark", "--allocator", "a", "--label", "nightly")
    found = invoke("import", *words)
    (folder,) = Path("out").iterdir()
    assert folder.name.endswith("-nightly")
    assert found.stdout == f"run: {folder}\n"


def test_a_place_that_is_taken_is_left_as_it_is(invoke: Invoke) -> None:
    write("x.json", 1.0)
    Path("taken").mkdir()
    words = ("x.json", "--from", "google-benchmark", "--allocator", "a", "--output", "taken")
    found = invoke("import", *words)
    assert (found.exit_code, found.stderr) == (2, "allocphase: taken: is there already\n")
    assert list(Path("taken").iterdir()) == []


def test_a_file_that_is_not_there_is_named(invoke: Invoke) -> None:
    found = invoke("import", "none", "--from", "go", "--allocator", "a")
    assert (found.exit_code, found.stderr) == (2, "allocphase: none: No such file or directory\n")
    assert not Path("out").exists()


@pytest.mark.parametrize("option", ["--allocator", "--label"])
def test_a_name_that_cannot_be_printed_is_refused(invoke: Invoke, option: str) -> None:
    write("x.json", 1.0)
    found = invoke("import", "x.json", "--from", "google-benchmark", option, "a\nb")
    assert (found.exit_code, found.stderr) == (
        2,
        f"allocphase: {option}: a name that can be printed\n",
    )

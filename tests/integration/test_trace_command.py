"""`allocphase trace`: what is said of a trace, windows, text and back, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from allocphase import trace
from allocphase.trace.records import Part
from cli import main
from tests.support.made_calls import Call, facts, recording_of
from tests.support.traces import batch, write_trace


def command(*words: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(main, ["trace", *(str(word) for word in words)])
    assert done.exit_code == code, done.output + str(done.exception)
    return done.output


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "x.trace", batch(50, 100))


def test_info_says_what_is_in_it_and_draws_it(path: Path, tmp_path: Path) -> None:
    text = command("info", path, "--figure", tmp_path / "x.png")
    assert "100: 50 malloc, 50 free" in text
    assert "peak 4.88 KiB" in text
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_window_is_cut_by_shares_and_by_numbers(path: Path, tmp_path: Path) -> None:
    command("cut", path, "--from", "25%", "--to", "60", "-o", tmp_path / "y.trace.zst")
    found = trace.read(tmp_path / "y.trace.zst")
    assert (found.part_ops(Part.BUILD), found.part_ops(Part.DRAIN)) == (25 + 35, 40)


def test_text_goes_out_and_comes_in_again(path: Path, tmp_path: Path) -> None:
    command("export", path, "-o", tmp_path / "x.txt")
    assert (tmp_path / "x.txt").read_text() == command("export", path)
    command("import", tmp_path / "x.txt", "-o", tmp_path / "y.trace")
    assert (tmp_path / "y.trace").read_bytes() == path.read_bytes()


def test_an_event_file_comes_in(tmp_path: Path) -> None:
    recording_of(tmp_path / "x.events", [Call(0, "malloc", 1, 8), Call(0, "free", 1)], facts())
    said = command("import", tmp_path / "x.events", "-o", tmp_path / "x.trace")
    assert "recorded by allocphase record" in said
    assert trace.read(tmp_path / "x.trace").op_counts["malloc"] == 1
    assert "command    made up" in command("info", tmp_path / "x.trace")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["cut", "{x}", "--from", "a", "-o", "y"], "--from 'a': a number of an operation"),
        (["cut", "{x}", "--from", "60%", "--to", "50%", "-o", "y"], "a window is of some of them"),
        (["info", "{none}"], "none.trace: No such file"),
        (["import", "{x}", "-o", "y"], "x.trace: is of no format that is known"),
        (["import", "{none}", "-o", "y"], "none.trace: No such file"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    path: Path, words: list[str], reason: str
) -> None:
    names = {"x": path, "none": path.with_name("none.trace")}
    said = command(*(word.format(**names) for word in words), code=2)
    assert reason in said
    assert said.count("\n") == 1

"""What options name is sent along by digest, and is checked wherever it is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase.errors import DataError, UsageError
from allocphase.hosts.document import Option
from allocphase.hosts.objects import Collected, place, read_object


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "here"
    (here / "mine").mkdir(parents=True)
    (here / "mine" / "allocator.toml").write_text("toml", encoding="utf-8")
    (here / "mine" / "mine.c").write_text("source", encoding="utf-8")
    (here / "lib.so").write_bytes(b"object")
    (here / "app.trace").write_bytes(b"trace")
    (here / "app.toml").write_text('trace = "app.trace"', encoding="utf-8")
    (here / "job.toml").write_text('program = {files = ["lib.so"]}', encoding="utf-8")
    monkeypatch.chdir(here)
    return tmp_path


@pytest.mark.parametrize(
    ("flag", "value", "option", "sent"),
    [
        ("--allocator", "libc", Option(flag="--allocator", value="libc"), None),
        ("--allocator", "jemalloc?narenas=1,4", None, None),
        (
            "--allocator",
            "mine=lib.so?pool=1",
            Option(flag="--allocator", value="mine=", sent=0, rest="?pool=1"),
            ["lib.so"],
        ),
        (
            "--candidate",
            "./mine",
            Option(flag="--candidate", value="mine=", sent=0),
            ["mine/allocator.toml", "mine/mine.c"],
        ),
        ("--scenario", "random-churn", None, None),
        (
            "--scenario",
            "app.trace?mode=asap",
            Option(flag="--scenario", sent=0, rest="?mode=asap"),
            ["app.trace"],
        ),
        ("--scenario", "app.toml", None, ["app.toml", "app.trace"]),
        ("--scenario", "job.toml", None, ["job.toml", "lib.so"]),
        ("--stdin", "app.toml", None, ["app.toml", "app.trace"]),
    ],
)
def test_an_option_is_taken_apart_into_words_and_files(
    files: Path, flag: str, value: str, option: Option | None, sent: list[str] | None
) -> None:
    collected = Collected(files / "kept")
    collected.add(flag, value)
    paths = [file.path for one in collected.objects for file in one.files]
    assert paths == (sent or [])
    if sent is None:
        option = Option(flag=flag, value=value)
    assert option is None or collected.options == [option]


def test_a_host_has_the_same_files_under_their_own_names(files: Path) -> None:
    collected = Collected(files / "kept")
    collected.add("--candidate", "./mine")
    collected.add("--scenario", "app.toml")
    folder, scenario = place(collected.objects, files / "host", kept=files / "kept")
    assert sorted(path.name for path in folder.iterdir()) == ["allocator.toml", "mine.c"]
    assert (scenario.parent / "app.trace").read_bytes() == b"trace"


def test_what_is_no_longer_what_its_name_says_is_not_used(files: Path) -> None:
    collected = Collected(files / "kept")
    collected.add("--allocator", "mine=lib.so")
    (kept,) = (files / "kept").iterdir()
    kept.write_bytes(b"another")
    with pytest.raises(DataError, match="no longer what its name says"):
        place(collected.objects, files / "host", kept=files / "kept")
    kept.unlink()
    with pytest.raises(DataError, match="No such file"):
        read_object(files / "kept", kept.name)


def test_a_placed_file_that_somebody_changed_is_made_again(files: Path) -> None:
    collected = Collected(files / "kept")
    collected.add("--allocator", "mine=lib.so")
    (placed,) = place(collected.objects, files / "host", kept=files / "kept")
    placed.write_bytes(b"another")
    assert place(collected.objects, files / "host", kept=files / "kept") == [placed]
    assert placed.read_bytes() == b"object"


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("--allocator", "mine=gone.so", r"--allocator .*gone.so: No such file"),
        ("--limits", "gone.toml", "gone.toml"),
        ("--scenario", "away.toml", r"'\.\./x\.trace' does not lie beside it"),
    ],
)
def test_what_cannot_be_sent_is_named(files: Path, flag: str, value: str, words: str) -> None:
    (files / "here" / "away.toml").write_text('trace = "../x.trace"', encoding="utf-8")
    with pytest.raises(UsageError, match=words):
        Collected(files / "kept").add(flag, value)

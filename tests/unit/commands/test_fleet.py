"""`allocphase fleet` before it connects to anything: what is refused, and that nothing is left."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import main


def refused(*arguments: str) -> str:
    """What is said; asserts that it is a usage error."""
    done = CliRunner().invoke(main, ["fleet", *arguments])
    assert done.exit_code == 2, done.output
    return done.output


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert importlib.util.find_spec("distributed") is None
    assert "pip install 'allocphase[fleet]'" in refused("run", "--local", "1", "-a", "libc")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "-a", "libc"), "one of --scheduler tls://HOST:PORT and --local N"),
        (("run", "--local", "1", "--scheduler", "tls://10.0.0.1:1"), "one of --scheduler"),
        (("run", "--scheduler", "tcp://10.0.0.1:8786", "-a", "libc"), "without TLS anybody"),
        (("gate", "--scheduler", "tls://10.0.0.1:8786"), "add --certificates DIR"),
        (("run", "--scheduler", "tls://10.0.0.1:1", "--certificates", "."), "there is no ca.pem"),
        (("run", "--local", "1", "--saved", "main"), "No such option"),
        (("worker", "tcp://10.0.0.1:8786"), "without TLS anybody"),
        (("status", "."), "no fleet ran there"),
        (("resume", "."), "no fleet ran there"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    arguments: tuple[str, ...], words: str, here: Path
) -> None:
    assert words in refused(*arguments)
    assert list(here.rglob("*")) in ([], [here / "out"])

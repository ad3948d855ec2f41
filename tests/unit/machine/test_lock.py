"""The machine's lock, and the lock of a run directory: who waits for whom, and what is said."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from allocphase import interruption
from allocphase.errors import UsageError
from allocphase.files.folder_lock import FolderLock
from allocphase.interruption import InterruptionError
from allocphase.machine import lock as machine_lock
from allocphase.machine.lock import MachineLock

# Holds the lock until its stdin ends.
HOLDER = (
    "import sys\n"
    "from pathlib import Path\n"
    "from allocphase.machine.lock import MachineLock\n"
    "lock = MachineLock(Path('/somewhere/a\\x1b[2Jrun'))\n"
    "lock.acquire()\n"
    "print(lock.problem, flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "machine.lock"
    monkeypatch.setenv("ALLOCPHASE_LOCK", str(path))
    return path


@contextmanager
def holder() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "None\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_lock_s_file_says_who_has_it_and_is_open_to_every_user(path: Path) -> None:
    lock = MachineLock(Path("out/run"))
    lock.acquire()
    record = json.loads(path.read_text())
    assert (record["pid"], record["run"]) == (os.getpid(), str(Path("out/run").resolve()))
    assert set(record) == {"pid", "namespace", "user", "run", "since"}
    assert path.stat().st_mode & 0o777 == 0o666
    lock.release()
    assert path.read_text() == ""


def test_whoever_comes_second_says_who_has_the_machine_and_waits(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with holder() as process:
        naps: list[float] = []

        def nap(seconds: float) -> None:
            naps.append(seconds)
            if len(naps) == 3:
                process.kill()  # the lock dies with its holder, whatever ends that
                process.wait()

        monkeypatch.setattr(time, "sleep", nap)
        lock = MachineLock(Path("mine"))
        with caplog.at_level(logging.WARNING):
            lock.acquire()
    assert len(naps) == 3
    assert lock.problem is None
    (message,) = caplog.messages
    assert f"taken for timing by process {process.pid} of " in message
    assert "/somewhere/a\ufffd[2Jrun, since 20" in message
    assert json.loads(path.read_text())["pid"] == os.getpid()
    lock.release()


@pytest.mark.usefixtures("path")
def test_a_signal_ends_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = InterruptionError(2)

    def check() -> None:
        raise reason

    monkeypatch.setattr(interruption, "check", check)
    with holder(), pytest.raises(InterruptionError):
        MachineLock(Path("mine")).acquire()


def test_what_an_ancestor_started_goes_on_under_the_ancestor_s_lock(path: Path) -> None:
    lock = MachineLock(Path("outer"))
    lock.acquire()
    nested = MachineLock(Path("inner"))
    nested.acquire()  # in the same process
    assert nested.problem is None
    with holder():  # in a child
        pass
    nested.release()
    assert json.loads(path.read_text())["run"].endswith("outer")
    lock.release()


def test_a_file_that_was_removed_is_made_again(path: Path) -> None:
    first = MachineLock(Path("first"))
    first.acquire()
    path.unlink()
    second = MachineLock(Path("second"))
    second.acquire()
    assert json.loads(path.read_text())["run"].endswith("second")
    first.release()
    second.release()


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b"[1]", b"[" * 4096, b'{"pid": "x"}'])
def test_whatever_the_file_says_whoever_has_the_lock_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    naps: list[float] = []
    with holder() as process:
        path.write_bytes(content)

        def nap(seconds: float) -> None:
            naps.append(seconds)
            process.kill()
            process.wait()

        monkeypatch.setattr(time, "sleep", nap)
        lock = MachineLock(Path("mine"))
        lock.acquire()
    assert len(naps) == 1
    lock.release()


def test_without_a_lock_it_goes_on_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "victim")
    hard = tmp_path / "hard"
    hard.touch()
    (tmp_path / "other").hardlink_to(hard)
    for place, problem in (
        ("", "no machine lock: ALLOCPHASE_LOCK is empty"),
        (str(tmp_path / "nowhere" / "lock"), "nowhere/lock: No such file or directory"),
        (str(link), "link: is a link, and none is followed here"),
        (str(hard), "hard: is no plain file"),
        (str(tmp_path), "Is a directory"),
    ):
        monkeypatch.setenv("ALLOCPHASE_LOCK", place)
        lock = MachineLock(Path("mine"))
        lock.acquire()
        lock.acquire()
        assert lock.problem is not None
        assert lock.problem.endswith(problem)
        lock.release()
    assert not (tmp_path / "victim").exists()


def test_without_the_variable_all_users_meet_at_the_first_file_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALLOCPHASE_LOCK")
    folders = [tmp_path / "run-lock", tmp_path / "tmp"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(machine_lock, "FOLDERS", folders)
    (folders[1] / "allocphase.lock").touch()
    lock = MachineLock(Path("mine"))
    lock.acquire()
    lock.release()
    assert not any(folders[0].iterdir())
    (folders[1] / "allocphase.lock").unlink()
    lock.acquire()
    lock.release()
    assert [path.name for path in folders[0].iterdir()] == ["allocphase.lock"]


def test_a_run_directory_is_filled_by_one_process(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(UsageError, match=f"{tmp_path}: another process is filling it"):
        FolderLock(tmp_path)
    lock.release()
    lock.release()
    FolderLock(tmp_path).release()

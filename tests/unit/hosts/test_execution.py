"""A job on its host: once, whoever gives it how often, and never as another one's."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from allocphase import __version__
from allocphase.errors import UsageError
from allocphase.hosts import execution
from allocphase.hosts.archive import digest_of_file, unpack
from allocphase.hosts.document import Kind, Option
from allocphase.hosts.execution import Host, JobStoppedError
from allocphase.hosts.job import Job, written
from allocphase.hosts.objects import Collected
from allocphase.store.reader import RunFiles


def job(host: str = "epyc", *, kind: Kind = "run", options: Sequence[tuple[str, str]] = ()) -> Job:
    return Job(
        fleet="f00d",
        version=__version__,
        kind=kind,
        host=host,
        options=tuple(Option(flag=flag, value=value) for flag, value in options),
        objects=(),
    )


RUN = job(
    options=[
        ("--allocator", "phase3"),
        ("--scenario", "phase-report?allocations=500"),
        ("--probe", "syscalls"),
    ]
)


def test_a_job_that_ended_is_not_run_again_and_its_archive_is_its_run_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host("epyc", tmp_path)
    assert host.ended(RUN.id) is None
    result = host.run(written(RUN))
    assert host.ended(RUN.id) == result
    monkeypatch.setattr(execution, "command", pytest.fail)  # nothing is started any more
    assert host.run(written(RUN)) == result
    archive = tmp_path / "archive"
    archive.write_bytes(host.piece(RUN.id, 0))
    assert archive.stat().st_size == result.size_bytes
    assert host.piece(RUN.id, result.size_bytes) == b""
    unpack(archive, tmp_path / "there", sha256=str(result.archive))
    files = RunFiles(tmp_path / "there")
    assert files.unfinished() is None and len(list(files.processes())) > 0


def test_a_stopped_job_says_so_and_has_no_result(tmp_path: Path) -> None:
    host = Host("epyc", tmp_path)
    long = job(options=[("--allocator", "phase3"), ("--rounds", "1000")])
    threading.Timer(0.5, host.stop).start()
    with pytest.raises(JobStoppedError, match="SIGTERM"):
        host.run(written(long))
    assert not list(tmp_path.rglob("result.*"))


def test_a_gate_that_had_its_verdict_is_packed_and_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kill between the verdict and the archive leaves it."""
    monkeypatch.setattr(execution, "command", pytest.fail)
    host, gate = Host("epyc", tmp_path), job(kind="gate")
    session = tmp_path / "epyc" / "jobs" / gate.id / "out" / "20261128-gate"
    session.mkdir(parents=True)
    (session / "gate.json").write_text(json.dumps({"exit_code": 3}), encoding="utf-8")
    result = host.run(written(gate))
    assert result.exit_code == 3
    archive = session.parents[1] / "result.tar.zst"
    assert digest_of_file(archive) == result.archive
    archive.write_bytes(b"spoilt")
    assert host.run(written(gate)) == result
    assert digest_of_file(archive) == result.archive


def test_a_job_of_another_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="for host xeon, and this is epyc"):
        Host("epyc", tmp_path).run(written(job("xeon")))


def test_two_workers_of_one_name_do_not_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allocphase.files.folder_lock.MOMENT_S", 0.0)
    monkeypatch.setattr(execution, "LOCK_WAIT_S", 0.0)
    first = Host("epyc", tmp_path)
    with pytest.raises(UsageError, match="another process is filling it"):
        Host("epyc", tmp_path)
    assert first.name == "epyc"


def test_no_job_is_looked_for_elsewhere(tmp_path: Path) -> None:
    host = Host("epyc", tmp_path)
    for name in ("../epyc", "..", "a/b", ""):
        with pytest.raises(UsageError, match="no such job"):
            host.piece(name, 0)


def test_a_host_lacks_what_it_was_not_sent(tmp_path: Path) -> None:
    host = Host("epyc", tmp_path)
    there = host.keep(b"object")
    assert host.lacking([there, "ab" * 32]) == ["ab" * 32]


def test_a_job_whose_object_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(b"object")
    collected = Collected(tmp_path / "kept")
    collected.add("--allocator", f"mine={tmp_path}/lib.so")
    sent = Job(
        fleet="f00d",
        version=__version__,
        kind="run",
        host="epyc",
        options=tuple(collected.options),
        objects=tuple(collected.objects),
    )
    with pytest.raises(UsageError, match="No such file"):
        Host("epyc", tmp_path).run(written(sent))

"""A job on its host: begun, gone on with after any kill, and packed up once it has ended.

    DIR/<host>/objects/<sha256>      files that jobs brought along
    DIR/<host>/jobs/<id>/job.json    what is measured
                         objects/    its files, checked, under their own names
                         out/        its run directory, or a gate's one or two
                         said.txt    what the command said
                         result.tar.zst, result.json    once it has ended: written in this order

The command is our own, in a process of its own that ends with the worker's. A run is resumed from
its journal. A gate chooses its rounds while it runs, and cannot be: it is begun anew, unless it had
its verdict. The folder's lock is held until the command's process has ended, so that no cell is
measured twice, whoever gives the job again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from allocphase.errors import AllocphaseError, UsageError
from allocphase.files.documents import read_json
from allocphase.files.durable import named_errors, write_text
from allocphase.files.flock import try_lock
from allocphase.files.folder_lock import FolderLock
from allocphase.hosts.archive import digest_of_file, pack
from allocphase.hosts.bound import command
from allocphase.hosts.document import is_below, is_host_name
from allocphase.hosts.job import HostResult, Job, read_job, read_result, written
from allocphase.hosts.objects import place, store

__all__ = ["Host", "JobStoppedError"]

# Of what comes from `allocphase run` and `gate`: cells without a figure, and all verdicts.
_ENDED = {"run": (0, 5), "gate": (0, 3, 4, 5)}
_SIGNALLED = 128
# A process under SIGTERM takes a moment to end, and the one after it waits for that.
LOCK_WAIT_S = 60.0
POLL_S = 0.1
LAST_WORDS_BYTES = 4096
PIECE_BYTES = 8 << 20


class JobStoppedError(AllocphaseError):
    """The job was stopped, or its process was killed: given again, it is gone on with."""


class Host:
    """What a worker has of its host: a name, and a folder that no other worker has meanwhile.

    Raises UsageError where one has it, AllocphaseError where it cannot be made.
    """

    def __init__(self, name: str, folder: Path) -> None:
        if not is_host_name(name):
            raise UsageError(f"host {name!r}: letters, digits, dots, dashes and underscores, 64")
        self.name = name
        self.folder = folder.absolute() / name
        with named_errors(self.folder):
            (self.folder / "jobs").mkdir(parents=True, exist_ok=True)
        self._lock = _folder_lock(self.folder)
        self._objects = self.folder / "objects"
        self._running: subprocess.Popen[bytes] | None = None
        self._stopped = threading.Event()

    def lacking(self, digests: Iterable[str]) -> list[str]:
        """Those of which there is no file here."""
        return sorted(one for one in digests if not (self._objects / one).is_file())

    def keep(self, content: bytes) -> str:
        """A file that a job brings along; its digest."""
        return store(self._objects, content)

    def run(self, text: str) -> HostResult:
        """Runs the job to its end, or what is left of it; what ended already is not run again.

        Raises UsageError for what is no job of this host, and JobStoppedError.
        """
        job = read_job(text, host=self.name)
        folder = self._folder(job.id)
        with named_errors(folder):
            folder.mkdir(exist_ok=True)
        with _locked(folder / "lock") as lock:
            if (ended := _ended(folder)) is not None:
                return ended
            write_text(folder / "job.json", text)
            objects = place(job.objects, folder / "objects", kept=self._objects)
            code = self._command(job, folder, objects, lock)
            result = _result(job, folder, code)
            if result.archive is not None:
                write_text(folder / "result.json", written(result))
            return result

    def ended(self, job_id: str) -> HostResult | None:
        """The result of a job, if there is one by now. Raises UsageError."""
        return _ended(self._folder(job_id))

    def piece(self, job_id: str, offset: int) -> bytes:
        """PIECE_BYTES of a job's archive, or what is left of it. Raises UsageError."""
        path = self._folder(job_id) / "result.tar.zst"
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(PIECE_BYTES)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None

    def stop(self) -> None:
        """Ends the command that runs, from any thread; what it has finished is kept."""
        self._stopped.set()
        if self._running is not None:
            self._running.terminate()

    def _folder(self, job_id: str) -> Path:
        if not is_below(job_id) or "/" in job_id:
            raise UsageError(f"job {job_id!r}: no such job")
        return self.folder / "jobs" / job_id

    def _command(self, job: Job, folder: Path, objects: list[Path], lock: int) -> int:
        """The exit code, of a gate that has its verdict without running it again."""
        code = None if job.kind == "run" else _verdict_of_before(folder / "out")
        if code is not None:
            return code
        with (folder / "said.txt").open("ab") as said:
            self._running = subprocess.Popen(
                command("allocphase.cli", *_arguments(job, folder / "out", objects), lock=lock),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                pass_fds=(lock,),
            )
        try:
            if self._stopped.is_set():
                self._running.terminate()
            return self._running.wait()
        finally:
            self._running = None


def _folder_lock(folder: Path) -> FolderLock:
    """A worker that was killed has it until its process has ended. Raises UsageError."""
    until = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return FolderLock(folder)
        except UsageError:
            if time.monotonic() > until:
                raise


def _arguments(job: Job, out: Path, objects: list[Path]) -> list[str]:
    begun = _folders(out)
    if job.kind == "gate":
        shutil.rmtree(out, ignore_errors=True)
    for folder in begun:
        if job.kind == "run" and (folder / "run.json").exists():
            return ["run", f"--resume={folder}", "--quiet"]
        shutil.rmtree(folder, ignore_errors=True)  # nothing was measured in it
    return [*job.arguments(objects), f"--out={out}", f"--label={job.kind}", "--quiet"]


def _folders(out: Path) -> list[Path]:
    return sorted(path for path in out.glob("*") if path.is_dir())


def _verdict_of_before(out: Path) -> int | None:
    """Of a gate that ended, and was killed before its result was packed."""
    for folder in _folders(out):
        with contextlib.suppress(FileNotFoundError):
            return int(read_json(folder / "gate.json")["exit_code"])
    return None


def _result(job: Job, folder: Path, code: int) -> HostResult:
    reason = _last_words(folder / "said.txt")
    if code < 0 or code > _SIGNALLED:
        number = -code if code < 0 else code - _SIGNALLED
        raise JobStoppedError(f"ended by {signal.Signals(number).name}")
    folders = _folders(folder / "out")
    if code not in _ENDED[job.kind] or not folders:
        return HostResult(exit_code=code, reason=reason)
    named = {"confirm" if one.name.endswith("-confirm") else "": one for one in folders}
    digest, size_bytes = pack(named, folder / "result.tar.zst")
    return HostResult(
        exit_code=code,
        archive=digest,
        size_bytes=size_bytes,
        reason=reason if code == 5 else "",
    )


def _ended(folder: Path) -> HostResult | None:
    """The result of an earlier time, as long as its archive is whole."""
    path = folder / "result.json"
    if not path.is_file():
        return None
    result = read_result(path.read_text(encoding="utf-8"))
    with contextlib.suppress(AllocphaseError):
        if digest_of_file(folder / "result.tar.zst") == result.archive:
            return result
    return None


def _last_words(path: Path) -> str:
    """The last line that the command said."""
    with contextlib.suppress(OSError):
        words = path.read_bytes()[-LAST_WORDS_BYTES:].decode("utf-8", "replace").split("\n")
        last = next((line for line in reversed(words) if line.strip()), "")
        return last.removeprefix("allocphase: ")
    return ""


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The descriptor of a lock, which ends when nobody has it open any more."""
    with named_errors(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        until = time.monotonic() + LOCK_WAIT_S
        while not try_lock(file):
            if time.monotonic() > until:
                raise JobStoppedError(f"{path.parent}: an earlier process of the job still runs")
            time.sleep(POLL_S)
        yield file
    finally:
        os.close(file)

"""What --keep-failed keeps of a failed process: each printed command is run, and fails alike."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from allocphase.allocator import Source
from allocphase.allocator.source import rebuilding
from allocphase.probe.probe import Probe
from allocphase.process.driver import DriverExecutor
from allocphase.process.keeper import Limits
from allocphase.run.session import run
from allocphase.store.reader import RunFiles
from tests.support.gallery import FOLDER as FAULTY
from tests.support.gallery import faults
from tests.support.plugins import ROOT, Plugins
from tests.support.runs import no_progress, request_of

Needs = Callable[..., None]

# Each of them has a meaning in a shell, in make, or in gdb.
HOSTILE = 'it\'s $HOME `id` "x" #1 & ü'
SCENARIO = "phase-report?allocations=20"


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody who writes a plug-in, in a folder with an unusual name."""

    folder: Path

    def source(self, name: str) -> Path:
        """A source of tests/faulty, with what it includes beside it."""
        for path in (FAULTY / f"{name}.c", FAULTY / "correct.h", ROOT / "driver" / "os.h"):
            shutil.copy(path, self.folder)
        return self.folder / f"{name}.c"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`allocphase run` of one small scenario."""
        program = Path(sys.executable).with_name("allocphase")
        variables = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")}
        command = [str(program), "run", "--quiet", "-s", SCENARIO, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, timeout=300, env=variables
        )

    def kept(self) -> Kept:
        """What the only run has kept."""
        (path,) = (self.folder / "out").iterdir()
        return Kept(path)


@dataclass(frozen=True, slots=True)
class Kept:
    """A run directory with failures."""

    run: Path

    def text(self, process: int = 0) -> str:
        return (self.run / "failed" / str(process) / "repeat.txt").read_text(encoding="utf-8")

    def operations(self, process: int = 0) -> list[str]:
        """The lines of the last operations, without what marks the last one."""
        return re.findall(r"^ +(?:--> )?(operation .*)$", self.text(process), re.MULTILINE)

    def command(self, what: str, process: int = 0) -> str:
        """The one below the words that begin so."""
        lines = self.text(process).splitlines()
        (at,) = [i for i, line in enumerate(lines) if line.startswith(f"# {what}")]
        return lines[at + 1]

    def repeat(self, what: str, process: int = 0) -> subprocess.CompletedProcess[str]:
        """What comes of the command, pasted into a shell that is elsewhere."""
        return subprocess.run(
            ["sh", "-c", self.command(what, process)],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            cwd="/",
            timeout=200,
        )


@pytest.fixture
def author(tmp_path: Path, needs: Needs) -> Author:
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    (tmp_path / HOSTILE).mkdir()
    return Author(tmp_path / HOSTILE)


@pytest.fixture
def gdb(needs: Needs) -> None:
    needs(shutil.which("gdb"), "gdb", install="apt-get install gdb")


@pytest.fixture
def valgrind(needs: Needs) -> None:
    needs(shutil.which("valgrind"), "valgrind", install="apt-get install valgrind libc6-dbg")


def require_sanitizers(needs: Needs, compiler: str) -> None:
    needs(shutil.which(compiler), compiler, install=f"apt-get install {compiler}")
    runtime = rebuilding(Source(path=Path("x.c"), folder=Path("/"))).runtime
    needs(runtime, f"the sanitizers of {compiler}", install="apt-get install libasan8")


def signal_of(done: subprocess.CompletedProcess[str]) -> int:
    """What killed the last command of a shell."""
    return -done.returncode if done.returncode < 0 else done.returncode - 128


# ---- A crash at a known operation ------------------------------------------------------------


@pytest.fixture
def crash(author: Author) -> Kept:
    """Its malloc number 14 writes through a null pointer: operation 13, in every replay."""
    source = author.source("neighbour")
    done = author.run("-a", f"mine={source}?crash=14", "-p", "verify", "--keep-failed")
    assert done.returncode == 5, done.stderr
    return author.kept()


def test_the_operations_before_a_crash_are_told_with_the_faulty_one_last(crash: Kept) -> None:
    trace = crash.run / "failed" / "0.trace"
    lines = crash.operations()
    assert len(lines) == 10
    assert [line.partition(":")[0] for line in lines] == [
        f"operation {op} of thread 0" for op in range(4, 14)
    ]
    assert all(re.fullmatch(r"operation \d+ .*: malloc, \d+ bytes, slot \d+", x) for x in lines)
    (record,) = RunFiles(crash.run).processes()
    words = lines[-1].replace(": ", " (") + ")."
    assert record.message == f"killed by SIGSEGV at {words}"
    assert f"  --> {lines[-1]}\n" in crash.text()
    assert trace.stat().st_nlink == 1, "the name in traces/ is gone"


def test_the_command_as_it_ran_crashes_as_it_did(crash: Kept) -> None:
    assert signal_of(crash.repeat("as it ran")) == signal.SIGSEGV


@pytest.mark.usefixtures("gdb")
def test_gdb_stops_at_the_crash_and_shows_its_line(crash: Kept) -> None:
    said = crash.repeat("in gdb").stdout
    assert "SIGSEGV" in said
    assert "faulty_malloc" in said
    assert "*nowhere = 1;" in said, "the source is found"


@pytest.mark.usefixtures("valgrind")
def test_valgrind_tells_of_the_write_that_crashes(crash: Kept) -> None:
    said = crash.repeat("under valgrind").stderr
    assert re.search(r"Invalid write of size 4\n.* faulty_malloc \(neighbour\.c:\d+\)", said)


@pytest.mark.parametrize("compiler", ["cc", "clang-14"])
def test_the_rebuilt_source_is_told_of_by_the_sanitizer(
    author: Author, needs: Needs, monkeypatch: pytest.MonkeyPatch, compiler: str
) -> None:
    """In a plainer folder for clang: its symbolizer waits for ever where a path has a quote."""
    monkeypatch.setenv("CC", compiler)
    require_sanitizers(needs, compiler)
    if compiler != "cc":
        author = Author(author.folder.parent / "a folder")
        author.folder.mkdir()
    source = author.source("metadata")
    flags = ["--cflags", "-DSIZES=8 '-DUNUSED=\"a b\"'"]
    done = author.run(
        "-a", f"mine={source}?fault=null", "-p", "verify", "-p", "syscalls", "--keep-failed", *flags
    )
    assert done.returncode == 5, done.stderr
    kept = author.kept()
    for process in (0, 1):
        said = kept.repeat("with metadata.c", process).stderr
        assert "ERROR: AddressSanitizer: heap-buffer-overflow" in said
        assert re.search(r"is located 0 bytes (to the right of|after) 64-byte region", said)
        assert re.search(r"#0 .* in faulty_malloc .*metadata\.c", said)


def test_a_fault_of_undefined_behaviour_is_told_by_the_other_sanitizer(
    author: Author, needs: Needs
) -> None:
    require_sanitizers(needs, "cc")
    source = author.source("neighbour")
    author.run("-a", f"mine={source}?crash=14", "-p", "verify", "--keep-failed")
    said = author.kept().repeat("with neighbour.c").stderr
    assert "runtime error: store to null pointer" in said


# ---- Damage, with a look at everything -------------------------------------------------------


def test_what_damages_a_neighbour_is_found_where_it_does_so_and_again(author: Author) -> None:
    source = author.source("neighbour")
    arm = ["-a", f"mine={source}?at=13", "-p", "verify"]
    late = author.run(*arm)
    assert late.returncode == 5
    (run,) = (author.folder / "out").iterdir()
    (record,) = RunFiles(run).processes()
    assert "content has changed at operation 32 of thread 0 (free" in record.message
    assert not record.kept
    assert not (run / "failed").exists()
    assert not (run / "traces").exists()
    shutil.rmtree(run)

    done = author.run(*arm, "--check-every", "1", "--keep-failed")
    kept = author.kept()
    (record,) = RunFiles(kept.run).processes()
    found = "the live object in slot 12 has changed at byte "
    assert record.message.startswith(found)
    assert ", seen after operation 13 of thread 0 (malloc, " in record.message
    assert record.kept
    assert record.repeat_file == "failed/0/repeat.txt"
    assert kept.operations()[-1].startswith("operation 13 of thread 0: malloc, ")
    assert kept.text() in done.stderr + "\n"
    again = kept.repeat("as it ran")
    assert (again.returncode, again.stderr) == (
        5,
        f"allocphase-driver: corrupt: {record.message}\n",
    )


@pytest.mark.usefixtures("gdb")
def test_gdb_stops_where_the_driver_ends_what_is_corrupt(author: Author) -> None:
    source = author.source("neighbour")
    author.run("-a", f"mine={source}?at=13", "-p", "verify", "--check-every", "1", "--keep-failed")
    command = author.kept().command("in gdb").replace("-ex run", "-ex run -ex bt")
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=100
    )
    assert "call to syscall exit_group" in done.stdout
    assert "probe_verify" in done.stdout, "the driver has its symbols"


# ---- What the keeper ended --------------------------------------------------------------------


def test_what_hung_is_repeated_under_the_keeper_which_says_so(author: Author) -> None:
    source = author.source("hang")
    arm = f"mine={source}?fault=spin"
    done = author.run("-a", arm, "-p", "verify", "--timeout", "1", "--keep-failed")
    kept = author.kept()
    assert "# as it ran: it hangs again, and is ended beyond 1 s as it was" in done.stderr
    assert "it hangs, and Ctrl-C is all that ends it here" in kept.text()
    again = kept.repeat("as it ran")
    assert again.returncode == 0
    assert again.stdout.startswith("timeout ")


@pytest.mark.parametrize(
    ("name", "reason"), [("leak", "memory"), ("starts-many-processes", "processes")]
)
def test_what_grew_without_end_is_repeated_within_the_same_limits(
    tmp_path: Path, plugins: Plugins, name: str, reason: str
) -> None:
    (fault,) = [each for each in faults() if each.name == name]
    request = request_of(
        tmp_path / "out",
        allocators=[fault.allocator(plugins)],
        probes=[Probe.VERIFY],
        timeout_s=60.0,
        keep_failed=True,
    )
    limits = Limits(memory_bytes=128 << 20, processes=16)
    kept = Kept(run(request, DriverExecutor(limits=limits), progress=no_progress))
    again = kept.repeat("as it ran")
    assert again.stdout.startswith(f"{reason} "), again


# ---- Preloads ---------------------------------------------------------------------------------


def test_a_preload_crashes_again(author: Author, tmp_path: Path, plugins: Plugins) -> None:
    shutil.copy(plugins("preload", "CRASH", folder=FAULTY), tmp_path / "lib.so")
    done = author.run("-a", "mine=../lib.so", "-p", "verify", "--keep-failed")
    assert done.returncode == 5
    kept = author.kept()
    assert "it was outside of the trace" in kept.text()
    assert "Sanitizer" not in kept.text()
    message = RunFiles(kept.run).processes()[0].message
    again = kept.repeat("as it ran")
    assert f"killed by {signal.Signals(signal_of(again)).name}" in message


# ---- What is told, and what is refused ---------------------------------------------------------


def test_each_cell_and_probe_is_told_once_and_what_is_kept_is_counted(author: Author) -> None:
    source = author.source("neighbour")
    probes = ["-p", "syscalls", "-p", "verify"]
    done = author.run("-a", f"mine={source}?crash=14", "-a", "libc", *probes, "--keep-failed")
    assert done.returncode == 0, done.stderr
    kept = author.kept()
    failed = [record for record in RunFiles(kept.run).processes() if not record.ok]
    assert len(failed) == 5
    assert done.stderr.count("# as it ran") == 2
    assert done.stderr.count("repeat.txt") == 3, "the others of syscalls"
    size = sum(path.stat().st_size for path in (kept.run / "failed").rglob("*") if path.is_file())
    assert f"kept of 5 failed processes: {size / 1024:.1f} KiB in out/" in done.stderr
    assert {path.name for path in (kept.run / "failed").glob("*.trace")} == {"0.trace"}


def test_a_run_that_is_gone_on_with_keeps_what_it_was_to_keep(author: Author) -> None:
    source = author.source("neighbour")
    author.run("-a", f"mine={source}?crash=14", "-p", "verify", "--keep-failed", "--cflags", "-DX")
    kept = author.kept()
    before = kept.text()
    for name in ("processes.jsonl", "events.jsonl"):
        (kept.run / name).unlink()
    shutil.rmtree(kept.run / "failed")
    program = Path(sys.executable).with_name("allocphase")
    command = [str(program), "run", "--quiet", "--resume", str(kept.run)]
    subprocess.run(command, cwd="/", capture_output=True)
    # Which CPU it had is a matter of who was idle.
    cpu = re.compile(r"--cpu \d+")
    assert cpu.sub("", kept.text()) == cpu.sub("", before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-a", "libc", "--cflags", "-O0"], "--cflags is for allocators that are compiled"),
        (["--cflags", ""], "--cflags is for allocators that are compiled"),
        (["-a", "libc", "--cflags", "'-O0"], '--cflags "\'-O0": No closing quotation'),
        (["-a", "libc", "--check-every", "0"], "0 is not in the range 1<=x"),
        (["-a", "libc", "--check-every", "-1"], "-1 is not in the range 1<=x"),
        (
            ["-a", "libc", "--check-every", "2", "-p", "latency"],
            "--check-every is for the verify probe, which is no part of this run: add -p verify",
        ),
        (["-a", "libc", "--check-every", "2", "--quick"], "--check-every is for the verify probe"),
    ],
)
def test_options_without_anything_to_be_used_for_are_refused(
    author: Author, arguments: list[str], words: str
) -> None:
    done = author.run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (author.folder / "out").exists()

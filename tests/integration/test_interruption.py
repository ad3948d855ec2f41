"""The command when it is stopped, its disk is full or shut, or another one runs beside it."""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase.run.plan import COUNT_PROCESSES
from allocphase.store.reader import RunFiles
from tests.support.breaking import PROGRAM, Kitchen, left_running, no_leftovers
from tests.support.plugins import Plugins

TIMEOUT_S = 120.0
# Of a shorter trace a timed process reads the clock most of the time: seconds instead of this.
SMALL = ["-s", "phase-report"]
# 2 x 6 timed processes of some 150 ms, after those that count.
LONG = ["-a", "libc", *SMALL, "-p", "throughput", "-p", "syscalls", "-r", "6", "--out", "out"]
COUNTED = COUNT_PROCESSES
PROCESSES = COUNTED + 2 * 6


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def soon(condition: Callable[[], object]) -> None:
    """Waits for it; fails when it does not come."""
    until = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def journaled(kitchen: Kitchen, *, out: str = "out") -> int:
    """How many processes have finished in the one run of a folder."""
    return sum(path.read_bytes().count(b"\n") for path in kitchen.folder.glob(f"{out}/*/proc*"))


def the_run(kitchen: Kitchen) -> Path:
    (folder,) = kitchen.folder.glob("out/*")
    return folder


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, stdout, stderr


def go_on(kitchen: Kitchen) -> None:
    """Goes on with the one run, to its end; finds everything in order."""
    folder = the_run(kitchen)
    before = (folder / "processes.jsonl").read_bytes()
    code, _, stderr = ended(kitchen.command("run", "--resume", folder.relative_to(kitchen.folder)))
    assert code == 0, stderr
    assert (folder / "processes.jsonl").read_bytes().startswith(before)
    assert sorted(record.id for record in RunFiles(folder).processes()) == list(range(PROCESSES))
    no_leftovers(folder)


# ---- Signals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_keeps_what_is_finished_and_says_how_to_go_on(
    kitchen: Kitchen, number: signal.Signals, code: int
) -> None:
    report = ["--report"] if number == signal.SIGTERM else []
    process = kitchen.command("run", *LONG, *report)
    soon(lambda: journaled(kitchen) >= 3)
    process.send_signal(number)
    returned, stdout, stderr = ended(process)
    assert returned == code, stderr
    assert left_running(kitchen) == []
    folder, measured = the_run(kitchen), journaled(kitchen)
    assert 3 <= measured < PROCESSES
    partial = f"partial: {measured} of {PROCESSES} processes; continue with allocphase run --resume"
    assert f"{partial} {folder.relative_to(kitchen.folder)}" in stderr.splitlines()
    assert "libc" in stdout
    assert f"partial: {measured} of {PROCESSES} processes" in stdout
    if report:
        assert f"partial: {measured} of {PROCESSES}" in (folder / "report.html").read_text()
    assert f"allocphase: ended by {number.name}" in stderr.splitlines()
    assert "Traceback" not in stderr
    assert not (folder / "traces").exists()
    go_on(kitchen)


def test_a_closed_terminal_costs_the_terminal_s_output_only(kitchen: Kitchen) -> None:
    terminal, side = pty.openpty()
    process = kitchen.command(
        "run",
        *LONG,
        "--report",
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
        preexec_fn=lambda: os.login_tty(0),
    )
    os.close(side)
    soon(lambda: journaled(kitchen) >= 3)
    os.close(terminal)
    process.wait(TIMEOUT_S)
    assert process.returncode == 129
    assert left_running(kitchen) == []
    assert "partial: " in (the_run(kitchen) / "report.html").read_text()
    go_on(kitchen)


def test_a_second_signal_ends_it_at_once(kitchen: Kitchen) -> None:
    process = kitchen.command("run", *LONG, "--report")
    soon(lambda: journaled(kitchen) >= 3)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "partial: " not in process.stderr.readline():  # the report comes after it
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == -signal.SIGINT
    assert left_running(kitchen) == []
    assert not (the_run(kitchen) / "report.html").exists()
    go_on(kitchen)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("probe", ["verify", "throughput"])
def test_processes_that_hang_end_with_the_command_and_so_do_their_children(
    kitchen: Kitchen, plugins: Plugins, number: signal.Signals, probe: str
) -> None:
    """Side by side (verify) and alone (throughput); each has forked a child that hangs too."""
    subject = f"={plugins('ends')}?way=hang&in=malloc&pid_file={kitchen.folder}/pids"
    names = ["a", "b"] if probe == "verify" and len(os.sched_getaffinity(0)) > 1 else ["a"]
    hang = [word for name in names for word in ("-a", f"{name}{subject}-{name}")]
    process = kitchen.command("run", *hang, *SMALL, "-p", probe, "--timeout", "9999")
    pids = [kitchen.folder / f"pids-{name}" for name in names]
    soon(lambda: all(path.exists() and path.read_text().endswith("\n") for path in pids))
    process.send_signal(number)
    code, _, stderr = ended(process)
    assert code == (130 if number == signal.SIGINT else -signal.SIGKILL), stderr
    assert left_running(kitchen) == []


def test_a_gate_that_is_interrupted_leaves_no_copies_and_no_traces(kitchen: Kitchen) -> None:
    what = ["--baseline", "libc", "--candidate", "phase21", *SMALL, "--out", "out"]
    process = kitchen.command("gate", *what)
    soon(lambda: journaled(kitchen) >= 3)
    process.send_signal(signal.SIGTERM)
    code, _, stderr = ended(process)
    assert (code, stderr.splitlines()[-1]) == (143, "allocphase: ended by SIGTERM")
    assert left_running(kitchen) == []
    assert list((kitchen.folder / "out").iterdir()) == [the_run(kitchen)]
    assert not (the_run(kitchen) / "traces").exists()


# ---- Disks -------------------------------------------------------------------------------


@pytest.fixture
def in_namespace(needs: Callable[..., None], kitchen: Kitchen) -> Callable[..., list[str]]:
    """Runs a shell script, with $P for the command, where it may mount; its lines of output."""
    ways = [["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]]
    probe = ["mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    able = (way for way in ways if shutil.which("unshare") and _succeeds([*way, *probe]))
    way = next(able, None)
    needs(way, "a mount namespace", install="root, or unprivileged user namespaces")

    def run(script: str) -> list[str]:
        done = subprocess.run(
            [*(way or []), "sh", "-eu", "-c", script],
            env={**kitchen.environment, "P": str(PROGRAM)},
            cwd=kitchen.folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    return run


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0


def test_a_full_disk_is_one_clear_error_and_costs_nothing_that_was_finished(
    kitchen: Kitchen, in_namespace: Callable[..., list[str]]
) -> None:
    """The disk fills up after three processes; then somebody makes room."""
    lines = in_namespace(
        "mkdir out full whole; mount -t tmpfs -o size=8m tmpfs out\n"
        f"$P run {shlex.join(LONG)} -p latency 2> errors & pid=$!\n"
        'until [ "$(cat out/*/processes.jsonl 2>&1 | wc -l)" -ge 3 ]; do sleep 0.01; done\n'
        "cat /dev/zero > out/ballast 2>&1 || true\n"
        'code=0; wait "$pid" || code=$?\n'
        'echo "$code"; rm out/ballast; cp -r out/. full; cat errors\n'
        "$P run --resume out/* > /dev/null 2>&1; cp -r out/. whole\n"
    )
    assert lines[0] == "1"
    (error,) = [line for line in lines if line.startswith("allocphase: ")]
    (full,) = kitchen.folder.glob("full/*")
    (whole,) = kitchen.folder.glob("whole/*")
    assert "No space left on device" in error
    assert error.endswith(f"go on with `allocphase run --resume out/{full.name}`")
    assert "out/" in error.partition("No space")[0], "it names the path"
    before = (full / "processes.jsonl").read_bytes()
    assert before.endswith(b"\n")
    assert before.count(b"\n") >= 3
    assert (whole / "processes.jsonl").read_bytes().startswith(before)
    records = RunFiles(whole).processes()
    assert sorted(record.id for record in records) == list(range(PROCESSES + 12))
    assert {record.status for record in records} == {"ok"}, "no allocator is blamed for the disk"
    no_leftovers(whole)


@pytest.mark.parametrize("which", ["out", "directory"])
def test_a_place_that_is_read_only_is_one_clear_error_before_anything_is_measured(
    kitchen: Kitchen, in_namespace: Callable[..., list[str]], which: str
) -> None:
    if which == "directory":
        process = kitchen.command("run", *LONG)
        soon(lambda: journaled(kitchen) >= 3)
        process.kill()
        process.communicate()
        command = "$P run --resume out/*"
    else:
        (kitchen.folder / "out").mkdir()
        command = f"$P run {shlex.join(LONG)}"
    before = journaled(kitchen)
    lines = in_namespace(
        "mount --bind out out; mount -o remount,bind,ro out\n"
        f'code=0; {command} 2> errors || code=$?; echo "$code"; cat errors\n'
    )
    code, error = lines
    assert code == "1"
    assert error.startswith("allocphase: out/")
    assert "Read-only file system" in error
    assert journaled(kitchen) == before


# ---- Side by side ------------------------------------------------------------------------


def test_two_runs_into_one_folder_do_not_meet(kitchen: Kitchen) -> None:
    both = [kitchen.command("run", *LONG, "-r", "2", "--label", "same") for _ in range(2)]
    folders = set()
    for process in both:
        code, _, stderr = ended(process)
        assert code == 0, stderr
        folders.add(kitchen.folder / stderr.splitlines()[-1].removeprefix("run directory: "))
    assert folders == set(kitchen.folder.glob("out/*"))
    assert len(folders) == 2
    for folder in folders:
        assert len(RunFiles(folder).processes()) == COUNTED + 2 * 2
        no_leftovers(folder)


def test_a_run_waits_for_the_one_that_times_and_says_who_that_is(kitchen: Kitchen) -> None:
    first = kitchen.command("run", *LONG, "-r", "500")
    soon(lambda: journaled(kitchen) > COUNTED)
    second = kitchen.command("run", *LONG, "-r", "2", "--out", "second")
    assert second.stderr is not None
    line = ""
    while not line.startswith("waiting: "):
        line = second.stderr.readline()
        assert line, "it did not wait"
    assert line.startswith(f"waiting: the machine is taken for timing by process {first.pid} of ")
    assert str(the_run(kitchen)) in line
    assert journaled(kitchen, out="second") <= COUNTED, "what is not timed need not wait"
    first.kill()
    first.communicate()
    code, _, stderr = ended(second)
    assert code == 0, stderr
    assert journaled(kitchen, out="second") == COUNTED + 2 * 2
    assert left_running(kitchen) == []

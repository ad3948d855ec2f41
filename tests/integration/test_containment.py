"""The keeper: what it allows, what it ends, and what happens when it or its harness is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.process.keeper import Command, Containment, Ending, Limits
from tests.support.processes import VARIABLE, alive, marked, nothing_left

Run = Callable[..., Ending]
# Out of the group, out of the session, and twice away from its parent.
ESCAPE = "setsid sh -c 'setsid sleep 60 & setsid sleep 60 & exec sleep 60' &"


@pytest.fixture
def containment() -> Containment:
    return Containment(resources.find("driver/allocphase-driver"), Limits())


@pytest.fixture
def run(containment: Containment, tmp_path: Path) -> Run:
    def go(script: str, *, timeout_s: float = 20.0, file_bytes: int = 1 << 20) -> Ending:
        command = Command(
            arguments=["/bin/sh", "-c", script],
            environment=dict(os.environ),
            folder=tmp_path,
            timeout_s=timeout_s,
            file_bytes=file_bytes,
        )
        return containment.run(command)

    return go


# ---- Endings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "ending"),
    [
        ("exit 0", Ending(reason="ended", code=0)),
        ("exit 7", Ending(reason="ended", code=7)),
        ("kill -SEGV $$", Ending(reason="ended", code=-signal.SIGSEGV)),
        ("sleep 60 & exit 0", Ending(reason="ended", code=0, left=1)),
        ("sleep 0.01 & wait; exit 0", Ending(reason="ended", code=0, left=0)),
        ("kill -KILL $PPID; sleep 60", Ending(reason="lost", code=-signal.SIGKILL)),
    ],
)
def test_an_ending_is_told_as_it_was(run: Run, script: str, ending: Ending) -> None:
    assert run(script) == ending


def test_a_command_that_does_not_exist_is_an_error_in_words(
    containment: Containment, tmp_path: Path
) -> None:
    ending = containment.run(
        Command(
            arguments=["/nowhere/driver"],
            environment={},
            folder=tmp_path,
            timeout_s=20.0,
            file_bytes=1 << 20,
        )
    )
    failure = "/nowhere/driver: No such file or directory"
    words = f"allocphase-driver: {failure}"
    assert ending == Ending(reason="ended", code=1, words=words, failure=failure)


def test_time_is_up_for_everything_that_was_started(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nothing_left("timeout", monkeypatch):
        assert run(f"{ESCAPE} sleep 60", timeout_s=0.3).reason == "timeout"


def test_what_leaves_group_and_session_is_ended_with_the_rest(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nothing_left("escape", monkeypatch):
        ending = run(f"{ESCAPE} sleep 0.5")
    assert ending == Ending(reason="ended", code=0, left=3)


def test_a_stopped_process_is_ended_as_well(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with nothing_left("stopped", monkeypatch):
        assert run("kill -STOP $$", timeout_s=0.3).reason == "timeout"


# ---- Limits --------------------------------------------------------------------------------


def test_no_file_grows_beyond_its_limit_and_its_writer_lives_on(run: Run, tmp_path: Path) -> None:
    head = "head -c {} /dev/zero 2> /dev/null"
    script = f"{head.format(100_000)} > long; {head.format(100)} > short; exit 5"
    assert run(script, file_bytes=4096).code == 5
    assert [(tmp_path / name).stat().st_size for name in ("long", "short")] == [4096, 100]


def test_the_command_gains_no_privileges_dumps_no_core_and_is_the_first_to_go(
    run: Run, tmp_path: Path
) -> None:
    run("(grep NoNewPrivs /proc/self/status; ulimit -c; cat /proc/self/oom_score_adj) > seen")
    assert (tmp_path / "seen").read_text().split() == ["NoNewPrivs:", "1", "0", "1000"]


def test_of_root_s_rights_the_command_has_those_to_files_and_to_locked_memory_alone(
    run: Run, tmp_path: Path
) -> None:
    """CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_IPC_LOCK; an ordinary user's has none."""
    run("grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status > seen")
    words = (tmp_path / "seen").read_text().split()
    seen = {name: int(value, 16) for name, value in zip(words[::2], words[1::2], strict=True)}
    most = 1 << 1 | 1 << 2 | 1 << 14
    own = int(status_field("CapPrm"), 16)
    assert (seen["CapPrm:"], seen["CapEff:"]) == (own & most, own & most)
    assert seen["CapInh:"] == seen["CapAmb:"] == 0
    if own:
        assert seen["CapBnd:"] & ~most == 0


def status_field(name: str) -> str:
    """Of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


# 150 processes at a stroke, which sleep and fork no further: each ends by itself after a while.
CROWD = """
import os, sys, time
children = []
for _ in range(150):
    child = os.fork()
    if child == 0:
        time.sleep(float(sys.argv[1]))
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
os._exit(7)
"""


@pytest.mark.parametrize(
    ("most", "sleep_s", "reason", "code"),
    [(16, 20.0, "processes", -signal.SIGKILL), (1000, 0.5, "ended", 7)],
)
def test_a_crowd_is_ended_when_it_is_too_large_and_goes_on_when_it_is_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    sleep_s: float,
    reason: str,
    code: int,
) -> None:
    """To be counted it is stopped for a moment."""
    limits = Limits(processes=most)
    with nothing_left("crowd", monkeypatch):
        ending = Containment(resources.find("driver/allocphase-driver"), limits).run(
            Command(
                arguments=[sys.executable, "-c", CROWD, str(sleep_s)],
                environment=dict(os.environ),
                folder=tmp_path,
                timeout_s=30.0,
                file_bytes=1 << 20,
            )
        )
    assert (ending.reason, ending.code) == (reason, code)


@pytest.fixture
def batch() -> Iterator[None]:
    """This process leaves the machine to others."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    yield
    os.sched_setscheduler(0, policy, parameters)


def test_the_keeper_s_own_priority_is_not_the_command_s(run: Run, tmp_path: Path) -> None:
    run("cut -d ' ' -f 18,19,40,41 /proc/self/stat > seen")
    own = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    assert (tmp_path / "seen").read_text().split() == [own[i] for i in (15, 16, 37, 38)]


@pytest.mark.usefixtures("batch")
def test_a_command_leaves_the_machine_to_others_as_the_harness_does(
    run: Run, tmp_path: Path
) -> None:
    run("cut -d ' ' -f 41 /proc/self/stat > seen")
    assert int((tmp_path / "seen").read_text()) == os.SCHED_BATCH


def test_nothing_of_the_harness_is_open_in_the_command(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "of-the-harness").open("w"):
        run("ls -l /proc/self/fd > seen")
    seen = (tmp_path / "seen").read_text()
    assert "of-the-harness" not in seen
    assert "/dev/null" in seen


def test_signals_are_as_the_harness_has_them(run: Run, tmp_path: Path) -> None:
    run("grep SigBlk /proc/self/status > seen")
    assert int((tmp_path / "seen").read_text().split()[1], 16) == 0


# ---- When somebody is killed ---------------------------------------------------------------


def test_stop_ends_what_runs_and_what_is_started_later(
    containment: Containment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nothing_left("stop", monkeypatch):
        endings: list[Ending] = []
        threads = [
            threading.Thread(target=lambda: endings.append(run(f"{ESCAPE} sleep 60")))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        containment.stop()
        for thread in threads:
            thread.join()
        assert [ending.reason for ending in endings] == ["stopped", "stopped"]
        assert run("sleep 60").reason == "stopped"


HARNESS = """
import os, sys
from pathlib import Path
from allocphase import resources
from allocphase.process.keeper import Command, Containment, Limits
command = Command(arguments=["/bin/sh", "-c", sys.argv[1]], environment=dict(os.environ),
                  folder=Path(sys.argv[2]), timeout_s=60, file_bytes=4096)
Containment(resources.find("driver/allocphase-driver"), Limits()).run(command)
"""


def sleepers(value: str) -> int:
    """How many of the marked processes have come to their sleep; others come and go."""
    count = 0
    for pid in marked(value):
        with contextlib.suppress(OSError):
            count += Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    return count


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> subprocess.Popen[bytes]:
    """A harness in a process of its own, whose command has started all that it starts."""
    script = f"{ESCAPE} touch {tmp_path}/ready; sleep 60"
    monkeypatch.setenv(VARIABLE, "harness")
    process = subprocess.Popen([sys.executable, "-c", HARNESS, script, str(tmp_path)])
    monkeypatch.delenv(VARIABLE)
    deadline = time.monotonic() + 20
    while sleepers("harness") < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sleepers("harness") == 4  # the command's own, and the three that escape
    return process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_outlives_a_harness_that_is_killed(
    harness: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    harness.send_signal(number)
    harness.wait(20)
    deadline = time.monotonic() + 20
    while marked("harness") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert marked("harness") == set()


def test_the_command_dies_with_a_keeper_that_is_killed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nothing_left("keeper", monkeypatch):
        assert run(f"echo $$ > {tmp_path}/pid; kill -KILL $PPID; exec sleep 60").reason == "lost"
    assert not alive(int((tmp_path / "pid").read_text()))

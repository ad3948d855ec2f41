"""The system calls of whole programs, held against strace; how programs end under the tracer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase.allocator import resolve
from allocphase.analysis import frames
from allocphase.analysis.frames import Run
from allocphase.analysis.program_metrics import MEMORY_CALLS
from allocphase.probe.probe import Probe
from allocphase.probe.result import Program as Measured
from allocphase.probe.result import ProgramSyscalls
from allocphase.probe.status import Status
from allocphase.process.driver import DriverExecutor, Outcome
from allocphase.process.program import ProgramExecutor, ProgramJob
from allocphase.report.content.source import Source
from allocphase.report.page.page import page
from allocphase.report.text.markdown import markdown
from allocphase.run.request import Request
from allocphase.run.session import run
from allocphase.scenario import Program, ad_hoc, load
from allocphase.text.units import format_count
from tests.support.gates import no_progress
from tests.support.plugins import ROOT

CPUS = tuple(sorted(os.sched_getaffinity(0)))
PYTHON = sys.executable
SHIPPED = sorted((ROOT / "scenarios").glob("program-*.toml"))


def ran(
    folder: Path,
    program: Program,
    allocator: str = "libc",
    *,
    probe: Probe = Probe.PROGRAM_SYSCALLS,
    timeout_s: float = 120.0,
    padding_bytes: int = 0,
) -> Outcome:
    inputs = folder / "inputs"
    if not inputs.exists():
        inputs.mkdir()
        program.make_inputs(inputs)
    job = ProgramJob(
        id=0,
        round=0,
        allocator=resolve(allocator)[0],
        scenario=program.name,
        probe=probe,
        cpus=CPUS[: program.program.cpus or None],
        timeout_s=timeout_s,
        padding_bytes=padding_bytes,
        program=program,
        inputs=inputs,
    )
    return ProgramExecutor(DriverExecutor()).run(job)


def calls_of(outcome: Outcome) -> Mapping[str, int]:
    assert outcome.status is Status.OK, outcome.message
    assert outcome.result.lacks == ()
    calls = outcome.result.part(ProgramSyscalls).calls
    assert calls is not None
    return calls


def seen_by_strace(folder: Path, program: Program, strace: str, allocator: str) -> dict[str, int]:
    """Of the same command with strace before it, under the same keeper, with the same environment,
    preload, working folder and streams, and addresses that are fixed as well; not under our tracer.
    """
    log = folder / "strace.txt"
    before = ("setarch", "-R", strace, "-f", "-c", "-o", str(log), "--")
    command = (*before, *program.program.command)
    traced = replace(program, program=replace(program.program, command=command))
    outcome = ran(folder, traced, allocator, probe=Probe.PROGRAM)
    assert outcome.status is Status.OK, outcome.message
    # % time, seconds, usecs/call, calls, errors or nothing, name
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) .*?(\w+)$", log.read_text(), re.MULTILINE)
    return {name: int(count) for count, name in rows if name != "total"}


def in_folder(program: Program, folder: Path) -> Program:
    """Where strace may write its log too: around a shipped program's own folder is a fence."""
    cwd = folder / "cwd"
    cwd.mkdir(exist_ok=True)
    return replace(program, program=replace(program.program, folder=str(cwd)))


def compiled(folder: Path, source: str) -> Program:
    """A program of its own, in C."""
    path = folder / "program.c"
    path.write_text(source)
    subprocess.run(
        ["cc", "-O1", "-D_GNU_SOURCE", "-pthread", "-o", str(folder / "program"), str(path)],
        check=True,
    )
    return ad_hoc("./program", folder=folder)


def python(folder: Path, code: str) -> Program:
    return ad_hoc(f"{PYTHON} -S -c '{code}'", name="code", folder=folder)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# ---- Against strace ---------------------------------------------------------------------------


ATTEMPTS = 3


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_program_makes_the_calls_that_strace_counts(
    tmp_path: Path, path: Path, strace: str
) -> None:
    """Of one with several threads the number of its waits for a lock is another each time, and so
    is what arenas take. On a loaded machine a wait may be interrupted, and made again, in one of
    the two: then both count once more.
    """
    program = load(path)
    assert isinstance(program, Program)
    program = in_folder(program, tmp_path)
    for _ in range(ATTEMPTS):
        ours = calls_of(ran(tmp_path, program))
        theirs = seen_by_strace(tmp_path, program, strace, "libc")
        if ours == theirs or program.program.cpus != 1:
            break
    if program.program.cpus == 1:
        assert ours == theirs
    else:
        varying = {"futex", *MEMORY_CALLS}
        same = [{k: n for k, n in each.items() if k not in varying} for each in (ours, theirs)]
        assert same[0] == same[1]
    assert {"execve", "mmap", "brk"} <= ours.keys()
    assert "exit_group" not in ours, "it does not return"


@pytest.mark.parametrize("allocator", ["jemalloc", "phase3"])
def test_under_another_allocator_too(tmp_path: Path, strace: str, allocator: str) -> None:
    code = "import json; print(len(json.dumps([str(i) for i in range(30000)])))"
    program = python(tmp_path, code)
    ours = calls_of(ran(tmp_path, program, allocator))
    assert ours == seen_by_strace(tmp_path, program, strace, allocator)


def test_every_process_of_a_cell_counts_the_same(tmp_path: Path) -> None:
    """Python copies its environment to the heap: what pads that of timed processes is left out."""
    program = load(ROOT / "scenarios" / "program-python-sqlite.toml")
    assert isinstance(program, Program)
    found = [calls_of(ran(tmp_path, program, padding_bytes=size)) for size in (0, 2000, 4000)]
    assert found[0] == found[1] == found[2]


THREADS = """
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
static void *work(void *none) {
  for (int i = 0; i < 1000; i++) syscall(SYS_getppid);
  return none;
}
int main(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], 0, work, 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  return 0;
}
"""


def test_every_thread_is_followed_from_its_first_instruction_on(tmp_path: Path) -> None:
    calls = calls_of(ran(tmp_path, compiled(tmp_path, THREADS)))
    assert calls["getppid"] == 4000
    assert calls["set_robust_list"] == 1 + 4, "what a thread begins with"


def test_forked_and_executed_processes_count_as_the_program_s_own(
    tmp_path: Path, strace: str
) -> None:
    code = 'import subprocess; [subprocess.run(["true"]) for _ in range(5)]'
    program = python(tmp_path, code)
    outcome = ran(tmp_path, program)
    calls = calls_of(outcome)
    assert outcome.result.part(ProgramSyscalls).processes == 6
    assert calls == seen_by_strace(tmp_path, program, strace, "libc")
    assert calls["execve"] >= 6


EXEC_IN_A_THREAD = """
#include <pthread.h>
#include <unistd.h>
static void *work(void *none) {
  execl("/bin/echo", "echo", "done", (char *)0);
  return none;
}
int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, work, 0);
  pause();
}
"""


def test_a_thread_that_executes_another_program_takes_the_first_one_s_place(
    tmp_path: Path, strace: str
) -> None:
    program = compiled(tmp_path, EXEC_IN_A_THREAD)
    outcome = ran(tmp_path, program)
    assert outcome.result.part(ProgramSyscalls).output_bytes == len("done\n")
    calls = calls_of(outcome)
    assert calls["execve"] == 2
    assert "pause" not in calls, "it does not return"
    assert calls == seen_by_strace(tmp_path, program, strace, "libc")


INTERRUPTED = """
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static void nothing(int signal) { (void)signal; }
int main(void) {
  struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, 0);
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    usleep(500000); /* until the parent waits */
    kill(parent, SIGUSR1);
    usleep(200000);
    return 0;
  }
  waitpid(child, 0, 0);
  return 0;
}
"""


def test_a_call_that_is_made_again_after_a_signal_counts_twice(tmp_path: Path, strace: str) -> None:
    program = compiled(tmp_path, INTERRUPTED)
    calls = calls_of(ran(tmp_path, program))
    assert calls["wait4"] == 2
    assert calls["rt_sigreturn"] == 1
    assert calls == seen_by_strace(tmp_path, program, strace, "libc")


# ---- What a program sees of it ----------------------------------------------------------------

STOPPED = r"""
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    raise(SIGSTOP);
    _exit(7);
  }
  waitpid(child, &status, WUNTRACED);
  printf("%d %d\n", WIFSTOPPED(status), WSTOPSIG(status) == SIGSTOP);
  usleep(100000);
  printf("%d\n", waitpid(child, &status, WNOHANG)); /* it is still there */
  kill(child, SIGCONT);
  waitpid(child, &status, WCONTINUED);
  printf("%d\n", WIFCONTINUED(status));
  waitpid(child, &status, 0);
  printf("%d\n", WEXITSTATUS(status));
  return 0;
}
"""


def test_a_process_that_is_stopped_stays_stopped_until_it_is_told_to_go_on(tmp_path: Path) -> None:
    program = compiled(tmp_path, STOPPED)
    without, traced = (
        ran(tmp_path, program, probe=probe) for probe in (Probe.PROGRAM, Probe.PROGRAM_SYSCALLS)
    )
    expected = without.result.part(Measured)
    assert expected.output_bytes == len("1 1\n0\n1\n7\n")
    calls_of(traced)
    assert traced.result.part(ProgramSyscalls).output_sha256 == expected.output_sha256


FILTERED = """
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {4, filter};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) return 1;
  for (int i = 0; i < 10; i++)
    if (syscall(SYS_getppid) != -1) return 2;
  return 0;
}
"""
STRICT = """
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) return 1;
  for (int i = 0; i < 10; i++) write(1, "x", 1);
  syscall(SYS_exit, 0);
}
"""


# The witness writes a line, too.
@pytest.mark.parametrize(
    ("source", "call", "count"), [(FILTERED, "getppid", 10), (STRICT, "write", 10 + 1)]
)
def test_a_program_s_own_filter_holds_and_what_it_refuses_counts(
    tmp_path: Path, strace: str, source: str, call: str, count: int
) -> None:
    program = compiled(tmp_path, source)
    calls = calls_of(ran(tmp_path, program))
    assert calls[call] == count
    assert calls == seen_by_strace(tmp_path, program, strace, "libc")


# ---- How it ends --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sh -c 'echo bad >&2; exit 3'", "ended with exit code 3, not 0. bad"),
        ("sh -c 'kill -SEGV $$'", "was killed by SIGSEGV"),
        ("sh -c 'kill -KILL $$'", "was killed by SIGKILL"),
    ],
)
def test_a_bad_end_has_its_status_and_message(tmp_path: Path, command: str, words: str) -> None:
    outcome = ran(tmp_path, ad_hoc(command, folder=tmp_path))
    assert outcome.status is Status.CRASHED
    assert words in outcome.message


def test_a_command_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    outcome = ran(tmp_path, ad_hoc("./script", folder=tmp_path))
    assert outcome.status is Status.UNSUPPORTED
    assert "cannot be started" in outcome.message


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = f"sh -c 'sleep 600 & setsid sleep 600 & echo $$ $! > {pids}; wait'"
    outcome = ran(tmp_path, ad_hoc(command, folder=tmp_path), timeout_s=2.0)
    assert outcome.status is Status.TIMEOUT
    assert "still running after 3 s: killed" in outcome.message
    assert [pid for pid in map(int, pids.read_text().split()) if is_running(pid)] == []


def test_a_daemon_is_ended_and_told_and_the_program_s_calls_are_counted(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    command = f"sh -c 'setsid sleep 600 > /dev/null 2>&1 & echo $! > {marker}'"
    outcome = ran(tmp_path, ad_hoc(command, folder=tmp_path))
    assert calls_of(outcome)["execve"] >= 1
    assert outcome.result.tampered == ("processes left running",)
    assert not is_running(int(marker.read_text()))


def test_whose_calls_are_too_many_to_count_in_time_runs_on_and_has_no_count(tmp_path: Path) -> None:
    """It makes calls for longer than the tracer may look on, in two processes, and then ends."""
    code = (
        "import os, time\n"
        "child = os.fork()\n"
        "end = time.monotonic() + 3.5\n"
        "while time.monotonic() < end: os.getppid()\n"
        "if child: os.waitpid(child, 0)\n"
    )
    outcome = ran(tmp_path, python(tmp_path, code), timeout_s=6.0)
    assert outcome.status is Status.OK, outcome.message
    assert outcome.result.part(ProgramSyscalls).calls is None
    (lacking,) = outcome.result.lacks
    assert lacking.startswith("system calls: the program is not done in half of --timeout")


# ---- What the report shows ------------------------------------------------------------------

OBJECTS = 5000
# Each object is a malloc of its own, and is kept.
KEEPING = f"from itertools import repeat; kept = [bytes(100) for _ in repeat(None, {OBJECTS})]"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("programs")
    command = f"{PYTHON} -S -c '{KEEPING}'"
    environment = ["PYTHONMALLOC=malloc"]
    request = Request(
        allocators=[*resolve("libc"), *resolve("phase2")],
        scenarios=[ad_hoc(command, name="keeping", folder=folder, environment=environment)],
        probes=[Probe.PROGRAM, Probe.PROGRAM_SYSCALLS],
        rounds=1,
        out=folder,
        label="calls",
        command=["allocphase"],
    )
    path = run(request, ProgramExecutor(DriverExecutor()), progress=no_progress)
    return frames.load(path)


def test_phase2_makes_a_mmap_for_each_malloc_of_python_and_the_report_shows_it(
    finished: Run,
) -> None:
    by_name = {cell.allocator: cell.metrics["program_syscalls"] for cell in finished.cell_list}
    libc, phase2 = by_name["libc"], by_name["phase2"]
    assert libc["calls"]["mmap"] < 200
    assert phase2["calls"]["mmap"] > OBJECTS
    for found in (libc, phase2):
        assert found["total"] == sum(found["calls"].values())
        assert found["memory"] == sum(found["calls"].get(name, 0) for name in MEMORY_CALLS)
    source = Source.of(finished)
    shown = [format_count(found[key]) for found in (libc, phase2) for key in ("total", "memory")]
    text, html = markdown(source), page(source)
    for figure in (*shown, format_count(phase2["calls"]["mmap"])):
        assert figure in html
    for figure in shown:
        assert figure in text
    assert "memory syscalls" in text


def test_the_mmaps_of_phase2_grow_with_the_mallocs_one_by_one(tmp_path: Path) -> None:
    def mmaps(objects: int) -> int:
        code = KEEPING.replace(str(OBJECTS), str(objects))
        program = ad_hoc(
            f"{PYTHON} -S -c '{code}'", folder=tmp_path, environment=["PYTHONMALLOC=malloc"]
        )
        return calls_of(ran(tmp_path, program, "phase2"))["mmap"]

    more = mmaps(2 * OBJECTS) - mmaps(OBJECTS)
    assert OBJECTS <= more < 1.02 * OBJECTS, "the list that keeps them grows now and then"

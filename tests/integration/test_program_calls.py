"""A program's calls of malloc: how many of which kind, whoever serves them and however it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from allocphase import resources
from allocphase.allocator import resolve
from allocphase.allocator.environment import environment_of
from allocphase.analysis.metrics import cell_metrics
from allocphase.analysis.warnings import cell_warnings
from allocphase.probe.arrays import MALLOC_KINDS
from allocphase.probe.probe import Probe
from allocphase.probe.result import ProgramCalls
from allocphase.probe.status import Status
from allocphase.process.calls import CallTable, make_table, read_table
from allocphase.process.driver import Outcome
from allocphase.scenario import Program, ad_hoc, load
from allocphase.store.record import ProcessRecord
from tests.conftest import Needs
from tests.integration.test_programs import SHIPPED, of_file, python, ran
from tests.support.plugins import ROOT
from tests.support.sharing import Shared, made_once

ALLOCATORS = ("libc", "jemalloc", "mimalloc", "tcmalloc", "tbbmalloc", "scudo", "phase3", "phase2")
SOURCES = ROOT / "tests" / "c"
# With ALLOCPHASE_MATRIX=1 the longer ones too.
QUICK = {"program-bash-subshells", "program-jq", "program-xz", "program-git-log"}
MATRIX = os.environ.get("ALLOCPHASE_MATRIX") == "1"
COUNTED = [path for path in SHIPPED if MATRIX or path.stem in QUICK]


def counts(outcome: Outcome) -> ProgramCalls:
    assert outcome.status is Status.OK, outcome.message
    return outcome.result.part(ProgramCalls)


def counted(folder: Path, command: str, allocator: str = "libc") -> ProgramCalls:
    return counts(ran(folder, ad_hoc(command, folder=folder), allocator, Probe.PROGRAM_CALLS))


# ---- Against another counter ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """tests/c/tally.c in front of ours: what both counted of one run."""

    library: Path
    file: Path

    def __call__(
        self, command: Sequence[str | Path], more: Mapping[str, str], allocator: str, folder: Path
    ) -> tuple[Mapping[str, int], CallTable]:
        table = folder / "calls"
        table.unlink(missing_ok=True)
        make_table(table)
        self.file.write_bytes(bytes(4096))
        environment = environment_of(resolve(allocator)[0], {**os.environ, **more})
        counter = resources.find("driver/liballocphase-count.so")
        served = environment.get("LD_PRELOAD", "")
        environment["LD_PRELOAD"] = f"{self.library}:{counter}:{served}"
        environment["ALLOCPHASE_CALLS"] = str(table)
        with (folder / "stdout").open("wb") as stdout:
            done = subprocess.run(command, env=environment, stdout=stdout, cwd=folder)
        assert done.returncode == 0
        numbers = np.frombuffer(self.file.read_bytes(), "<u8", len(MALLOC_KINDS))
        found = {kind: int(n) for kind, n in zip(MALLOC_KINDS, numbers, strict=True) if n}
        return found, read_table(table)


@pytest.fixture
def tally(tmp_path: Path, needs: Needs) -> Tally:
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    library, file = tmp_path / "tally.so", tmp_path / "tally"
    flags = ["-O1", "-fno-builtin", "-shared", "-fPIC", f'-DTALLY="{file}"']
    source = str(SOURCES / "tally.c")
    subprocess.run(["cc", *flags, "-Wall", "-Wextra", "-o", library, source], check=True)
    return Tally(library, file)


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_another_counter_has_the_same_counts_of_a_program_that_forks_and_execs(
    tally: Tally, allocator: str, tmp_path: Path
) -> None:
    script = 'for i in 1 2 3; do (echo $i); env true | sort; done; perl -e "print 1, sort 2..99"'
    other, ours = tally(["bash", "-c", script], {}, allocator, tmp_path)
    calls = {kind: n for kind, n in ours.calls.items() if kind not in ("new", "delete")}
    assert calls == other
    assert other["malloc"] > 1000


@pytest.mark.parametrize("path", COUNTED, ids=lambda path: path.stem)
def test_another_counter_has_the_same_counts_of_a_shipped_program(
    tally: Tally, path: Path, tmp_path: Path
) -> None:
    program = load(path)
    assert isinstance(program, Program)
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    program.make_inputs(inputs)
    other, ours = tally(program.arguments(inputs), program.variables(inputs), "libc", tmp_path)
    assert ours.calls == other


# ---- Against what a program makes of each kind -----------------------------------------------


@pytest.fixture(scope="session")
def caller(shared: Shared, needs: Needs) -> Path:
    """tests/c/caller.c."""
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")

    def build(target: Path) -> None:
        source = str(SOURCES / "caller.c")
        flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-fno-builtin", "-pthread"]
        subprocess.run(["cc", *flags, source, "-o", str(target)], check=True)

    return made_once(shared("calls") / "caller", build)


N = 70
OF_EACH = Counter(
    dict.fromkeys(
        ("malloc", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc", "valloc"), N
    )
    | {"pvalloc": N, "posix_memalign": N, "malloc_usable_size": N, "free": 8 * N, "free_sized": N}
)
PLACES = ("main", "threads", "fork", "raw-fork", "exit", "kill", "exec", "spawn")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("allocator", ["libc", "mimalloc", "phase3"])
def test_every_call_is_counted_once_wherever_it_is_made(
    caller: Path, place: str, allocator: str, tmp_path: Path
) -> None:
    """Less what the same process calls when it is told to make none. jemalloc has no pvalloc."""
    made = Counter(counted(tmp_path, f"{caller} {place} {N}", allocator).malloc_calls)
    none = Counter(counted(tmp_path, f"{caller} {place} 0", allocator).malloc_calls)
    made.subtract(none)
    threads = 4 if place == "threads" else 1
    assert +made == Counter({kind: threads * count for kind, count in OF_EACH.items()})


@pytest.mark.parametrize("allocator", ["libc", "mimalloc3"])
def test_a_copy_of_a_text_is_a_call_of_malloc_whoever_makes_it(
    shared: Shared, needs: Needs, allocator: str, tmp_path: Path
) -> None:
    """libc's strdup calls it, and mimalloc's nobody."""
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")

    def build(target: Path) -> None:
        source = str(SOURCES / "texts.c")
        subprocess.run(["cc", "-O1", "-fno-builtin", source, "-o", str(target)], check=True)

    program = made_once(shared("calls") / "texts", build)
    made, none = (
        Counter(counted(tmp_path, f"{program} {n}", allocator).malloc_calls) for n in (N, 0)
    )
    made.subtract(none)
    assert +made == Counter(malloc=2 * N, free=2 * N)


def test_requested_bytes_are_those_of_all_calls(caller: Path, tmp_path: Path) -> None:
    made, none = (counted(tmp_path, f"{caller} main {n}") for n in (N, 0))
    assert made.requested_bytes - none.requested_bytes == 9 * 100 * N


@pytest.mark.parametrize(("place", "processes"), [("main", 1), ("raw-fork", 2), ("exec", 3)])
def test_each_process_has_a_line_of_its_own(
    caller: Path, place: str, processes: int, tmp_path: Path
) -> None:
    """A child that executes something is two: the one that was forked, and what it became."""
    program = ad_hoc(f"{caller} {place} {N}", folder=tmp_path)
    outcome = ran(tmp_path, program, probe=Probe.PROGRAM_CALLS)
    counts(outcome)
    lines, threads = outcome.arrays["calling_processes"], outcome.arrays["calling_threads"]
    called = np.bincount(threads["process"], threads["calloc"], minlength=processes + 1)
    assert len(np.unique(lines["pid"])) == min(processes, 2)
    assert (called >= N).sum() == 1, "who made the calls"
    assert len(lines) in (processes, processes - 1), "a child that asks for nothing has none"


def test_each_thread_has_a_line_of_its_own(caller: Path, tmp_path: Path) -> None:
    program = ad_hoc(f"{caller} threads {N}", folder=tmp_path)
    threads = ran(tmp_path, program, probe=Probe.PROGRAM_CALLS).arrays["calling_threads"]
    assert (threads["valloc"] == N).sum() == 4
    assert len(np.unique(threads["tid"])) == len(threads)


# ---- How much there was ----------------------------------------------------------------------


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_the_peak_is_that_of_what_the_allocator_says_of_its_blocks(
    allocator: str, tmp_path: Path
) -> None:
    """Ten times 3 MiB, nine of them at once; a child that begins with them and takes one more."""
    code = (
        "import os\n"
        "blocks = [bytearray(3 << 20) for _ in range(9)]\n"
        "blocks.pop()\n"
        "blocks.append(bytearray(3 << 20))\n"
        "child = os.fork()\n"
        "more = bytearray(5 << 20) if child == 0 else os.wait()\n"
    )
    outcome = ran(tmp_path, python(tmp_path, code), allocator, Probe.PROGRAM_CALLS)
    found = counts(outcome).peak_usable_bytes
    assert found is not None
    peaks = sorted(outcome.arrays["calling_processes"]["peak_usable_bytes"].tolist())
    least = 27 << 20
    assert least <= peaks[0] < least + (16 << 20)
    assert peaks[1] - peaks[0] >= 5 << 20
    assert found == peaks[1]


# ---- It changes nothing ------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["calls", "early", "threads", "fork"])
@pytest.mark.parametrize("allocator", ["libc", "phase1", "phase3"])
def test_a_program_that_asks_everywhere_sees_the_same(
    program: Path, what: str, allocator: str, tmp_path: Path
) -> None:
    plain = ran(tmp_path, ad_hoc(f"{program} {what}", folder=tmp_path), allocator)
    assert plain.status is Status.OK, plain.message
    found = counted(tmp_path, f"{program} {what}", allocator)
    assert found.output_sha256 == plain.result.program.output_sha256  # type: ignore[union-attr]


@pytest.mark.parametrize("allocator", ["libc", "jemalloc", "tcmalloc", "phase3"])
def test_new_and_delete_are_counted_as_such_whoever_has_them(
    operators: Path, allocator: str, tmp_path: Path
) -> None:
    found = counted(tmp_path, str(operators), allocator)
    libc = counted(tmp_path, str(operators))
    assert found.output_sha256 == libc.output_sha256
    failing = 32
    assert abs(found.malloc_calls["new"] - libc.malloc_calls["new"]) <= failing
    assert libc.malloc_calls["new"] > 20000
    assert found.malloc_calls["delete"] == libc.malloc_calls["delete"] > 20000
    assert found.malloc_calls["malloc"] < 100


# ---- What is not seen ----------------------------------------------------------------------------


def warnings(outcome: Outcome) -> list[str]:
    record = ProcessRecord(
        id=0,
        round=0,
        allocator="libc",
        scenario="program",
        probe=Probe.PROGRAM_CALLS,
        status=outcome.status,
        message=outcome.message,
        wall_s=outcome.wall_s,
        result=outcome.result,
    )
    return [warning.text for warning in cell_warnings([record], cell_metrics([record]))]


def calls_of(folder: Path, program: Program, allocator: str = "libc") -> Outcome:
    return ran(folder, program, allocator, Probe.PROGRAM_CALLS)


@pytest.fixture
def static(tmp_path: Path) -> Path:
    (tmp_path / "static.c").write_text("int main(void) { return 0; }\n")
    command = ["cc", "-static", "-o", str(tmp_path / "static"), str(tmp_path / "static.c")]
    subprocess.run(command, check=True)
    return tmp_path / "static"


def test_a_static_process_beside_others_is_named(static: Path, tmp_path: Path) -> None:
    outcome = calls_of(tmp_path, ad_hoc(f"sh -c '{static}; true; {static}'", folder=tmp_path))
    found = counts(outcome)
    assert found.unreached == {str(static): 2}
    assert found.started == 3
    assert any(f"did not get into {static} (2 processes)" in text for text in warnings(outcome))


def test_a_process_without_its_environment_is_named(tmp_path: Path) -> None:
    program = ad_hoc("sh -c 'env -i /usr/bin/env > /dev/null; env true'", folder=tmp_path)
    outcome = calls_of(tmp_path, program)
    env = os.path.realpath("/usr/bin/env")
    assert counts(outcome).unreached == {env: 1}, "env itself, and true behind it, were reached"


def test_where_all_were_reached_nothing_is_said(tmp_path: Path) -> None:
    outcome = calls_of(tmp_path, ad_hoc("sh -c 'true; (echo); sh -c true'", folder=tmp_path))
    assert counts(outcome).unreached == {}
    assert warnings(outcome) == []


OWN = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv) {
  size_t bytes = 48 << 20;
  char *block = NULL;
  (void)argv;
#ifdef MAPPED
  block = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#elif defined UNSEEN
  block = (char *)syscall(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#else
  block = malloc(bytes);
#endif
  memset(block, argc, bytes);
  for (int i = 0; i < 200; i++) free(malloc(100));
  return block[5] - argc;
}
"""


@pytest.mark.parametrize(("how", "is_told"), [("MAPPED", True), ("UNSEEN", True), ("ASKED", False)])
def test_memory_that_malloc_was_not_asked_for_is_told(
    how: str, is_told: bool, tmp_path: Path
) -> None:
    (tmp_path / "own.c").write_text(OWN)
    command = ["cc", f"-D{how}", "-o", str(tmp_path / "own"), str(tmp_path / "own.c")]
    subprocess.run(command, check=True)
    for allocator in ("libc", "jemalloc"):
        outcome = calls_of(tmp_path, ad_hoc("./own", folder=tmp_path), allocator)
        counts(outcome)
        told = [text for text in warnings(outcome) if "is not malloc's" in text]
        assert bool(told) is is_told
        assert all("most of the memory of own is not malloc's: 5" in text for text in told)


WITHOUT_ARENAS = """
command = ["{{python}}", "-S", "-c", "{code}"]
environment = {{ PYTHONMALLOC = "malloc" }}
"""


def test_an_interpreter_with_arenas_of_its_own_is_told(tmp_path: Path) -> None:
    code = "kept = [str(i) for i in range(500000)]"
    assert any(
        "is not malloc's" in text for text in warnings(calls_of(tmp_path, python(tmp_path, code)))
    )
    table = WITHOUT_ARENAS.format(code=code)
    assert warnings(calls_of(tmp_path, of_file(tmp_path, table))) == []


def test_an_allocator_that_wastes_memory_is_not_taken_for_absent(tmp_path: Path) -> None:
    """phase2 gives each object a page."""
    code = "kept = [str(i) for i in range(5000)]"
    table = WITHOUT_ARENAS.format(code=code)
    outcome = calls_of(tmp_path, of_file(tmp_path, table), "phase2")
    heap = counts(outcome).largest
    assert heap is not None
    assert heap.usable_bytes is not None
    assert heap.anonymous_bytes > 5 * heap.usable_bytes
    assert warnings(outcome) == []


def test_an_operator_new_of_the_program_s_own_is_told(tmp_path: Path, needs: Needs) -> None:
    needs(shutil.which("g++"), "a C++ compiler", install="apt-get install g++")
    source = tmp_path / "own.cpp"
    source.write_text(
        "#include <string>\n"
        "int main(int n, char **) { return std::string(1000, 'a').size() + n == 1001 ? 0 : 1; }\n"
    )
    for flags, is_told in ((["-static-libstdc++", "-rdynamic"], True), ([], False)):
        command = ["g++", *flags, "-o", str(tmp_path / "own"), str(source)]
        subprocess.run(command, check=True)
        outcome = calls_of(tmp_path, ad_hoc("./own", folder=tmp_path), "jemalloc")
        counts(outcome)
        told = [text for text in warnings(outcome) if "operator new of" in text]
        assert bool(told) is is_told


def test_an_executable_at_a_fixed_address_has_the_malloc_that_its_jumps_lead_to(
    tmp_path: Path,
) -> None:
    source = "#include <stdlib.h>\nvoid *(*volatile ask)(size_t) = malloc;\n"
    (tmp_path / "fixed.c").write_text(source + "int main(void) { free(ask(3)); return 0; }\n")
    flags = ["-no-pie", "-fno-pie", "-o", str(tmp_path / "fixed")]
    subprocess.run(["cc", *flags, str(tmp_path / "fixed.c")], check=True)
    for allocator in ("libc", "jemalloc", "phase3"):
        for probe in (Probe.PROGRAM, Probe.PROGRAM_CALLS):
            outcome = ran(tmp_path, ad_hoc("./fixed", folder=tmp_path), allocator, probe)
            assert outcome.status is Status.OK, outcome.message


# ---- Being followed --------------------------------------------------------------------------


def test_a_process_that_is_stopped_goes_on_as_it_would(tmp_path: Path) -> None:
    """It stops itself until its child lets it go on, and hears of that child's end by a handler."""
    code = (
        "import os, signal, time\n"
        "heard = []\n"
        "signal.signal(signal.SIGCHLD, lambda number, frame: heard.append(number))\n"
        "parent = os.getpid()\n"
        "child = os.fork()\n"
        "def let_go():\n"
        '    while open(f"/proc/{parent}/stat").read().split()[2] not in "Tt": time.sleep(0.01)\n'
        "    time.sleep(0.1)\n"
        "    os.kill(parent, signal.SIGCONT)\n"
        "    os._exit(0)\n"
        "let_go() if child == 0 else os.kill(parent, signal.SIGSTOP)\n"
        "print(os.wait()[1], heard)\n"
    )
    (tmp_path / "code.py").write_text(code)
    outcome = calls_of(tmp_path, ad_hoc(f"{sys.executable} -S code.py", folder=tmp_path))
    assert counts(outcome).output_bytes == len("0 [<Signals.SIGCHLD: 17>]\n") or (
        counts(outcome).output_bytes == len("0 [17]\n")
    )


def test_a_daemon_is_ended_and_told_while_it_is_followed(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    command = f"sh -c 'setsid sleep 600 > /dev/null 2>&1 & echo $! > {marker}'"
    outcome = calls_of(tmp_path, ad_hoc(command, folder=tmp_path))
    counts(outcome)
    assert outcome.result.tampered == ("processes left running",)
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)


def test_a_process_that_is_killed_ends_as_killed(tmp_path: Path) -> None:
    outcome = calls_of(tmp_path, ad_hoc("sh -c 'kill -KILL $$'", folder=tmp_path))
    assert outcome.status is Status.CRASHED
    assert "was killed by SIGKILL" in outcome.message


def test_a_table_that_was_written_over_is_corrupt(tmp_path: Path) -> None:
    code = 'import os; open(os.environ["ALLOCPHASE_CALLS"], "r+b").write(b"other")'
    outcome = calls_of(tmp_path, python(tmp_path, code))
    assert outcome.status is Status.CORRUPT
    assert "the table of calls: its beginning was written over" in outcome.message

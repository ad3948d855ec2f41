"""Programs run whole: what is measured of them, who serves them, and how they end."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from allocphase.allocator import resolve
from allocphase.analysis import frames
from allocphase.analysis.frames import Run
from allocphase.compare import DEFAULT_METRICS, CompareSettings, compare_runs
from allocphase.probe.arrays import LOOK
from allocphase.probe.probe import PROGRAM_PROBES, Probe
from allocphase.probe.result import Program as Measured
from allocphase.probe.status import Status
from allocphase.process.driver import DriverExecutor, Outcome
from allocphase.process.program import ProgramExecutor, ProgramJob
from allocphase.report.content.source import Source
from allocphase.report.page.page import page
from allocphase.report.text.markdown import markdown
from allocphase.run.request import Request
from allocphase.run.session import run
from allocphase.scenario import Program, ad_hoc, load
from tests.support.gates import no_progress
from tests.support.plugins import ROOT

CPUS = tuple(sorted(os.sched_getaffinity(0)))
PYTHON = sys.executable


def ran(
    folder: Path,
    program: Program,
    allocator: str = "libc",
    probe: Probe = Probe.PROGRAM,
    timeout_s: float = 30.0,
) -> Outcome:
    inputs = folder / "inputs"
    inputs.mkdir(exist_ok=True)
    if not any(inputs.iterdir()):
        program.make_inputs(inputs)
    job = ProgramJob(
        id=0,
        round=0,
        allocator=resolve(allocator)[0],
        scenario=program.name,
        probe=probe,
        cpus=CPUS,
        timeout_s=timeout_s,
        program=program,
        inputs=inputs,
    )
    return ProgramExecutor(DriverExecutor()).run(job)


def python(folder: Path, code: str) -> Program:
    return ad_hoc(f"{PYTHON} -S -c '{code}'", name="code", folder=folder)


def measured(outcome: Outcome) -> Measured:
    assert outcome.status is Status.OK, outcome.message
    return outcome.result.part(Measured)


# ---- What is measured ---------------------------------------------------------------------


def test_times_and_output_are_the_program_s_own(tmp_path: Path) -> None:
    """Held against what it says of itself at its end."""
    code = (
        "import resource, time; end = time.monotonic() + 0.2\n"
        "while time.monotonic() < end: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)"
    )
    outcome = ran(tmp_path, python(tmp_path, code))
    found = measured(outcome)
    assert found.wall_ns > 0.2e9
    assert found.user_ns + found.system_ns > 0
    assert found.main_cpu_ns > 0.9 * (found.user_ns + found.system_ns), "it has one thread"
    assert found.processes == 1
    assert found.output_bytes > 0
    assert len(found.output_sha256) == 64


def test_a_sleep_costs_wall_time_and_no_cpu_time(tmp_path: Path) -> None:
    found = measured(ran(tmp_path, ad_hoc("sleep 0.3", folder=tmp_path)))
    assert found.wall_ns >= 0.3e9
    assert found.user_ns + found.system_ns < 0.1e9


def test_children_count_as_the_program_s_own(tmp_path: Path) -> None:
    code = 'import subprocess; [subprocess.run(["true"]) for _ in range(5)]'
    found = measured(ran(tmp_path, python(tmp_path, code)))
    assert found.processes == 6


def test_memory_is_seen_over_time_and_faults_are_getrusage_s(tmp_path: Path) -> None:
    """It holds 64 MiB while it sleeps, and says how many faults it had so far."""
    code = (
        "import resource, time\n"
        "block = bytearray(64 << 20)\n"
        "time.sleep(0.4)\n"
        "usage = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(usage.ru_minflt + usage.ru_majflt)"
    )
    outcome = ran(tmp_path, python(tmp_path, code), probe=Probe.PROGRAM_MEMORY)
    found = measured(outcome)
    looks = outcome.arrays["tree"]
    assert looks.dtype == LOOK
    assert looks["rss_bytes"].max() > 64 << 20
    assert found.largest_rss_bytes > 64 << 20
    plain = subprocess.run(
        [PYTHON, "-S", "-c", code], check=True, capture_output=True, text=True
    ).stdout
    faults = found.minor_faults + found.major_faults
    assert faults >= 64 << 8
    assert abs(faults - int(plain)) < 0.05 * faults, "but for what starting and ending take"


def test_what_several_processes_share_counts_once(tmp_path: Path) -> None:
    code = (
        "import os, time\n"
        "block = bytearray(64 << 20)\n"
        "children = [os.fork() for _ in range(1)]\n"
        "time.sleep(0.5)\n"
        "os._exit(0) if children == [0] else os.wait()"
    )
    outcome = ran(tmp_path, python(tmp_path, code), probe=Probe.PROGRAM_MEMORY)
    measured(outcome)
    assert 64 << 20 < outcome.arrays["tree"]["rss_bytes"].max() < 100 << 20


# ---- Who serves it ------------------------------------------------------------------------


@pytest.mark.parametrize("allocator", ["libc", "jemalloc", "mimalloc", "phase3", "phase21"])
def test_each_allocator_serves_every_process_and_the_output_is_the_same(
    tmp_path: Path, allocator: str
) -> None:
    code = 'import subprocess; print(sum(range(1000))); subprocess.run(["echo", "done"])'
    found = measured(ran(tmp_path, python(tmp_path, code), allocator))
    libc = measured(ran(tmp_path, python(tmp_path, code)))
    assert found.processes == libc.processes == 2
    assert found.output_sha256 == libc.output_sha256


def test_a_child_that_goes_without_the_allocator_is_told(tmp_path: Path) -> None:
    """It takes what is preloaded out of its child's environment, but for the witness."""
    code = (
        "import os, subprocess\n"
        'kept = [p for p in os.environ["LD_PRELOAD"].split(":") if "witness" in p]\n'
        'subprocess.run(["true"], env={**os.environ, "LD_PRELOAD": kept[0]})'
    )
    outcome = ran(tmp_path, python(tmp_path, code), "jemalloc")
    assert outcome.status is Status.WRONG_ALLOCATOR
    assert "true comes from" in outcome.message
    assert "libc" in outcome.message


def test_a_static_program_is_unsupported_under_every_allocator(tmp_path: Path) -> None:
    source = tmp_path / "static.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-static", "-o", str(tmp_path / "static"), str(source)], check=True)
    for allocator in ("libc", "jemalloc"):
        outcome = ran(tmp_path, ad_hoc("./static", folder=tmp_path), allocator)
        assert outcome.status is Status.UNSUPPORTED
        assert "linked statically" in outcome.message


# ---- How it ends --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        ("sh -c 'echo bad >&2; exit 3'", Status.CRASHED, "ended with exit code 3, not 0. bad"),
        ("sh -c 'kill -SEGV $$'", Status.CRASHED, "was killed by SIGSEGV"),
        ("sleep 60", Status.TIMEOUT, "still running after 1 s: killed"),
        ("head -c 300000000 /dev/zero", Status.CRASHED, "wrote 256 MiB to its output"),
    ],
)
def test_a_bad_end_has_its_status_and_message(
    tmp_path: Path, command: str, status: Status, words: str
) -> None:
    outcome = ran(tmp_path, ad_hoc(command, folder=tmp_path), timeout_s=1.0)
    assert outcome.status is status
    assert words in outcome.message


def test_more_processes_than_it_may_have_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allocphase.process.program.PROCESSES", 16)
    code = (
        "import os, time\n"
        "for _ in range(60):\n"
        "    if os.fork() == 0: time.sleep(20); os._exit(0)\n"
        "time.sleep(20)"
    )
    outcome = ran(tmp_path, python(tmp_path, code))
    assert outcome.status is Status.CRASHED
    assert outcome.message == "started more than 16 processes: killed."


def test_a_daemon_is_ended_and_told(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    command = f"sh -c 'setsid sleep 600 > /dev/null 2>&1 & echo $! > {marker}'"
    outcome = ran(tmp_path, ad_hoc(command, folder=tmp_path))
    assert outcome.status is Status.OK
    assert outcome.result.tampered == ("processes left running",)
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)


def test_it_has_no_terminal_and_nothing_to_read_unless_it_is_given(tmp_path: Path) -> None:
    code = "import sys; print(sys.stdin.isatty(), sys.stdout.isatty(), sys.stdin.read())"
    text = tmp_path / "text"
    text.write_text("hello")
    without = measured(ran(tmp_path, python(tmp_path, code)))
    given = ad_hoc(f"{PYTHON} -S -c '{code}'", name="code", folder=tmp_path, stdin=text)
    assert without.output_bytes == len("False False \n")
    assert measured(ran(tmp_path, given)).output_bytes == len("False False hello\n")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def of_file(folder: Path, table: str) -> Program:
    """A scenario with that table [program]."""
    path = folder / "mine.toml"
    path.write_text(
        'title = "t"\nstands_for = "s"\nsource = "o"\ndoes_not_show = "d"\nseed = 1\n'
        f"[program]\n{table}"
    )
    program = load(path)
    assert isinstance(program, Program)
    return program


def test_another_output_than_the_scenario_s_is_corrupt(tmp_path: Path) -> None:
    program = of_file(tmp_path, f'command = ["echo", "hello"]\noutput_sha256 = "{"0" * 64}"\n')
    outcome = ran(tmp_path, program)
    assert outcome.status is Status.CORRUPT
    assert "its output is another: SHA-256 5891b5b522d5" in outcome.message


@pytest.mark.parametrize(
    ("own", "locale"), [("", "C"), ('environment = { LC_ALL = "C.UTF-8" }', "C.UTF-8")]
)
def test_a_scenario_s_program_runs_in_one_locale_whatever_the_user_s_is(
    own: str, locale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "POSIX")
    monkeypatch.setenv("LANG", "POSIX")
    command = 'command = ["sh", "-c", "echo $LC_ALL $LANG"]'
    program = of_file(tmp_path, f"{command}\n{own}\n")
    assert measured(ran(tmp_path, program)).output_sha256 == sha256(f"{locale}\n")


def test_a_scenario_s_program_writes_nowhere_but_in_its_own_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    command = f'["sh", "-c", "echo a > here && echo b > {outside}"]'
    outcome = ran(tmp_path, of_file(tmp_path, f"command = {command}\n"))
    assert outcome.status is Status.CRASHED
    assert "Permission denied" in outcome.message
    assert not outside.exists()


# ---- The set that comes along ----------------------------------------------------------------

SHIPPED = sorted((ROOT / "scenarios").glob("program-*.toml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_program_has_its_output_each_time(tmp_path: Path, path: Path) -> None:
    program = load(path)
    assert isinstance(program, Program)
    assert program.missing is None, "tests/system.sh installs what they need"
    found = [measured(ran(tmp_path, program, name)) for name in ("libc", "phase3")]
    assert found[0].output_sha256 == found[1].output_sha256
    assert found[0].processes >= 1


# ---- A run of one --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("programs")
    request = Request(
        allocators=[*resolve("libc"), *resolve("jemalloc")],
        scenarios=[python(folder, "print(len([str(i) for i in range(20000)]))")],
        probes=PROGRAM_PROBES,
        rounds=5,
        out=folder,
        label="programs",
        command=["allocphase"],
    )
    path = run(request, ProgramExecutor(DriverExecutor()), progress=no_progress)
    return frames.load(path)


def test_a_run_of_a_program_has_its_cells_and_no_floor(finished: Run) -> None:
    assert finished.allocators == ["libc", "jemalloc"]
    assert finished.floor is None
    for cell in finished.cell_list:
        assert cell.status is Status.OK, cell.message
        low, high = cell.metrics["wall_time_ns_interval"]
        assert low <= cell.metrics["wall_time_ns"] == cell.time_ns <= high
        assert cell.metrics["program_peak_rss_bytes"] >= cell.metrics["largest_process_rss_bytes"]
        assert cell.metrics["program_page_faults"] > 100
        assert cell.metrics["output_sha256"]
    saved = {cell.allocator: cell.metrics["saved_wall_time_ns"] for cell in finished.cell_list}
    assert saved["libc"] == 0.0
    assert saved["jemalloc"] != 0.0


def test_it_is_rendered_without_operations(finished: Run) -> None:
    source = Source.of(finished)
    text = page(source)
    assert "Every call in order" not in text
    assert source.traced == []
    assert "| jemalloc |" in markdown(source)
    document = json.loads((finished.path / "run.json").read_text())
    assert document["scenarios"][0]["program"]["folder"]


def test_its_programs_are_compared_by_their_own_metrics(finished: Run) -> None:
    settings = CompareSettings(
        baseline="libc", theta=0.02, memory_theta=0.05, metrics=DEFAULT_METRICS
    )
    found = compare_runs([finished.path], settings)
    assert [(row.metric, row.scenario, row.allocator) for row in found.rows] == [
        (name, "code", "jemalloc")
        for name in (
            "wall",
            "cpu",
            "program_page_faults",
            "program_syscalls",
            "program_memory_syscalls",
            "program_peak_rss",
            "largest_process_usable",
        )
    ]

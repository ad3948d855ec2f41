"""The gate and its neighbours on real processes, through the command line where there is one.

Times are off in all of them but where no verdict depends on them.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from allocphase import scenario, trace
from allocphase.allocator import Allocator
from allocphase.gate import Arms, GateRequest, run_gate
from allocphase.judge import Outcome, read_limits
from allocphase.judge.calls import CallDifferences, call_differences
from allocphase.probe.probe import Probe
from allocphase.process.driver import DriverExecutor
from allocphase.selftest import behind_toll, with_toll
from tests.support.driving import Driver
from tests.support.gates import limits, no_progress
from tests.support.plugins import ROOT, Plugins

COUNTS = ["--limit", "time=off"]
# For phase2, which calls the system for each object, in each of 51 replays of sixteen processes.
SMALL = "phase-report?allocations=100"

TraceFile = Callable[[str], Path]


@dataclass(frozen=True, slots=True)
class Cli:
    """`allocphase` in a folder of its own, in an environment that names no CI."""

    folder: Path

    def __call__(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
        return subprocess.run(
            [sys.executable, "-m", "allocphase.cli", *arguments],
            cwd=self.folder,
            env={**environment, **extra},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture
def trace_file(tmp_path: Path) -> TraceFile:
    """The trace of a scenario of the collection, written to a file."""

    def write(name: str) -> Path:
        path = tmp_path / f"{name}.trace"
        trace.write(scenario.generate(scenario.resolve(name)[0]), path)
        return path

    return write


# ---- Exit codes, each with its own message ----------------------------------------------------


def test_an_allocator_passes_against_itself_in_every_format(cli: Cli) -> None:
    arguments = ["gate", "--baseline", "phase3", "--candidate", "phase3", "-s", "phase-report"]
    files = ["--junit", "gate.xml", "--export-markdown", "gate.md", "--json", "gate.json"]
    result = cli(*arguments, *COUNTS, *files, "--explain", "syscalls:phase-report")
    assert result.returncode == 0, result.stderr
    assert "passed: " in result.stdout
    assert "syscalls:phase-report: unchanged" in result.stdout
    assert ET.parse(cli.folder / "gate.xml").getroot().find("testsuite") is not None
    assert "allocphase gate: passed" in (cli.folder / "gate.md").read_text("utf-8")
    document = json.loads((cli.folder / "gate.json").read_text("utf-8"))
    assert (document["exit_code"], document["candidate"]["name"]) == (0, "phase3")
    (folder,) = (cli.folder / "out").glob("*-gate")
    assert '"probe":"latency"' not in (folder / "processes.jsonl").read_text("utf-8"), "no time"


def test_more_system_calls_fail_with_3_and_an_old_verdict_can_be_explained(cli: Cli) -> None:
    arguments = ["gate", "--baseline", "phase21", "--candidate", "phase2", "-s", SMALL]
    result = cli(*arguments, *COUNTS)
    assert result.returncode == 3, result.stderr
    assert re.search(r"syscalls\.mmap +regressed", result.stdout)
    (folder,) = (cli.folder / "out").glob("*-gate")
    again = cli("gate", "--again", str(folder), "--explain", f"syscalls.mmap:{SMALL}")
    assert again.returncode == 3
    assert "It regressed in two sessions: the gate fails." in again.stdout


def test_a_row_that_does_not_exist_costs_no_file(cli: Cli) -> None:
    arguments = ["gate", "--baseline", "phase21", "--candidate", "phase21", "-s", "phase-report"]
    result = cli(*arguments, *COUNTS, "--junit", "gate.xml", "--explain", "p99:phase-report")
    assert result.returncode == 2
    assert "row 'p99:phase-report' does not exist" in result.stderr
    assert (cli.folder / "gate.xml").is_file()


def test_a_row_that_no_gate_has_is_told_before_anything_is_measured(cli: Cli) -> None:
    arguments = ["gate", "--baseline", "phase21", "--candidate", "phase21", "-s", "phase-report"]
    result = cli(*arguments, *COUNTS, "--junit", "gate.xml", "--explain", "syscals:phase-report")
    assert result.returncode == 2
    assert "metric 'syscals' does not exist: did you mean 'syscalls'?" in result.stderr
    assert not (cli.folder / "gate.xml").exists()


def test_a_missing_baseline_is_5_and_names_the_nearest(cli: Cli) -> None:
    result = cli("gate", "--baseline", "phaze3", "--candidate", "phase3")
    assert (result.returncode, result.stdout) == (5, "")
    assert "baseline: allocator 'phaze3' does not exist: did you mean 'phase3'?" in result.stderr


def test_a_missing_candidate_is_a_mistake_of_usage(cli: Cli) -> None:
    result = cli("gate", "--baseline", "phase3", "--candidate", "phaze3")
    assert result.returncode == 2
    assert "candidate: allocator 'phaze3' does not exist" in result.stderr


def test_a_selection_of_no_scenario_is_a_mistake_of_usage(cli: Cli) -> None:
    result = cli("gate", "--baseline", "phase3", "--candidate", "phase3", "-s", "nothing*")
    assert result.returncode == 2
    assert "nothing*" in result.stderr


def test_limits_that_leave_no_row_are_5(cli: Cli) -> None:
    arguments = ["--baseline", "phase3", "--candidate", "phase3", "-s", "phase-report"]
    result = cli("gate", *arguments, "--limit", "*=off")
    assert result.returncode == 5
    assert "every row is off" in result.stderr


def test_a_candidate_that_crashes_is_3_with_the_signal(cli: Cli, plugins: Plugins) -> None:
    candidate = f"mine={plugins('ends')}?way=segv&in=malloc"
    arguments = ["--baseline", "phase3", "--candidate", candidate, "-s", "phase-report"]
    result = cli("gate", *arguments, *COUNTS)
    assert result.returncode == 3, result.stdout + result.stderr
    assert "candidate is broken" in result.stdout
    assert "killed by SIGSEGV" in result.stdout


def test_a_candidate_that_returns_wrong_memory_is_3(cli: Cli, plugins: Plugins) -> None:
    candidate = f"mine={plugins('broken')}?fault=overlap&at=5"
    arguments = ["--baseline", "phase3", "--candidate", candidate, "-s", "phase-report"]
    result = cli("gate", *arguments, *COUNTS)
    assert result.returncode == 3, result.stdout + result.stderr
    assert "candidate on phase-report, verify: corrupt:" in result.stdout


def test_a_candidate_that_is_no_allocator_is_5(cli: Cli, plugins: Plugins) -> None:
    arguments = ["--baseline", "libc", "--candidate", f"mine={plugins('empty')}"]
    result = cli("gate", *arguments, "-s", "phase-report", *COUNTS)
    assert result.returncode == 5, result.stdout + result.stderr
    assert "wrong-allocator" in result.stdout


def test_one_of_baseline_and_saved_is_wanted(cli: Cli) -> None:
    for arguments in (["--candidate", "phase3"], ["--baseline", "phase3"]):
        assert cli("gate", *arguments).returncode == 2


# ---- What a slow or greedy allocator costs -----------------------------------------------------


def injected_gate(
    tmp_path: Path, subject: Allocator, *lines: str, map_every: int, spared: int = 0
) -> Outcome:
    base = behind_toll(subject)
    request = GateRequest(
        arms=Arms(with_toll(base), with_toll(base, map_every=map_every, spared=spared)),
        scenarios=scenario.resolve("random-churn"),
        limits=limits(*lines),
        seed=1,
        out=tmp_path,
        verify=False,
    )
    found = run_gate(request, DriverExecutor(), progress=no_progress)
    (row,) = [row for row in found.rows if row.row.measure.name == "syscalls.mmap"]
    return row.outcome


def test_one_mmap_more_in_10000_operations_fails_by_count(
    tmp_path: Path, installed: Callable[[str], Allocator]
) -> None:
    phase3 = installed("phase3")
    lines = ("*=off", "syscalls=exact", "syscalls.mmap=exact")
    assert injected_gate(tmp_path, phase3, *lines, map_every=10_000) is Outcome.REGRESSED
    assert injected_gate(tmp_path, phase3, *lines, map_every=0) is Outcome.UNCHANGED


def test_an_extra_mmap_in_three_processes_of_four_fails(
    tmp_path: Path, installed: Callable[[str], Allocator]
) -> None:
    lines = ("*=off", "syscalls=exact", "syscalls.mmap=exact")
    outcome = injected_gate(tmp_path, installed("phase3"), *lines, map_every=10_000, spared=4)
    assert outcome is Outcome.REGRESSED


@pytest.mark.parametrize("name", ["phase3", "ariax", "libc", "mimalloc", "jemalloc"])
def test_an_allocator_behind_the_toll_stays_correct(
    driver: Driver, installed: Callable[[str], Allocator], trace_file: TraceFile, name: str
) -> None:
    subject = with_toll(behind_toll(installed(name)), iterations=3)
    path = trace_file("ariax" if name == "ariax" else "phase-report")
    outcome = driver.run(Probe.VERIFY, path, subject)
    assert outcome.status == "ok", outcome.message


def test_settings_from_the_environment_are_none_of_the_toll_s(
    driver: Driver, installed: Callable[[str], Allocator], trace_file: TraceFile
) -> None:
    subject = behind_toll(installed("jemalloc").with_settings({"narenas": "1"}))
    assert subject.config == {"iterations": "0"}
    assert subject.environment["MALLOC_CONF"] == "narenas:1"
    outcome = driver.run(Probe.VERIFY, trace_file("phase-report"), subject)
    assert outcome.status == "ok", outcome.message


def test_a_toll_before_an_allocator_that_is_not_there_is_refused(
    driver: Driver, installed: Callable[[str], Allocator], trace_file: TraceFile
) -> None:
    subject = behind_toll(installed("libc"))
    environment = {**subject.environment, "ALLOCPHASE_SLOW_PROVIDER": sys.executable}
    changed = replace(subject, environment=environment)
    outcome = driver.run(Probe.VERIFY, trace_file("phase-report"), changed)
    assert outcome.status == "unsupported"


def test_the_toll_compiles_without_a_warning(tmp_path: Path) -> None:
    source = ROOT / "src" / "allocphase" / "selftest" / "slow.c"
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-shared"]
    command = ["cc", *flags, f"-I{ROOT / 'driver'}", "-o", str(tmp_path / "slow.so"), str(source)]
    subprocess.run(command, check=True)


def test_the_self_test_runs_to_its_table(cli: Cli) -> None:
    arguments = ["selftest", "--quick", "--max-rounds", "6", "--json", "trials.json"]
    result = cli(*arguments, "-s", "phase-report", "--theta", "50%")
    assert result.returncode == 0, result.stderr
    assert "False alarms at a limit of 50%" in result.stdout
    effects = json.loads((cli.folder / "trials.json").read_text("utf-8"))["effects"]
    assert [entry["effect"] for entry in effects] == [0.0, 0.05, 0.1]
    assert list((cli.folder / "out").iterdir()) == [], "nobody looks at its sessions again"


# ---- Saved baselines and comparisons ----------------------------------------------------------


def test_a_saved_baseline_is_listed_shown_and_gated_against(cli: Cli) -> None:
    where = ["-s", SMALL]
    saved = cli("baseline", "save", "main", "-a", "phase21", *where, "-r", "2")
    assert saved.returncode == 0, saved.stderr
    assert "main" in cli("baseline", "list").stdout
    assert "syscalls" in cli("baseline", "show", "main").stdout
    same = cli("gate", "--saved", "main", "--candidate", "phase21", *where, *COUNTS)
    assert same.returncode == 0, same.stdout + same.stderr
    worse = cli("gate", "--saved", "main", "--candidate", "phase2", *where, *COUNTS)
    assert worse.returncode == 3, worse.stdout + worse.stderr
    gone = cli("gate", "--saved", "mian", "--candidate", "phase2", *where, *COUNTS)
    assert gone.returncode == 5
    assert "did you mean 'main'" in gone.stderr


def test_a_baseline_saved_on_one_cpu_says_nothing_of_its_object_on_two(
    cli: Cli, needs: Callable[..., None]
) -> None:
    """xmalloc hands objects over between threads: on one CPU they never meet."""
    usable = os.sched_getaffinity(0)
    needs(len(usable) > 1, "two CPUs", install="run on a machine that has them")
    where = ["-s", "xmalloc?batches=4"]
    try:
        os.sched_setaffinity(0, {min(usable)})
        saved = cli("baseline", "save", "one", "-a", "libc", *where, "-r", "1")
    finally:
        os.sched_setaffinity(0, usable)
    assert saved.returncode == 0, saved.stderr
    gate = ("gate", "--saved", "one", "--candidate", "libc", *where, *COUNTS)
    found = cli(*gate)
    assert found.returncode == 5, found.stdout
    words = " ".join(found.stdout.split())
    differ = f"cpus: 1 then, {len(usable)} now: syscalls, peak_mapped, page_faults, peak_rss"
    assert f"another machine: {differ} do not hold here" in words
    advice = cli(*gate, "--allow-machine-mismatch")
    assert advice.returncode == 0, advice.stdout


def test_a_scenario_that_changed_since_its_baseline_is_4(cli: Cli) -> None:
    text = (ROOT / "scenarios" / "phase-report.toml").read_text("utf-8")
    path = cli.folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    cli("baseline", "save", "main", "-a", "phase21", "-s", "mine.toml", "-r", "1")
    path.write_text(text.replace("seed = 201", "seed = 202"), encoding="utf-8")
    result = cli("gate", "--saved", "main", "--candidate", "phase21", "-s", "mine.toml", *COUNTS)
    assert result.returncode == 4, result.stdout + result.stderr
    assert "mine: changed since" in result.stderr


def test_a_run_is_compared_in_every_format(cli: Cli) -> None:
    names = ["-a", "phase2", "-a", "phase21", "-s", SMALL]
    cli("run", *names, "-p", "syscalls", "-p", "throughput", "-r", "2")
    (folder,) = (cli.folder / "out").glob("*-run")
    result = cli("compare", str(folder), "--baseline", "phase21", "--csv", "-")
    assert result.returncode == 0, result.stderr
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(result.stdout))}
    assert rows["syscalls"]["verdict"] == "regressed"
    assert rows["time"]["verdict"] == "inconclusive"
    table = cli("compare", str(folder), "--baseline", "phase21", "--export-markdown", "c.md")
    assert f"phase2 on {SMALL}  against phase21" in table.stdout
    assert "| phase2 | syscalls | regressed |" in (cli.folder / "c.md").read_text("utf-8")


# ---- Which calls got slower -------------------------------------------------------------------


def test_the_one_size_class_that_got_slower_is_named_first(cli: Cli, plugins: Plugins) -> None:
    """By some microseconds, so that no noise is as large; the median is that of other sizes."""
    built = plugins("banded")
    baseline, candidate = f"mine={built}", f"mine={built}?least=257&most=512&spins=10000"
    arms = ["--baseline", baseline, "--candidate", candidate]
    scenario = "random-churn?operations=20000"
    arguments = [*arms, "--limit", "*=off", "--limit", "p50=900%", "-s", scenario]
    result = cli("gate", *arguments, "--explain", f"p50:{scenario}")
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    head = lines.index(f"Calls of {scenario}, those first that add most")
    assert lines[head + 2].startswith("malloc 257-512 "), "\n".join(lines)
    (folder,) = (cli.folder / "out").glob("*-gate")
    found = call_differences(folder, scenario)
    assert isinstance(found, CallDifferences)
    slow, *others = found.told
    assert slow.group == ("malloc", 9)
    assert slow.p50_ns[1] > slow.p50_ns[0] + 500
    assert slow.added_ns > 10 * max(abs(call.added_ns) for call in others)
    assert {("malloc", 10), ("free", 10)} <= {call.group for call in found.told}
    again = cli("gate", "--again", str(folder), "--explain", f"p50:{scenario}")
    assert "\n".join(lines[head:]) in again.stdout


# ---- docs/ci.md -------------------------------------------------------------------------------

MINE = """
#include <stdlib.h>
#include <sys/mman.h>
#include "allocphase.h"
static unsigned long calls;
static int init(const struct allocphase_config *c) { (void)c; return 0; }
static void fini(void) {}
static void *mine_malloc(size_t size) {
  if (EVERY && ++calls % EVERY == 0) munmap(mmap(0, 4096, 3, 34, -1, 0), 4096);
  return malloc(size);
}
static void mine_free(void *block) { free(block); }
static const struct allocphase_allocator table = {.abi_version = 1, .init = init, .fini = fini,
  .malloc = mine_malloc, .free = mine_free};
const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
"""


def fences(language: str) -> list[str]:
    text = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def steps(workflow: str) -> dict[str, str]:
    """The scripts of the named steps that have several lines, without their indentation."""
    pattern = r"^( *)- name: (.*)\n *run: \|\n((?:\1    .*\n)+)"
    found = re.findall(pattern, workflow, flags=re.MULTILINE)
    return {name: re.sub(r"^ *", "", body, flags=re.MULTILINE) for _, name, body in found}


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "gc.auto=0"]
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, *, every: int | str) -> None:
    (folder / "mine.c").write_text(f"#define EVERY {every}\n{MINE}", encoding="utf-8")
    (folder / "gate.toml").write_text('limits = ["time=off"]\n', encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "--allow-empty", "-m", f"every {every}")


@pytest.mark.parametrize(("every", "code", "word"), [(0, 0, "passed"), (900, 3, "regressed")])
def test_the_workflow_of_the_documentation_gates_two_revisions(
    tmp_path: Path, every: int, code: int, word: str
) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "--initial-branch", "main")
    commit(origin, every=0)
    git(tmp_path, "clone", str(origin), str(clone))
    commit(clone, every=every)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {
        **os.environ,
        "PATH": path,
        "GITHUB_BASE_REF": "main",
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    (workflow,) = fences("yaml")
    scripts = steps(workflow)
    assert list(scripts) == ["Build both revisions", "Gate"]
    for name, script in scripts.items():
        result = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == (code if name == "Gate" else 0), result.stdout + result.stderr
    assert f"allocphase gate: {word}" in (tmp_path / "summary.md").read_text("utf-8")
    assert ("::error title=syscalls%3A" in result.stdout) == (code == 3)
    assert (clone / "gate.xml").is_file()


def test_the_limits_of_the_documentation_are_limits(tmp_path: Path) -> None:
    (text,) = fences("toml")
    path = tmp_path / "gate.toml"
    path.write_text(text, encoding="utf-8")
    lines = read_limits(path)
    assert lines
    assert all(f'"{line}"' in text for line in lines)


def test_a_bisection_finds_the_commit_that_made_more_system_calls(tmp_path: Path) -> None:
    """Of six commits the fourth maps every 900th call; the fifth does not compile."""
    folder = tmp_path / "mine"
    folder.mkdir()
    git(folder, "init", "--initial-branch", "main")
    for every in ("0", "0", "0", "900", "%", "900"):
        commit(folder, every=every)
    compile_ = f"cc -O1 -shared -fPIC -I{ROOT / 'driver'}"
    good = tmp_path / "good.so"
    source = git(folder, "show", "HEAD~5:mine.c")
    (tmp_path / "good.c").write_text(source)
    subprocess.run([*compile_.split(), "-o", str(good), str(tmp_path / "good.c")], check=True)
    git(folder, "bisect", "start", "HEAD", "HEAD~5")
    gate = "allocphase gate --quiet --bisect-exit --limit time=off -s phase-report"
    script = (
        f"{compile_} -o {tmp_path}/head.so mine.c || exit 125; {gate} --out {tmp_path}/out "
        f"--baseline mine={good} --candidate mine={tmp_path}/head.so"
    )
    found = subprocess.run(
        ["git", "bisect", "run", "sh", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "is the first bad commit" in found.stdout
    assert git(folder, "log", "-1", "--format=%s", "refs/bisect/bad").strip() == "every 900"
    assert " left: " not in found.stderr, "it is quiet"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--baseline", "phase21", "--candidate", "phase21"], 0),
        (["--baseline", "phase21", "--candidate", "phase2"], 1),
        (["--baseline", "phaze21", "--candidate", "phase2"], 125),
        (["--baseline", "phase21", "--candidate", "phaze2"], 128),
    ],
)
def test_each_end_of_a_gate_is_what_a_bisection_takes_it_for(
    cli: Cli, arguments: list[str], code: int
) -> None:
    result = cli("gate", "--bisect-exit", *arguments, "-s", SMALL, *COUNTS)
    assert result.returncode == code, result.stdout + result.stderr


# ---- Programs ------------------------------------------------------------------------------------


def test_a_gate_says_where_a_program_prints_something_else_under_the_candidate(
    cli: Cli,
) -> None:
    script = "echo $LD_PRELOAD | tr -dc :"
    limit = ("--limit", "*=off", "--limit", "cpu=900%", "--explain", "cpu:mine")
    done = cli(
        *("gate", "--baseline", "libc", "--candidate", "jemalloc", "--max-rounds", "6"),
        *("--program", f"sh -c '{script}'", "--name", "mine", *limit),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    words = " ".join(done.stdout.split())
    assert "mine prints something else under the candidate than under the baseline" in words
    assert "The row is the CPU time of a program's processes on mine." in words
    assert "Which calls of" not in words, "nobody times the calls of a program"

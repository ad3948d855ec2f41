"""The command line without processes: what is accepted, and one clear line for what is not."""

from __future__ import annotations

import importlib
import json
import os
import platform
import re
import shlex
import shutil
import struct
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import allocphase
from allocphase.analysis.frames import Run
from allocphase.errors import AllocphaseError
from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.probe.status import Status
from allocphase.process import driver
from allocphase.process.driver import Job, Outcome
from allocphase.run.plan import COUNT_PROCESSES
from allocphase.run.request import RunOptions
from allocphase.scenario.families import FAMILIES
from tests.support.plugins import ROOT, Plugins
from tests.support.runs import FakeExecutor, good, process, write_run
from tests.support.strange import STRANGE, in_time

# The application as it is installed; a type checker sees it as the module `cli` of the checkout.
main: click.Group = importlib.import_module("allocphase.cli").main

Invoke = Callable[..., Result]
SMALL = ["-s", "phase-report?allocations=5", "--rounds", "1"]


@pytest.fixture(autouse=True)
def executor(monkeypatch: pytest.MonkeyPatch) -> FakeExecutor:
    """Stands in for the driver in every test."""
    fake = FakeExecutor()
    monkeypatch.setattr(driver, "DriverExecutor", lambda: fake)
    return fake


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs a command in an empty folder; nothing but a clean exit may come of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def call(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def complaint(result: Result, code: int) -> str:
    """The one line on stderr of a command that failed."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("allocphase: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("allocphase: ").removesuffix("\n")


# ---- Help --------------------------------------------------------------------------------


def commands(group: click.Command = main, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command by its words, the group itself as ()."""
    found = [path]
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            found += commands(command, (*path, name))
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_the_help_of_every_command_has_an_example_and_says_what_each_option_does(
    invoke: Invoke, command: tuple[str, ...]
) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Example:" in result.output or (not command and "Start with:" in result.output)
    group: click.Command = main
    for word in command:
        assert isinstance(group, click.Group)
        group = group.commands[word]
    assert group.help
    for parameter in group.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.name} has no help"


def test_the_examples_of_run_are_valid_but_for_the_files_they_name(invoke: Invoke) -> None:
    """They are parsed here; the first is run for real by the integration tests."""
    text = invoke("run", "--help").output
    lines = [
        line.strip() for line in text.splitlines() if line.strip().startswith("allocphase run")
    ]
    assert len(lines) >= 2
    for line in lines:
        words = shlex.split(line)[2:]
        words = [word.replace("./libmine.so", "nowhere.so") for word in words]
        command = main.commands["run"]
        command.make_context("run", words)


def test_the_version_is_the_package_s(invoke: Invoke) -> None:
    assert allocphase.__version__ in invoke("--version").output


# ---- Bad input ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-a", "phase22"], "allocator 'phase22' does not exist: did you mean 'phase2"),
        (["-a", "phase21?pool=1"], "allocator phase21: setting 'pool' does not exist"),
        (["-a", "phase21?pool_bytes"], "'pool_bytes' has no value, or an empty one"),
        (["-a", "mine=nowhere.so"], "allocator mine: nowhere.so: no such file"),
        (["-a", "mine=nowhere.c"], "allocator mine: nowhere.c: no such file"),
        (["-a", "libc", "-a", "libc"], "allocator 'libc' is named twice"),
        (["-a", "libc", "-s", "random-chrun"], "did you mean 'random-churn'?"),
        (["-a", "libc", "-s", "zzz*"], "scenario 'zzz*' does not exist"),
        (["-a", "libc", "-s", "nowhere.toml"], "nowhere.toml: No such file"),
        (["-a", "libc", "-s", "phase-report?allocations=0"], "allocations"),
        (["-a", "libc", "-s", "phase-report?alocations=9"], "did you mean 'allocations'?"),
        (["-a", "libc", *SMALL, "-s", "phase-report?allocations=5"], "is named twice"),
        (["-a", "libc", "-s", "phase-report", "--sweep", "allocations"], "PARAMETER=VALUE,VALUE"),
        (["-a", "libc", "--sweep", "live=5"], "--sweep 'live=5': one value is no sweep"),
        (["-a", "libc", "--sweep", "live=5,5"], "--sweep 'live=5,5': 'live' has a value twice"),
    ],
)
def test_a_bad_name_is_one_line_and_exit_code_2(
    invoke: Invoke, executor: FakeExecutor, tmp_path: Path, arguments: list[str], message: str
) -> None:
    assert message in complaint(invoke("run", *arguments), 2)
    assert executor.jobs == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--probe", "everything"],
        ["run", "--rounds", "0"],
        ["run", "--timeout", "never"],
        ["run", "--colour"],
        ["report"],
        ["list", "things"],
        ["no-such-command"],
    ],
)
def test_a_bad_option_is_exit_code_2_and_says_where_help_is(
    invoke: Invoke, arguments: list[str]
) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert "Try 'main" in result.stderr
    assert "Traceback" not in result.output


def test_a_broken_scenario_names_file_key_and_reason(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("title = 'x'\nseed = \n")
    line = complaint(invoke("run", "-a", "libc", "-s", path), 2)
    assert line.startswith(f"{path}: not a TOML file: Invalid value (at line 2")
    shipped = (ROOT / "scenarios" / "larson.toml").read_text("utf-8")
    path.write_text(shipped.replace("seed = ", "seed = -"), encoding="utf-8")
    assert complaint(invoke("run", "-a", "libc", "-s", path), 2).startswith(
        f"{path}: seed: must be an integer of 0 or more, not -"
    )


def test_selftest_takes_one_scenario(invoke: Invoke, executor: FakeExecutor) -> None:
    line = complaint(invoke("selftest", "-s", "phase-report*"), 2)
    assert line == "scenario 'phase-report*' names 2, selftest takes one"
    assert executor.jobs == []


def test_a_file_that_is_no_shared_object_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "mine.so"
    path.write_text("text")
    line = complaint(invoke("run", "-a", f"mine={path}", *SMALL), 2)
    assert line == f"{path}: not a shared object (no ELF header): build it with cc -shared"


def test_an_object_of_another_machine_is_refused(
    invoke: Invoke, plugins: Plugins, tmp_path: Path
) -> None:
    content = bytearray(plugins("calls").read_bytes())
    struct.pack_into("<H", content, 18, 8)
    (tmp_path / "mips.so").write_bytes(content)
    line = complaint(invoke("run", "-a", "mine=mips.so", *SMALL), 2)
    assert line.endswith(f"an object of another machine than {platform.machine()}")


def test_a_source_that_does_not_compile_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "mine.c").write_text("int (;\n")
    line = complaint(invoke("run", "-a", "mine=mine.c", *SMALL), 2)
    assert "mine.c: does not compile: " in line
    assert "error" in line


def test_an_allocator_that_is_not_installed_says_how_to_install_it(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allocphase.allocator.collection.search_library", lambda *_, **__: None)
    line = complaint(invoke("run", "-a", "jemalloc", *SMALL), 2)
    assert line == "allocator jemalloc: not installed: apt-get install libjemalloc2"


@pytest.mark.parametrize("name", ["nowhere", "empty", "broken", "old"])
def test_a_folder_that_is_no_run_is_refused(invoke: Invoke, tmp_path: Path, name: str) -> None:
    for folder, content in (("broken", "{"), ("old", '{"schema": 0}')):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "run.json").write_text(content)
    (tmp_path / "empty").mkdir()
    assert name in complaint(invoke("report", name), 2)


def test_a_damaged_file_of_a_run_is_exit_code_2(invoke: Invoke, tmp_path: Path) -> None:
    part = {"cold_ns_per_op": 9.0, "warm_ns_per_op": [8.0]}
    folder = write_run(tmp_path / "run", [(process("throughput", part), {})]).path
    (folder / "operations" / "0.npz").write_bytes(b"PK")
    line = complaint(invoke("report", "run"), 2)
    assert line == "run/operations/0.npz: not a sample file: File is not a zip file"


def test_a_json_path_that_cannot_be_written_is_a_usage_error(invoke: Invoke) -> None:
    result = invoke("run", "-a", "libc", *SMALL, "-p", "verify", "--json", "nowhere/x.json")
    assert complaint(result, 2) == "nowhere/x.json: cannot be written: No such file or directory"


def test_a_tool_error_is_exit_code_1(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(allocphase, "__path__", [str(tmp_path)])
    assert "driver/allocphase.h is not in the installed package" in complaint(invoke("abi"), 1)


# ---- What a run prints and leaves --------------------------------------------------------


def test_stdout_is_json_alone_and_stderr_names_the_run_directory(
    invoke: Invoke, tmp_path: Path
) -> None:
    result = invoke("run", "-a", "libc", *SMALL, "-p", "verify", "--json", "-", "--label", "mine")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert [cell["status"] for cell in document["cells"]] == ["ok"]
    folder = Path(result.stderr.strip().splitlines()[-1].removeprefix("run directory: "))
    assert folder.parent == Path("out")
    assert folder.name.endswith("-mine")
    assert (tmp_path / folder / "results.csv").read_text().startswith("allocator,scenario,status,")


def test_json_goes_into_a_file_and_the_summary_to_stdout(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("run", "-a", "libc", *SMALL, "-p", "throughput", "--json", "cells.json")
    assert result.exit_code == 0
    document = json.loads((tmp_path / "cells.json").read_text())
    assert document["cells"][0]["metrics"]["time_per_op_ns"] == 100.0
    assert "libc" in result.stdout
    assert "{" not in result.stdout


def test_every_option_reaches_the_jobs(invoke: Invoke, executor: FakeExecutor) -> None:
    options = ["--seed", "5", "--timeout", "9", "--syscall-backend", "ptrace", "-r", "2"]
    probes = ["-p", "syscalls", "-p", "throughput"]
    result = invoke("run", "-a", "libc", "-s", SMALL[1], *options, *probes, "--json", "-")
    assert json.loads(result.stdout)["plan"]["seed"] == 5
    assert {job.timeout_s for job in executor.jobs} == {9.0}
    assert [job.probe for job in executor.jobs].count(Probe.THROUGHPUT) == 4  # the floor too
    counted = [job for job in executor.jobs if job.probe is Probe.SYSCALLS]
    assert [job.options["syscall-backend"] for job in counted] == ["ptrace"] * COUNT_PROCESSES


def test_without_probes_everything_is_measured(invoke: Invoke, executor: FakeExecutor) -> None:
    invoke("run", "-a", "libc", *SMALL)
    assert {job.probe for job in executor.jobs} == set(TRACE_PROBES)


def test_a_comma_runs_the_scenario_at_each_value(invoke: Invoke, executor: FakeExecutor) -> None:
    what = ["-s", "phase-report?allocations=3,4", "-p", "verify"]
    assert invoke("run", "-a", "libc", *what).exit_code == 0
    assert {job.scenario for job in executor.jobs} == {
        f"phase-report?allocations={n}" for n in (3, 4)
    }


def test_a_sweep_goes_over_every_scenario_and_a_list_has_plus_signs(
    invoke: Invoke, executor: FakeExecutor
) -> None:
    sweep = ["-s", "xmalloc?batches=2,3", "--sweep", "sizes=16+64,32", "-p", "verify"]
    assert invoke("run", "-a", "libc", *sweep).exit_code == 0
    assert {job.scenario for job in executor.jobs} == {
        f"xmalloc?batches={n}&sizes={sizes}" for n in (2, 3) for sizes in ("16+64", "32")
    }


def test_a_sweep_runs_the_scenario_at_each_value(invoke: Invoke, executor: FakeExecutor) -> None:
    sweep = ["-s", "phase-report", "--sweep", "allocations=3,4,5", "-p", "verify"]
    assert invoke("run", "-a", "libc", *sweep).exit_code == 0
    assert sorted(job.scenario for job in executor.jobs) == [
        f"phase-report?allocations={n}" for n in (3, 4, 5)
    ]


def test_settings_with_several_values_are_several_allocators(
    invoke: Invoke, executor: FakeExecutor
) -> None:
    invoke("run", "-a", "phase2?objects_per_slab=1,8", *SMALL, "-p", "verify")
    configs = [job.allocator.config["objects_per_slab"] for job in executor.jobs]
    assert sorted(configs) == ["1", "8"]


def test_where_nothing_was_measured_the_exit_code_is_5(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: Job) -> Outcome:
        return Outcome(status=Status.CRASHED, message="killed by SIGSEGV.", wall_s=0.1)

    monkeypatch.setattr(driver, "DriverExecutor", lambda: FakeExecutor(crash))
    result = invoke("run", "-a", "libc", *SMALL, "--json", "-")
    assert result.exit_code == 5
    assert "allocphase: no cell was measured" in result.stderr
    assert json.loads(result.stdout)["cells"][0]["status"] == "crashed"


def test_one_good_cell_is_enough_for_exit_code_0(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(job: Job) -> Outcome:
        if job.allocator.name == "phase2":
            return Outcome(status=Status.TIMEOUT, message="still running", wall_s=60.0)
        return good(job)

    monkeypatch.setattr(driver, "DriverExecutor", lambda: FakeExecutor(answer))
    result = invoke("run", "-a", "libc", "-a", "phase2", *SMALL, "-p", "verify")
    assert result.exit_code == 0
    assert "timeout" in result.stdout


def test_progress_is_plain_lines_where_there_is_no_terminal(invoke: Invoke) -> None:
    result = invoke("run", "-a", "libc", *SMALL, "-p", "verify", "-p", "syscalls", "--json", "-")
    lines = result.stderr.splitlines()
    assert any(line.startswith("1/5, ") and "libc on phase-report" in line for line in lines)
    assert "\x1b" not in result.stderr
    assert "\r" not in result.stderr


# ---- Lists -------------------------------------------------------------------------------


def test_lists_name_every_allocator_and_scenario_within_80_columns(invoke: Invoke) -> None:
    lines = invoke("list").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    names = {line.strip().removeprefix("* ").split(" ")[0] for line in lines}
    assert {"libc", "null", "phase21", "jemalloc", "phase-report", "random-churn"} <= names
    marked = {line.split()[1] for line in lines if line.startswith("* ")}
    assert "phase-report" in marked


def test_a_missing_allocator_is_listed_with_how_to_install_it(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allocphase.allocator.collection.search_library", lambda *_, **__: None)
    lines = invoke("list", "allocators").stdout.splitlines()
    assert "  jemalloc             not installed: apt-get install libjemalloc2" in lines


def test_a_verbose_list_says_what_each_stands_for(invoke: Invoke) -> None:
    text = invoke("list", "scenarios", "-v").stdout
    assert text.count("does not show: ") == text.count("stands for: ") > 4
    assert "settings: pool_bytes=16777216" in invoke("list", "allocators", "--verbose").stdout


def test_families_are_listed_with_all_that_their_parameters_take(invoke: Invoke) -> None:
    brief, full = (invoke("list", "families", *more).stdout for more in ([], ["-v"]))
    assert all(len(line) <= 80 for line in brief.splitlines())
    named = [line.split()[0] for line in brief.splitlines()[1:] if line[:3].strip()]
    assert named == list(FAMILIES)
    words = " ".join(full.split())
    for family in FAMILIES.values():
        assert f" {family.name} " in words
        for key, field in family.fields().items():
            assert f" {key}: {' '.join(field.metadata['doc'].split())}; " in words
    assert "size_max: largest size in bytes; from 1 to 2,147,483,648; required" in words
    assert "batches: how often this is done; from 1; default 1" in words


def test_an_allocator_and_a_scenario_of_ones_own_are_described(
    invoke: Invoke, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "allocator.toml").write_text('title = "M"\nsummary = "Mine."\nkind = "libc"\n')
    path = tmp_path / "web.toml"
    shutil.copy(ROOT / "scenarios" / "phase-report.toml", path)
    text = invoke("list", "-a", str(folder), "-s", f"{path}?allocations=50").stdout
    assert "  mine                 Mine.\n    kind: libc\n" in text
    assert "* web?allocations=50 " in text
    assert "trace: 100 operations: 50 malloc, 50 free\n" in text
    assert re.search(r"sizes: \d+\.\d B to \d+ B, median \d+ B\n", text)
    assert "phase21" not in text and "random-churn" not in text
    assert complaint(invoke("list", "-s", f"{path}?allocations=0"), 2)
    assert complaint(invoke("list", "-a", str(tmp_path)), 2)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs that a report was asked for; none is drawn."""
    seen: list[Run] = []

    def render(run: Run, **_: object) -> Path:
        seen.append(run)
        return Path("report.html")

    monkeypatch.setattr("allocphase.report.render.render", render)
    return seen


def test_a_report_is_made_of_a_run_s_files_alone(
    invoke: Invoke, executor: FakeExecutor, rendered: list[Run], tmp_path: Path
) -> None:
    part = {"cold_ns_per_op": 9.0, "warm_ns_per_op": [8.0]}
    write_run(tmp_path / "run", [(process("throughput", part), {})])
    result = invoke("report", "run")
    assert (result.exit_code, result.stdout) == (0, "report: report.html\n")
    assert [run.path for run in rendered] == [Path("run")]
    assert executor.jobs == []


def test_a_run_can_be_rendered_at_once_and_stdout_stays_json(
    invoke: Invoke, rendered: list[Run]
) -> None:
    result = invoke("run", "-a", "libc", *SMALL, "-p", "verify", "--report", "--json", "-")
    assert len(rendered) == 1
    assert json.loads(result.stdout)["schema"] == 1
    assert "report: report.html\n" in result.stderr


# ---- A run that was broken off -----------------------------------------------------------


@pytest.fixture
def broken(invoke: Invoke, executor: FakeExecutor, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that the tool failed in after three processes."""

    def fail(job: Job) -> Outcome:
        if job.id == 3:
            raise AllocphaseError("the disk is full")
        return good(job)

    monkeypatch.setattr(executor, "_answer", fail)
    result = invoke("run", "-a", "libc", *SMALL, "-r", "2", "-p", "throughput", "-p", "syscalls")
    assert result.exit_code == 1
    (folder,) = Path("out").iterdir()
    assert complaint_of(result) == (
        f"the disk is full; what is finished is kept, go on with `allocphase run --resume {folder}`"
    )
    monkeypatch.setattr(executor, "_answer", good)
    executor.jobs.clear()
    return folder


def complaint_of(result: Result) -> str:
    lines = result.stderr.splitlines()
    (line,) = [line for line in lines if line.startswith("allocphase: ")]
    return line.removeprefix("allocphase: ")


def test_a_broken_run_is_gone_on_with_and_then_finished(
    invoke: Invoke, executor: FakeExecutor, broken: Path
) -> None:
    result = invoke("run", "--resume", broken, "--json", "-")
    assert result.exit_code == 0
    assert [job.id for job in executor.jobs] == [3, 4, 5, 6, 7]
    assert json.loads(result.stdout)["plan"]["processes"] == 8
    again = invoke("run", "--resume", broken, "--json", "-")
    assert (again.exit_code, len(executor.jobs)) == (0, 5)
    assert f"{broken} is finished: there is nothing left to measure" in again.stderr
    assert json.loads(again.stdout) == json.loads(result.stdout)


@pytest.mark.parametrize(
    "option",
    [
        ["-a", "libc"],
        ["--scenario", "random-churn"],
        ["--sweep", "live=1,2"],
        ["-p", "verify"],
        ["-r", "5"],
        ["--quick"],
        ["--time-budget", "9"],
        ["--seed", "1"],
        ["--timeout", "60"],
        ["--syscall-backend", "auto"],
        ["--cache-sim", "I1=32768,8,64"],
        ["--out", "out"],
        ["--label", "run"],
        ["--keep-allocator-environment"],
    ],
    ids=lambda option: option[0],
)
def test_what_would_make_it_another_run_does_not_go_with_resume(
    invoke: Invoke, executor: FakeExecutor, broken: Path, option: list[str]
) -> None:
    line = complaint(invoke("run", "--resume", broken, *option), 2)
    assert line.startswith("--resume goes on with a run as it was planned: --")
    assert executor.jobs == []


# ---- What is asked for and cannot be is told before anything is measured --------------------

GATE = ["gate", "--baseline", "libc", "--candidate", "phase3", *SMALL[:2]]
SCENARIO = "phase-report?allocations=5"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            [*GATE, "--explain", "time"],
            f"--explain 'time': is written METRIC:SCENARIO, such as time:{SCENARIO}",
        ),
        ([*GATE, "--explain", f"tima:{SCENARIO}"], "metric 'tima' does not exist: did you mean"),
        ([*GATE, "--explain", "time:larson"], "--explain 'time:larson': scenario 'larson' does"),
        ([*GATE, "--json", "-", "--junit", "-"], "--json and --junit: one of them can be -"),
        (["run", "-a", "libc", *SMALL, "--out", "file"], "file: is no folder: --out names one"),
        ([*GATE, "--out", "file"], "file: is no folder: --out names one"),
        (["selftest", "-a", "nosuch", "--out", "file"], "allocator 'nosuch' does not exist"),
        (["selftest", "-a", "phase3", "--out", "file"], "file: is no folder: --out names one"),
        (["claims", "folder"], "folder: is a folder, and no TOML file"),
        (["run", "-a", "libc", "-s", "./folder"], "folder: is a folder, and no TOML file"),
        (["list", "allocators", "-s", "larson"], "allocators: either all of a kind, or those of"),
        (["import", "--from", "google-benchmark", "file"], "file: no JSON, as --benchmark_out_f"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_measured(
    invoke: Invoke, executor: FakeExecutor, arguments: list[str], reason: str
) -> None:
    Path("file").write_text("x = = 1")
    Path("folder").mkdir()
    assert reason in complaint(invoke(*arguments), 2)
    assert executor.jobs == []


# ---- Variables of a shell -------------------------------------------------------------------

EXPORTED = {"MALLOC_ARENA_MAX": "1", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    "command",
    [
        ["run", "-a", "libc?arena_max=2", *SMALL],
        ["gate", "--baseline", "libc", "--candidate", "libc?arena_max=2", *SMALL[:2]],
        ["baseline", "save", "main", "-a", "libc?arena_max=2", *SMALL[:2], "-r", "5"],
        ["claims", "claims.toml", "-r", "1"],
    ],
    ids=lambda command: command[0],
)
def test_what_a_shell_exports_is_measured_only_where_that_was_asked_for(
    invoke: Invoke,
    executor: FakeExecutor,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: list[str],
    keep: bool,
) -> None:
    (tmp_path / "claims.toml").write_text(CLAIM_OF_LIBC)
    for name, value in EXPORTED.items():
        monkeypatch.setenv(name, value)
    invoke(*command, *(["--keep-allocator-environment"] if keep else []))
    seen = {job.allocator.environment.get("GLIBC_TUNABLES") for job in executor.jobs
            if job.allocator.config.get("arena_max")}  # fmt: skip
    own = "glibc.malloc.arena_max=2"
    assert seen == {f"{EXPORTED['GLIBC_TUNABLES']}:{own}" if keep else own}
    others = {job.allocator.environment.get("MALLOC_ARENA_MAX") for job in executor.jobs}
    assert others == {"1" if keep else None}
    for path in Path("out").glob("*/run.json"):
        assert json.loads(path.read_text())["environment"]["tuning"] == (EXPORTED if keep else {})


CLAIM_OF_LIBC = """
title = "A promise"
source = "its README"
[[claim]]
id = "one"
text = "libc makes few calls."
source = "its README"
[claim.check]
form = "count"
allocator = "libc?arena_max=2"
scenario = "phase-report?allocations=5"
metric = "syscalls.operation"
equals = 0
"""


def test_list_says_how_settings_are_passed_and_what_each_is(invoke: Invoke) -> None:
    text = invoke("list", "-a", "jemalloc?narenas=1").output
    assert "settings: narenas=1\n" in text
    assert "environment: MALLOC_CONF=narenas:1\n" in text
    assert "settings by: MALLOC_CONF=KEY:VALUE,KEY:VALUE\n" in text
    assert "    background_thread: threads of its own return pages" in text
    text = invoke("list", "allocators", "-v").output
    assert "settings by: TCMALLOC_KEY=VALUE\n" in text


def test_every_option_of_run_either_goes_with_resume_or_is_refused_with_it() -> None:
    """A new option must be sorted into one of the two."""
    names = {parameter.name for parameter in main.commands["run"].params}
    refused = {"allocators", "scenarios", "sweep", "probes", "rounds", "quick", "time_budget_s"}
    refused |= {"seed", "timeout_s", "syscall_backend", "out", "label"}
    refused |= {"mode", "touch", "cache_sim"}
    refused |= {
        "program",
        "cflags",
        "check_every",
        "keep_failed",
        "keep_profiles",
        "keep_allocator_environment",
    }
    assert {field.name for field in fields(RunOptions)} == refused
    with_program = {f"program_{name}" for name in ("name", "env", "folder", "stdin")}
    shown = {"resume", "json_path", "with_report", "quiet", "strict", "verbose"}
    assert names - refused == shown | with_program


def test_a_partial_run_can_be_shown_and_says_that_it_is_partial(
    invoke: Invoke, broken: Path
) -> None:
    text = " ".join(invoke("report", broken).output.split())
    assert "report: " in text
    report = (broken / "report.md").read_text().replace("\\", "")
    assert f"partial: 3 of 8 processes; continue with allocphase run --resume {broken}" in report
    assert "partial: 3 of 8 processes" in (broken / "report.html").read_text()


def test_the_floor_alone_is_nothing_to_measure_and_that_is_said(
    invoke: Invoke, executor: FakeExecutor, tmp_path: Path
) -> None:
    line = complaint(invoke("run", "-a", "null", *SMALL), 5)
    assert line.startswith("null is the floor, ")
    assert line.endswith("name an allocator to measure, such as -a libc")
    assert executor.jobs == []
    assert not (tmp_path / "out").exists()


def test_ctrl_c_where_nothing_is_measured_is_exit_code_130(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("allocphase.commands.listing.allocators", interrupted)
    assert invoke("list", "allocators").exit_code == 130


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143), (1, 129)])
def test_a_signal_keeps_and_shows_what_is_finished(
    invoke: Invoke, executor: FakeExecutor, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    """The exit code is the shell's, and the way to go on is on one line."""

    def answer(job: Job) -> Outcome:
        if job.id == 2:
            os.kill(os.getpid(), number)
        return good(job)

    monkeypatch.setattr(executor, "_answer", answer)
    monkeypatch.setattr(executor, "stop", lambda _: None, raising=False)
    monkeypatch.setattr("allocphase.interruption._leave_terminal", lambda: None)
    probes = ["-p", "throughput", "-p", "syscalls"]
    result = invoke("run", "-a", "libc", "-s", SMALL[1], "-r", "9", *probes)
    assert result.exit_code == code
    (folder,) = Path("out").iterdir()
    # As many were under way as there are CPUs.
    (finished,) = re.findall(r"^partial: ([234]) of 22 processes; ", result.stderr, re.MULTILINE)
    partial = f"partial: {finished} of 22 processes"
    line = f"{partial}; continue with allocphase run --resume {folder}"
    assert line in result.stderr.splitlines()
    assert partial in result.stdout
    assert "phase-report" in result.stdout
    assert (folder / "results.csv").is_file()
    assert not (folder / "traces").exists()


# ---- Shares ------------------------------------------------------------------------------

GATED = ("gate", "--baseline", "phase21", "--candidate", "phase3", "-s", "phase-report")


@pytest.mark.parametrize(
    "words",
    [
        (*GATED, "--theta", "3"),
        (*GATED, "--memory-theta", "3"),
        (*GATED, "--limit", "time=3"),
        ("selftest", "--theta", "3"),
        ("tune", "-a", "libc", "-s", "phase-report", "--theta", "3"),
        ("compare", "somewhere", "--theta", "3"),
        ("compare", "somewhere", "--memory-theta", "3"),
    ],
)
def test_a_share_without_its_sign_is_refused_with_what_was_meant(
    invoke: Invoke, words: tuple[str, ...]
) -> None:
    result = invoke(*words)
    assert result.exit_code == 2
    assert "with a % or below 1: 3% or 0.03?" in result.stderr


def test_so_is_one_in_a_file_of_limits(invoke: Invoke) -> None:
    Path("gate.toml").write_text('limits = ["time=3"]', encoding="utf-8")
    assert "3% or 0.03?" in complaint(invoke(*GATED, "--limits", "gate.toml"), 2)


# ---- What a command is to write ----------------------------------------------------------

MEASURING = {
    "run": ("run", "-a", "libc", *SMALL),
    "gate": GATED,
    "claims": ("claims", "phase-report"),
    "selftest": ("selftest", "--quick"),
    "tune": ("tune", "-a", "phase2?objects_per_slab=1,8", "-s", "phase-report"),
    "export": ("export", "somewhere", "--to", "csv"),
}
TARGETS = [
    (command, option)
    for command in ("run", "gate", "claims", "selftest", "tune", "validate", "compare", "export")
    for option in ("--json", "--junit", "--csv", "--export-markdown", "--output")
    if option in {flag for each in main.commands[command].params for flag in each.opts}
]


def test_every_command_with_a_target_is_tried_here() -> None:
    """A path that is written is an option with PATH|- for its value."""
    there = [
        (name, option.opts[0])
        for (name, *_) in commands()[1:]
        for option in main.commands[name].params
        if option.metavar == "PATH|-"
    ]
    assert sorted(set(there)) == sorted(TARGETS)


@pytest.mark.parametrize("kind", ["no folder", "no permission", *STRANGE])
@pytest.mark.parametrize(("command", "option"), TARGETS)
def test_a_target_that_cannot_be_written_is_found_before_anything_is_measured(
    invoke: Invoke, executor: FakeExecutor, command: str, option: str, kind: str
) -> None:
    target = Path("none/target" if kind == "no folder" else "target")
    if kind == "no permission":
        target = Path("/proc/self/target")
    elif kind != "no folder":
        STRANGE[kind](target)
    words = MEASURING.get(command, (command, "somewhere"))
    with in_time(20.0):
        line = complaint(invoke(*words, option, target), 2)
    assert line.startswith(f"{target}: cannot be written: ")
    assert executor.jobs == []
    assert not Path("out").exists()


def test_a_target_may_be_the_first_thing_in_the_folder_of_runs(invoke: Invoke) -> None:
    result = invoke("run", "-a", "libc", *SMALL, "-p", "verify", "--json", "out/new/cells.json")
    assert result.exit_code == 0
    assert json.loads(Path("out/new/cells.json").read_text())["schema"] == 1


@pytest.mark.parametrize("kind", STRANGE)
def test_so_is_a_step_summary_that_is_no_file(
    invoke: Invoke, executor: FakeExecutor, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    STRANGE[kind](Path("summary"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary")
    with in_time(20.0):
        assert complaint(invoke(*GATED), 2).startswith("summary: cannot be written: ")
    assert executor.jobs == []


def test_so_is_the_place_of_a_baseline(invoke: Invoke, executor: FakeExecutor) -> None:
    Path(".allocphase/baselines/main.json").mkdir(parents=True)
    line = complaint(invoke("baseline", "save", "main", "-a", "libc"), 2)
    assert line == ".allocphase/baselines/main.json: cannot be written: Is a directory"
    assert executor.jobs == []


def test_a_target_that_is_a_link_is_left_as_it_is(invoke: Invoke) -> None:
    """A branch that CI checks out may have one where the workflow writes its results."""
    Path("hers").write_text("hers")
    Path("cells.json").symlink_to("hers")
    line = complaint(invoke("run", "-a", "libc", *SMALL, "--json", "cells.json"), 2)
    assert line == "cells.json: cannot be written: is a link, and none is followed here"
    assert Path("hers").read_text() == "hers"


@pytest.mark.parametrize("name", ["results.csv", "report.html", "report.md"])
def test_a_run_that_is_gone_on_with_finds_what_lies_in_the_way_of_its_files(
    invoke: Invoke, executor: FakeExecutor, broken: Path, name: str
) -> None:
    (broken / name).symlink_to("/dev/null")
    line = complaint(invoke("run", "--resume", broken, "--report"), 2)
    assert line.startswith(f"{broken / name}: cannot be written: is a link")
    assert executor.jobs == []


# ---- Cells that failed -------------------------------------------------------------------


@pytest.fixture
def failing(executor: FakeExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """libc crashes under verify; nothing else does."""

    def answer(job: Job) -> Outcome:
        if job.allocator.name == "libc" and job.probe is Probe.VERIFY:
            return Outcome(status=Status.CRASHED, message="killed by SIGSEGV", wall_s=1.0)
        return good(job)

    monkeypatch.setattr(executor, "_answer", answer)


TWO = ("run", "-a", "libc", "-a", "phase21", *SMALL, "-p", "verify", "-p", "memory")
FAILED = "1 of 2 cells failed: libc on phase-report?allocations=5 (crashed)"


@pytest.mark.usefixtures("failing")
def test_a_run_whose_cells_failed_says_so_in_its_last_line(invoke: Invoke) -> None:
    result = invoke(*TWO)
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == f"{FAILED}; exit code 0, which --strict makes 5"


@pytest.mark.usefixtures("failing")
def test_and_ends_with_5_if_it_is_to_be_strict(invoke: Invoke) -> None:
    result = invoke(*TWO, "--strict", "--json", "cells.json")
    assert result.exit_code == 5
    assert result.stderr.splitlines()[-1] == f"allocphase: {FAILED}"
    assert Path("cells.json").exists()


def test_a_strict_run_without_a_failure_ends_with_0(invoke: Invoke) -> None:
    result = invoke(*TWO, "--strict")
    assert result.exit_code == 0
    assert "failed" not in result.stderr

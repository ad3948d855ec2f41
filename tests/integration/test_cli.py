"""The installed command on the real thing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import allocphase
from allocphase import __version__
from allocphase.allocator import Allocator
from allocphase.machine.fingerprint import driver_sha256
from tests.support.plugins import ROOT

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def command(folder: Path) -> Command:
    """The `allocphase` beside this interpreter, run in an empty folder."""
    program = Path(sys.executable).with_name("allocphase")
    variables = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}

    def call(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(program), *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd or folder,
            timeout=300,
            env=variables,
        )

    return call


def run_directory(done: subprocess.CompletedProcess[str], folder: Path) -> Path:
    found = re.search(r"^run directory: (.+)$", done.stderr, re.MULTILINE)
    assert found is not None, done.stderr
    return folder / found[1]


@pytest.fixture(scope="module")
def everything(command: Command) -> subprocess.CompletedProcess[str]:
    """Two allocators, one scenario, every probe, two rounds."""
    what = ["-a", "phase2", "-a", "libc", "-s", "phase-report", "--rounds", "2", "--json", "-"]
    done = command("run", *what)
    assert done.returncode == 0, done.stderr
    return done


# ---- run ---------------------------------------------------------------------------------


def test_one_command_shows_what_the_phase_report_says_of_system_calls(command: Command) -> None:
    what = ["-a", "phase2", "-a", "phase21", "-s", "phase-report"]
    done = command("run", *what, "--probe", "syscalls", "--json", "-")
    assert done.returncode == 0, done.stderr
    phase2, phase21 = json.loads(done.stdout)["cells"]
    assert phase2["metrics"]["syscalls"]["operation"] == {"mmap": 1000, "munmap": 1000}
    assert phase2["metrics"]["syscalls_per_op"] == 1.0
    assert phase21["metrics"]["syscalls"]["operation"] == {}
    assert phase21["metrics"]["syscalls"]["init"] == {"mmap": 1}
    assert phase21["metrics"]["allocator_stats"]["pool_hit_rate"] == 1
    assert phase21["metrics"]["allocator_stats"]["pool_misses"] == 0


PERCENTILES = {"p50", "p90", "p99", "p99_9", "p99_99", "max"}
NUMBERS = {
    "time_per_op_ns",
    "syscalls_per_op",
    "page_faults",
    "peak_rss_bytes",
    "peak_live_bytes",
    "peak_mapped_bytes",
    "fragmentation",
    "floor_ns",
}


def test_the_json_document_has_the_schema(everything: subprocess.CompletedProcess[str]) -> None:
    document = json.loads(everything.stdout)
    assert document["schema"] == 1
    assert {"allocphase", "cpu", "kernel", "libc", "aslr"} <= set(document["environment"])
    assert [cell["allocator"] for cell in document["cells"]] == ["phase2", "libc"]
    for cell in document["cells"]:
        assert set(cell) >= {"allocator", "scenario", "status", "metrics", "warnings"}
        assert (cell["scenario"], cell["status"]) == ("phase-report", "ok")
        check_metrics(cell["metrics"])
    assert document["cells"][0]["metrics"]["allocator_stats"]["slabs_made"] == 1000


def check_metrics(metrics: dict[str, Any]) -> None:
    assert {name for name in NUMBERS if type(metrics[name]) in (int, float)} == NUMBERS
    assert metrics["time_per_op_ns"] > 0
    assert metrics["floor_ns"] > 0
    assert metrics["peak_live_bytes"] == 201_000
    for name, passes in (("cold_latency_ns", 1), ("latency_ns", 50)):
        assert set(metrics[name]) == {"malloc", "free"}
        for values in metrics[name].values():
            assert set(values) >= PERCENTILES
            assert values["samples"] == 2000 * passes
            assert 0 < values["p50"] <= values["p90"] <= values["p99"] <= values["max"]
            assert (values["p99_9"] is None) == (passes == 1)  # two calls lie above it
    assert set(metrics["syscalls"]) == {"init", "operation", "teardown"}
    assert metrics["verified"] is True


def test_a_run_can_be_loaded_and_its_operations_joined(
    everything: subprocess.CompletedProcess[str], folder: Path
) -> None:
    run = allocphase.load(run_directory(everything, folder))
    assert run.allocators == ["phase2", "libc"]
    assert set(run.processes["status"]) == {"ok"}
    # two rounds of two timed probes for three allocators; for two, four processes of each probe
    # that counts, and one of the two others
    assert len(run.processes) == 2 * 2 * 3 + (3 * 4 + 2) * 2
    operations = run.operations_of("phase2", "phase-report")
    assert operations["syscalls"].tolist() == [1] * 2000
    assert set(operations["cause"]) <= {"system call", "waited"}
    assert (operations["latency_ns"] > 0).all()
    names = operations.groupby("kind", observed=True)["syscall_names"].unique()
    assert {kind: list(found) for kind, found in names.items()} == {
        "malloc": ["mmap"],
        "free": ["munmap"],
    }


def test_results_csv_has_the_cells(
    everything: subprocess.CompletedProcess[str], folder: Path
) -> None:
    lines = (run_directory(everything, folder) / "results.csv").read_text().splitlines()
    columns = lines[0].split(",")
    assert columns[:3] == ["allocator", "scenario", "status"]
    assert {"time_per_op_ns", "latency_ns.malloc.p99", "floor_ns"} <= set(columns)
    assert [line.split(",")[0] for line in lines[1:]] == ["phase2", "libc"]


def test_a_journal_that_was_torn_off_loses_its_last_process_only(
    everything: subprocess.CompletedProcess[str], folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "torn"
    whole = run_directory(everything, folder)
    shutil.copytree(whole, copy)
    journal = copy / "processes.jsonl"
    journal.write_bytes(journal.read_bytes()[:-10])
    assert len(allocphase.load(copy).processes) == len(allocphase.load(whole).processes) - 1


def test_an_own_source_is_compiled_and_measured_beside_the_others(
    command: Command, tmp_path: Path
) -> None:
    header = command("abi").stdout.strip()
    assert Path(header).name == "allocphase.h"
    for name in ("calls.c", "arena.h"):
        shutil.copy(ROOT / "tests" / "c" / name, tmp_path / name)
    shutil.copy(ROOT / "driver" / "os.h", tmp_path / "os.h")
    what = ["-a", "mine=calls.c?getpids=2", "-s", "phase-report", "-p", "syscalls", "-p", "verify"]
    done = command("run", *what, "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["allocator"] == "mine"
    assert cell["metrics"]["syscalls"]["operation"] == {"getpid": 2000}
    assert cell["warnings"] == [
        "aligned_alloc, calloc, realloc: absent, emulated by the driver from malloc and free"
    ]


def test_a_preload_of_the_users_own_is_measured_as_what_it_is(
    command: Command, installed: Callable[[str], Allocator]
) -> None:
    library = installed("jemalloc").path
    what = ["-a", f"mine={library}", "-s", "phase-report?allocations=50", "-p", "verify"]
    done = command("run", *what, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cells"][0]["status"] == "ok"


def test_a_preload_that_serves_nothing_is_nothing_measured(
    command: Command, tmp_path: Path
) -> None:
    source = tmp_path / "empty.c"
    source.write_text("int nothing;\n")
    library = tmp_path / "libempty.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    done = command("run", "-a", f"mine={library}", "-s", "phase-report", "-r", "1", "--json", "-")
    assert done.returncode == 5
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["status"] == "wrong-allocator"
    assert "malloc is served by " in cell["message"]
    assert "Traceback" not in done.stderr


def test_one_crashing_allocator_does_not_cost_the_others_their_cells(
    command: Command, tmp_path: Path
) -> None:
    for name in ("ends.c", "arena.h"):
        shutil.copy(ROOT / "tests" / "c" / name, tmp_path / name)
    shutil.copy(ROOT / "driver" / "os.h", tmp_path / "os.h")
    what = ["-a", "bad=ends.c?way=segv&in=free", "-a", "libc", "-s", "phase-report", "-r", "1"]
    done = command("run", *what, "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    bad, libc = json.loads(done.stdout)["cells"]
    assert bad["status"] == "crashed"
    assert "killed by SIGSEGV" in bad["message"]
    assert libc["status"] == "ok"


# ---- report, list, doctor, abi -----------------------------------------------------------


def test_a_report_is_one_file_and_a_png_for_each_figure(
    everything: subprocess.CompletedProcess[str], command: Command, folder: Path
) -> None:
    path = run_directory(everything, folder)
    done = command("report", path)
    assert done.returncode == 0, done.stderr
    report = Path(done.stdout.strip().removeprefix("report: "))
    assert report == path / "report.html"
    assert "phase2" in report.read_text()
    assert len(list(path.rglob("*.png"))) >= 5


def test_the_doctor_tries_both_backends_and_names_every_allocator(command: Command) -> None:
    done = command("doctor")
    assert done.returncode == 0, done.stderr
    findings = {line[8:28].strip(): line[:8].strip() for line in done.stdout.splitlines()}
    assert set(findings.values()) <= {"ok", "note", "missing"}
    assert {"machine", "clock", "syscalls: dispatch", "syscalls: ptrace", "memory"} <= set(findings)
    assert {"libc", "jemalloc", "phase21"} <= set(findings)
    assert findings["libc"] == findings["phase21"] == "ok"


def test_lists_go_to_stdout(command: Command) -> None:
    done = command("list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "phase21" in done.stdout
    assert "random-churn" in done.stdout


def test_the_header_that_abi_names_compiles_a_plug_in(command: Command, tmp_path: Path) -> None:
    """The command line of the help, word for word but for the names of files."""
    help_text = command("abi", "--help").stdout
    line = next(line.strip() for line in help_text.splitlines() if line.strip().startswith("cc "))
    source = tmp_path / "mine.c"
    source.write_text(
        "#include <allocphase.h>\n"
        "const struct allocphase_allocator *allocphase_plugin(void) { return NULL; }\n"
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(["sh", "-ec", line], cwd=tmp_path, env={**os.environ, "PATH": path})
    assert done.returncode == 0
    assert (tmp_path / "mine.so").is_file()


@pytest.mark.parametrize("arguments", [["run", "-a", "phase22"], ["report", "nowhere"]])
def test_an_error_is_one_line_and_no_traceback(command: Command, arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("allocphase: ")
    assert done.stderr.count("\n") == 1


def test_the_version_tells_the_driver_the_interface_and_the_schemas(command: Command) -> None:
    assert command("--version").stdout == f"allocphase, version {__version__}\n"
    assert command("-V").stdout == command("--version").stdout
    found = json.loads(command("--version", "--json").stdout)
    assert command("--json", "--version").stdout == json.dumps(found, indent=2) + "\n"
    assert (found["version"], found["driver_sha256"]) == (__version__, driver_sha256())
    assert (found["abi"], found["schemas"]["trace"]) == (1, 3)
    alone = command("--json", "list")
    assert alone.returncode == 2
    assert "--json goes with --version here" in alone.stderr

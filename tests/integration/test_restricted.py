"""Without privileges: an ordinary user, a container's filter, a root that is read-only.

What is lost is said, by `doctor` and beside the figures; all the rest is measured.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.plugins import ROOT
from tests.support.restricted import read_only_prefix

CLI = [sys.executable, "-m", "allocphase.cli"]
SCENARIO = "phase-report"
TIMEOUT_S = 120.0
METRICS = {"time_per_op_ns", "latency_ns", "syscalls", "peak_rss_bytes"}

PLUGIN = """
#include <allocphase.h>
#include <stdlib.h>
static int init(const struct allocphase_config *config) { return config ? 0 : 22; }
static void fini(void) {}
static const struct allocphase_allocator table = {
    .abi_version = ALLOCPHASE_ABI_VERSION,
    .init = init, .fini = fini, .malloc = malloc, .free = free};
const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
"""

Done = subprocess.CompletedProcess[str]


def start(before: Sequence[str], *arguments: str, **variables: str) -> Done:
    """The command, with `before` in front of it; `variables` go into its environment."""
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    command = [*before, *CLI, *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**environment, **variables},
        cwd=ROOT,
    )


def measured(before: Sequence[str], out: Path, allocator: str = "libc") -> dict[str, Any]:
    """The one cell of a short run."""
    arguments = ["run", "-a", allocator, "-s", SCENARIO, "--rounds", "1"]
    done = start(before, *arguments, "--out", str(out), "--json", "-")
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["status"] == "ok"
    return dict(cell)


def examined(before: Sequence[str]) -> Mapping[str, str]:
    """What doctor says of each subject: its level."""
    done = start(before, "doctor")
    assert done.returncode == 0, done.stderr
    return {line[8:28].strip(): line[:8].strip() for line in done.stdout.splitlines()}


# ---- A filter of system calls ------------------------------------------------------------


@pytest.fixture(scope="module")
def confine(tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None]) -> str:
    """tests/c/confine.c as a program."""
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    program = tmp_path_factory.mktemp("confine") / "confine"
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o", str(program)]
    subprocess.run(["cc", *flags, str(ROOT / "tests" / "c" / "confine.c")], check=True)
    return str(program)


def test_in_a_container_s_filter_only_the_fixed_addresses_are_lost(
    confine: str, tmp_path: Path
) -> None:
    """No performance counters either: nothing rests on them."""
    before = [confine, "--"]
    cell = measured(before, tmp_path)
    assert set(cell["metrics"]) >= METRICS
    assert cell["metrics"]["syscall_backend"] == "dispatch"
    lost = [line for line in cell["warnings"] if "not to be had here" in line]
    assert len(lost) == 1
    assert "fixed addresses" in lost[0]
    levels = examined(before)
    assert levels["fixed addresses"] == "missing"
    assert {levels[name] for name in ("clock", "memory", "syscalls: dispatch")} == {"ok"}
    assert levels["pinning to a CPU"] == "ok"


def test_where_system_calls_cannot_be_seen_the_rest_is_measured(
    confine: str, tmp_path: Path
) -> None:
    before = [confine, "without", "ptrace", "without", "dispatch", "without", "affinity", "--"]
    cell = measured(before, tmp_path)
    assert set(cell["metrics"]) >= METRICS - {"syscalls"}
    assert "syscalls" not in cell["metrics"]
    text = "\n".join(cell["warnings"])
    for lost in ("fixed addresses", "pinning to a CPU", "system calls: ptrace is not permitted"):
        assert lost in text
    levels = examined(before)
    missing = {name for name, level in levels.items() if level == "missing"}
    assert missing >= {"syscalls: dispatch", "syscalls: ptrace", "pinning to a CPU"}
    assert {levels[name] for name in ("clock", "memory")} == {"ok"}


def test_where_ends_of_threads_cannot_be_seen_their_replay_is_refused_and_does_not_hang(
    confine: str, tmp_path: Path
) -> None:
    before = [confine, "without", "robust", "--"]
    ended, standing = (f"{name}?threads=2" for name in ("larson", "xmalloc"))
    command = ["-a", "libc", "-s", ended, "-s", standing, "-p", "verify", "--rounds", "1"]
    done = start(before, "run", *command, "--out", str(tmp_path), "--json", "-")
    cells = {cell["scenario"]: cell for cell in json.loads(done.stdout)["cells"]}
    assert cells[standing]["status"] == "ok"
    assert cells[ended]["status"] == "unsupported"
    assert "the ends of the trace's threads cannot be seen here" in cells[ended]["message"]


def test_where_ptrace_is_not_permitted_a_program_s_other_figures_are_measured(
    confine: str, tmp_path: Path
) -> None:
    before = [confine, "without", "ptrace", "--"]
    command = ["-a", "libc", "--program", "true", "--rounds", "1", "--out", str(tmp_path)]
    done = start(before, "run", *command, "--json", "-")
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["status"] == "ok"
    assert cell["metrics"]["wall_time_ns"] > 0
    assert cell["metrics"]["program_peak_rss_bytes"] > 0
    assert "program_syscalls" not in cell["metrics"]
    expected = "system calls: ptrace is not permitted here (program_syscalls)"
    assert expected in "\n".join(cell["warnings"])
    assert examined(before)["program syscalls"] == "missing"
    assert examined([])["program syscalls"] == "ok"


def test_where_ptrace_is_not_permitted_a_gate_of_programs_leaves_system_calls_out(
    confine: str, tmp_path: Path
) -> None:
    arms = ["--baseline", "libc", "--candidate", "libc", "--program", "true"]
    arms += ["--limit", "wall=off", "--limit", "cpu=off"]
    done = start([confine, "without", "ptrace", "--"], "gate", *arms, "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    told = " ".join(done.stdout.split())
    assert "true: system calls are not gated: " in told
    assert "ptrace is not permitted here" in told


# ---- Users -------------------------------------------------------------------------------


def test_an_ordinary_user_without_a_home_loses_nothing(
    tmp_path: Path, needs: Callable[..., None]
) -> None:
    """Somebody in a user namespace has no capability outside of it, and no name."""
    before = [] if os.geteuid() else ["unshare", "--user"]
    possible = not before or subprocess.run([*before, "true"], capture_output=True).returncode == 0
    needs(possible, "user namespaces", install="sysctl user.max_user_namespaces=1000")
    source = tmp_path / "mine.c"
    source.write_text(PLUGIN, encoding="utf-8")
    cell = measured(before, tmp_path / "out", f"mine={source}")
    assert set(cell["metrics"]) >= METRICS
    assert not [line for line in cell["warnings"] if "not to be had here" in line]
    (run,) = (tmp_path / "out").iterdir()
    assert json.loads((run / "run.json").read_text())["environment"]["user"] == "ordinary"


def test_root_without_any_capability_is_enough(tmp_path: Path, needs: Callable[..., None]) -> None:
    needs(os.geteuid() == 0, "root", install="run as root")
    drop = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"]
    needs(shutil.which("setpriv"), "setpriv", install="apt-get install util-linux")
    cell = measured(["setpriv", *drop], tmp_path)
    assert set(cell["metrics"]) >= METRICS
    assert not [line for line in cell["warnings"] if "not to be had here" in line]


# ---- A read-only root --------------------------------------------------------------------


@pytest.fixture(scope="module")
def read_only(needs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Goes in front of a folder and a command: only that folder can be written then."""
    return read_only_prefix(needs, tmp_path_factory.mktemp("trial"))


def test_with_a_read_only_root_a_run_and_its_report_need_no_more_than_their_folder(
    read_only: list[str], tmp_path: Path
) -> None:
    run = f"run -a libc -s '{SCENARIO}' --rounds 1 --quick --report --out {tmp_path}"
    mine = f"run -a mine={ROOT / 'tests' / 'c' / 'empty.c'} --out {tmp_path}"
    cli = " ".join(CLI)
    script = f"{cli} {run} 2>&1; echo code $?; {cli} {mine} 2>&1; echo code $?"
    script += f"; {cli} doctor; touch {ROOT}/x; find {tmp_path} -type f"
    done = subprocess.run(
        [*read_only, str(tmp_path), "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=ROOT,
    )
    first, second, rest = done.stdout.split("code ", 2)
    assert second.startswith("0\n"), first
    assert "report: " in first
    assert "no folder to compile into can be written: set XDG_CACHE_HOME" in second
    assert "Traceback" not in done.stdout
    assert "missing temporary folder" in rest
    assert "set TMPDIR" in rest
    assert "Read-only file system" in done.stderr  # touch's: it was read-only
    names = {Path(line).name for line in rest.splitlines() if line.startswith(str(tmp_path))}
    assert names >= {"run.json", "report.html", "report.md", "processes.jsonl"}
    assert any(name.endswith(".png") for name in names)
    assert not [name for name in names if "font" in name]

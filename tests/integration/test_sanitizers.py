"""The driver's own C under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from allocphase import scenario, trace
from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.trace.records import Kind, Touch
from tests.support.plugins import ROOT, Plugins
from tests.support.traces import batch, free, malloc, tags, write_trace

FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
SMALL = ["random-churn?operations=2000", "realloc-growth?operations=1000"]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, needs: object) -> Path:
    """A build folder with the driver and phase21, sanitized; the compiler warns of nothing."""
    assert callable(needs)
    needs(shutil.which("cmake"), "cmake", install="apt-get install cmake")
    folder = tmp_path_factory.mktemp("sanitized")
    configure = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DCMAKE_BUILD_TYPE=Debug"]
    subprocess.run([*configure, f"-DCMAKE_C_FLAGS={FLAGS}"], check=True, capture_output=True)
    targets = ["--target", "allocphase-driver", "phase21"]
    subprocess.run(["cmake", "--build", str(folder), "-j2", *targets], check=True)
    return folder


@pytest.fixture(scope="module", params=[*SMALL, "kinds", "threads"])
def workload(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenarios, and two hand-written traces: of every kind of operation, and of threads."""
    path = tmp_path_factory.mktemp("traces") / "workload.trace"
    if request.param == "kinds":
        ops = [malloc(0, 9), (Kind.CALLOC, 1, 70, 0, 0), (Kind.ALIGNED_ALLOC, 2, 33, 9, 0)]
        ops += [malloc(3, 40, tag=1), (Kind.FREE_FOREIGN, 3, 0, 0, 2), (Kind.WRITE, 1, 5, 0, 0)]
        ops += [(Kind.REALLOC, 0, 9000, 0, 0), free(3, tag=1), free(2), free(1), free(0)]
        table = tags((1, 1, 0.5), (1, 2, 0.5))
        write_trace(path, ops, touch=Touch.PAGES, tag_table=table, build_ops=4, drain_ops=4)
        return path
    if request.param == "threads":
        ops = batch(300)
        thread = [slot % 3 for _, slot, *_ in ops[:300]] + [0] * 300
        return write_trace(path, ops, touch=Touch.ALL, thread=thread)
    trace.write(scenario.generate(scenario.resolve(request.param)[0]), path)
    return path


def run_clean(driver: Path, out: Path, arguments: Sequence[str], status: str = "ok") -> None:
    command = [str(driver), "--out", str(out), *arguments, "--pass-ns", "1"]
    # The sanitizer must not take SIGSYS or SIGSEGV for itself: the first is a backend's tool.
    options = {"ASAN_OPTIONS": "detect_leaks=0:handle_segv=0:abort_on_error=1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, **options}
    )
    assert not done.stderr, done.stderr
    assert done.returncode == 0
    assert f'"status":"{status}"' in (out / "result.json").read_text()


@pytest.mark.parametrize("subject", ["phase21", "libc"])
@pytest.mark.parametrize("probe", list(TRACE_PROBES))
def test_every_probe_is_clean(
    build: Path, plugins: Plugins, workload: Path, tmp_path: Path, subject: str, probe: Probe
) -> None:
    path = plugins("libc") if subject == "libc" else build / "phase21.so"
    arguments = ["--trace", str(workload), "--probe", probe.value, "--plugin", str(path)]
    run_clean(build / "allocphase-driver", tmp_path, arguments)


@pytest.mark.parametrize(
    "options",
    [
        ["--probe", "latency", "--raw-ops", "10"],
        ["--probe", "syscalls", "--syscall-backend", "ptrace"],
        ["--probe", "syscalls", "--syscall-backend", "mark"],
        ["--probe", "memory", "--checkpoints", "3"],
        ["--probe", "verify", "--check-every", "1", "--cpu", "0"],
        ["--probe", "verify", "--fixed-addresses", "1", "--set", "pool_bytes=65536"],
    ],
)
def test_every_other_way_through_a_probe_is_clean(
    build: Path, workload: Path, tmp_path: Path, options: list[str]
) -> None:
    plugin = str(build / "phase21.so")
    arguments = ["--trace", str(workload), "--plugin", plugin, *options]
    run_clean(build / "allocphase-driver", tmp_path, arguments)


@pytest.mark.parametrize(
    ("name", "setting", "status"),
    [
        ("broken", "fault=misalign", "corrupt"),
        ("broken", "fault=check", "corrupt"),
        ("empty", "none=0", "unsupported"),
        ("calls", "mmaps=1", "ok"),
    ],
)
def test_every_early_end_is_clean(
    build: Path, plugins: Plugins, tmp_path: Path, name: str, setting: str, status: str
) -> None:
    path = write_trace(tmp_path / "t", batch(20))
    arguments = ["--trace", str(path), "--probe", "verify", "--plugin", str(plugins(name))]
    run_clean(build / "allocphase-driver", tmp_path, [*arguments, "--set", setting], status)


def test_an_error_is_not_overlooked(build: Path, plugins: Plugins, tmp_path: Path) -> None:
    """On a plug-in that does damage: so what passes above has been looked at."""
    path = write_trace(tmp_path / "t", batch(2, size=8))
    short = str(plugins("libc", "SHORT"))
    arguments = ["--trace", str(path), "--probe", "verify", "--plugin", short]
    with pytest.raises(AssertionError, match="AddressSanitizer: heap-buffer-overflow"):
        run_clean(build / "allocphase-driver", tmp_path, arguments)

"""The processor's counters, or why there are none; the same group with events of the kernel's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.allocator import resolve
from allocphase.probe.counter_group import HARDWARE_COUNTERS, passes_of, refusal
from allocphase.probe.probe import Probe
from allocphase.probe.result import Hardware
from tests.support.driving import Driver
from tests.support.plugins import ROOT, Plugins, plugin
from tests.support.traces import made_trace

SPEC = "random-churn?live=10&operations=200"
PAGES = 3


@pytest.mark.parametrize("spec", [SPEC, "larson?threads=2&slots=20&replacements=200"])
def test_a_group_counts_what_warm_passes_do_in_all_threads(
    driver: Driver, tmp_path: Path, plugins: Plugins, spec: str
) -> None:
    """Page faults, which are known to the unit: each malloc touches new pages."""
    path = made_trace(spec, tmp_path)
    subject = plugin(plugins("pages"), pages=str(PAGES), touch="1", release="1")
    outcome = driver.measure(
        Probe.HARDWARE, path, subject, software_counters=1, pass_ns=2_000_000, passes=3
    )
    part = outcome.result.part(Hardware)
    assert set(part.events) == {"task_clock", "page_faults", "minor_faults"}
    passes = passes_of(part.readings, part.events)
    assert len(passes) == 3
    assert refusal(passes) == ""
    repeated = outcome.result.repeated_operations * part.replays_per_pass
    for one in passes:
        # Every second operation is a malloc.
        assert one.counts["page_faults"] == pytest.approx(PAGES * repeated / 2, rel=0.02)
        assert one.counts["task_clock"] > 0


def test_there_are_counters_or_a_reason(driver: Driver, tmp_path: Path) -> None:
    outcome = driver.measure(Probe.HARDWARE, made_trace(SPEC, tmp_path), resolve("libc")[0])
    part, why = outcome.result.part(Hardware), outcome.result.lacking(HARDWARE_COUNTERS)
    assert bool(part.events) != bool(why)
    assert set(part.events) <= {
        *("instructions", "cycles", "branch_misses", "l1d_misses", "ll_misses", "dtlb_misses")
    }


@pytest.fixture(scope="module")
def confine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("confine") / "confine"
    source = ROOT / "tests" / "c" / "confine.c"
    subprocess.run(["cc", "-o", str(program), str(source)], check=True)
    return program


@pytest.mark.parametrize(
    ("without", "why"),
    [
        ([], "perf_event_open is filtered by seccomp, as in a container (EPERM)"),
        (["without", "counters"], "not permitted: kernel.perf_event_paranoid is "),
    ],
)
def test_a_filter_and_a_lack_of_rights_are_told_apart(
    tmp_path: Path, confine: Path, without: list[str], why: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    command = [str(confine), *without, "--", str(resources.find("driver/allocphase-driver"))]
    command += ["--trace", str(made_trace(SPEC, tmp_path)), "--out", str(out)]
    subprocess.run([*command, "--probe", "hardware"], check=True)
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert result["status"] == "ok"
    (line,) = [text for text in result["lacks"] if text.startswith(HARDWARE_COUNTERS)]
    assert line.startswith(f"{HARDWARE_COUNTERS}: {why}")
    assert result["hardware"] == {
        "events": {},
        "left_out": {},
        "replays_per_pass": 0,
        "readings": [],
    }


def test_a_run_without_counters_is_no_failure_and_says_why(tmp_path: Path, confine: Path) -> None:
    command = [str(confine), "--", sys.executable, "-m", "allocphase.cli", "run"]
    asked = ["-a", "libc", "-s", SPEC, "--quick", "-p", "hardware", "-p", "memory", "--json", "-"]
    done = subprocess.run(
        [*command, *asked],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["status"] == "ok"
    assert "hardware_per_op" not in cell["metrics"]
    (told,) = [text for text in cell["warnings"] if HARDWARE_COUNTERS in text]
    assert told.startswith(f"not to be had here: {HARDWARE_COUNTERS}: perf_event_open is filtered")

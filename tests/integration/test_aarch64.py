"""The driver and every allocator of the collection on aarch64: by a cross compiler, under qemu.

What they do is what they do on this machine; how fast they are under an emulator says nothing. The
keeper is this machine's own. What an emulator cannot serve, the driver says.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from allocphase.allocator import Allocator, resolve
from allocphase.probe.probe import Probe
from allocphase.probe.result import Footprint, Hardware, Latency, Memory, Syscalls, Throughput
from allocphase.process.driver import DriverExecutor, Outcome
from allocphase.process.keeper import Command, Ending
from tests.support.driving import Driver
from tests.support.plugins import ROOT, plugin
from tests.support.sharing import Shared, made_once
from tests.support.traces import made_trace

COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"
SYSROOT = "/usr/aarch64-linux-gnu"
PLUGINS = ("phase1", "phase2", "phase21", "phase3", "original", "ariax")
SPECS = (
    "phase-report?allocations=300",
    "realloc-growth?operations=600",
    "aligned?live=50&replacements=400",
    "random-churn?live=100&operations=2000",
)
STANDING = "xmalloc?threads=2&batches=8&batch_objects=64"
ENDING = "larson?threads=2&slots=50&replacements=500"
TIMEOUT_S = 120.0


class Emulated(DriverExecutor):
    """Starts another machine's driver, whose clock is not the one that the keeper reads."""

    def contained(self, command: Command) -> Ending:
        return replace(super().contained(command), clock_hz=0.0)


@dataclass(frozen=True, slots=True)
class Machine:
    """Runs the driver of an aarch64 build."""

    build: Path

    def run(self, probe: Probe, trace: Path, name: str) -> Outcome:
        driver = Driver(trace.parent, Emulated(driver=self.build / "driver"))
        return driver.run(probe, trace, plugin(self.build / f"{name}.so"), timeout_s=TIMEOUT_S)

    def measure(self, probe: Probe, trace: Path, name: str) -> Outcome:
        outcome = self.run(probe, trace, name)
        assert outcome.status == "ok", outcome.message
        return outcome


def cross_built(folder: Path) -> None:
    """The project's own build, with no warning, and a driver that starts under the emulator."""
    settings = {
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": "aarch64",
        "CMAKE_C_COMPILER": COMPILER,
        "CMAKE_BUILD_TYPE": "Release",
    }
    cmake = [sys.executable, "-m", "cmake"]
    defined = [f"-D{name}={value}" for name, value in settings.items()]
    for step in (["-S", str(ROOT), "-B", str(folder), *defined], ["--build", str(folder)]):
        done = subprocess.run([*cmake, *step], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    started = folder / "driver"
    started.write_text(
        f'#!/bin/sh\nexec {EMULATOR} -L {SYSROOT} "${{0%/*}}/allocphase-driver" "$@"\n',
        encoding="ascii",
    )
    started.chmod(0o755)


@pytest.fixture(scope="module")
def machine(shared: Shared, needs: Callable[..., None]) -> Machine:
    packages = "gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
    for tool in (COMPILER, EMULATOR):
        needs(shutil.which(tool), tool, install=f"apt-get install {packages}")
    build = made_once(shared("aarch64") / "build", cross_built)
    return Machine(build)


def native(name: str) -> Allocator:
    return resolve(name)[0]


@pytest.fixture(params=SPECS)
def trace(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return made_trace(request.param, tmp_path)


@pytest.mark.parametrize("name", PLUGINS)
def test_every_block_of_every_allocator_is_right(machine: Machine, trace: Path, name: str) -> None:
    outcome = machine.run(Probe.VERIFY, trace, name)
    if outcome.status == "unsupported":  # of an allocator that has no realloc, here as there
        assert Driver(trace.parent).run(Probe.VERIFY, trace, native(name)).status == "unsupported"
        return
    assert outcome.status == "ok", outcome.message


def test_the_null_allocator_is_caught_there_too(machine: Machine, tmp_path: Path) -> None:
    trace = made_trace(SPECS[0], tmp_path)
    outcome = machine.run(Probe.VERIFY, trace, "null")
    assert outcome.status == "corrupt"
    assert outcome.message.startswith("block overlaps a live one at operation 1 ")


def told(outcome: Outcome) -> Mapping[str, object]:
    """What depends on the calls alone, and on no machine."""
    memory = outcome.result.part(Memory)
    return {
        "peak_live_bytes": memory.peak_live_bytes,
        "run_peak_live_bytes": memory.run_peak_live_bytes,
        "stats": outcome.result.allocator_stats,
    }


def test_what_does_not_depend_on_the_machine_is_the_same(
    machine: Machine, driver: Driver, trace: Path
) -> None:
    there = machine.measure(Probe.MEMORY, trace, "phase3")
    here = driver.measure(Probe.MEMORY, trace, native("phase3"))
    assert told(there) == told(here)
    assert told(there)["peak_live_bytes"] != 0


def test_each_operation_is_timed_with_its_own_counter(
    machine: Machine, driver: Driver, trace: Path
) -> None:
    there = machine.measure(Probe.LATENCY, trace, "phase3")
    here = driver.measure(Probe.LATENCY, trace, native("phase3"))
    assert there.arrays["call_ticks"].shape == here.arrays["call_ticks"].shape
    assert there.result.part(Latency).samples == here.result.part(Latency).samples
    assert there.result.clock is not None
    assert there.result.clock.hz > 0
    throughput = machine.measure(Probe.THROUGHPUT, trace, "phase3").result.part(Throughput)
    assert all(ns > 0 for ns in throughput.warm_ns_per_op)


@pytest.mark.parametrize("probe", [Probe.VERIFY, Probe.THROUGHPUT])
def test_two_threads_hand_over(machine: Machine, tmp_path: Path, probe: Probe) -> None:
    machine.measure(probe, made_trace(STANDING, tmp_path), "phase3")


def test_threads_whose_end_the_emulator_does_not_tell_are_refused(
    machine: Machine, tmp_path: Path
) -> None:
    outcome = machine.run(Probe.VERIFY, made_trace(ENDING, tmp_path), "phase3")
    assert outcome.status == "unsupported"
    assert "has no robust mutexes" in outcome.message


def test_a_footprint_has_its_curve(machine: Machine, tmp_path: Path) -> None:
    outcome = machine.measure(Probe.FOOTPRINT, made_trace(SPECS[0], tmp_path), "phase3")
    assert outcome.result.part(Footprint).rss_source


def test_what_an_emulator_cannot_serve_is_said_and_is_no_0(
    machine: Machine, tmp_path: Path
) -> None:
    trace = made_trace(SPECS[0], tmp_path)
    calls = machine.measure(Probe.SYSCALLS, trace, "phase2").result.part(Syscalls)
    assert calls.backend == "none"
    assert calls.operation is None
    hardware = machine.measure(Probe.HARDWARE, trace, "phase2").result.part(Hardware)
    assert hardware.events == {}

"""What disturbs a timed process: read off made-up kernel files, and once off the real ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from allocphase.analysis.warnings import cell_warnings
from allocphase.files.typed import plain
from allocphase.machine.disturbance import Disturbance, Snapshot, Watch
from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.probe.status import Status
from allocphase.process.driver import Outcome, TraceJob
from allocphase.process.watched import WatchingExecutor
from tests.support.runs import FakeExecutor, fake_allocator, good, process

# CPU seconds, whatever the length of a tick here.
TICKS = "cpu  {user} 200 300 9000 40 50 60 {steal} 7 8\ncpu0 1 1 1 1 1 1 1 1 1 1\n"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A made-up /proc and /sys."""

    folder: Path

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")

    def watch(self, cpus: Sequence[int] = (1,)) -> Watch:
        return Watch(cpus, proc=self.folder / "proc", sys=self.folder / "sys")


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    made = Kernel(tmp_path)
    made.write("proc/stat", TICKS.format(user=1000, steal=70))
    made.write("proc/vmstat", "nr_free_pages 5\npswpin 10\npswpout 20\npswpx 1\n")
    made.write("proc/pressure/memory", "some avg10=0.00 total=1500000\nfull avg10=0.00 total=9\n")
    cpu = "sys/devices/system/cpu/cpu1"
    made.write(f"{cpu}/thermal_throttle/core_throttle_count", "3\n")
    made.write(f"{cpu}/thermal_throttle/package_throttle_count", "4\n")
    made.write(f"{cpu}/cpufreq/scaling_cur_freq", "2400000\n")
    return made


def test_every_counter_is_read_and_what_it_grew_by_is_told(kernel: Kernel) -> None:
    watch = kernel.watch()
    before = watch.started()
    kernel.write("proc/stat", TICKS.format(user=1500, steal=90))
    kernel.write("proc/vmstat", "pswpin 11\npswpout 25\n")
    kernel.write("proc/pressure/memory", "some avg10=0.00 total=1750000\n")
    kernel.write("sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count", "5\n")
    found = watch.since(before)
    assert found.others_s == pytest.approx(5.0, abs=0.5)  # less what this test used itself
    assert found.steal_s == pytest.approx(0.2)
    assert (found.swapped_pages, found.stalled_s) == (6, 0.25)
    assert (found.throttles, found.clock_khz) == (2, 2400000)
    assert found.suspended_s == 0.0


def test_our_own_cpu_time_is_nobody_elses(kernel: Kernel) -> None:
    watch = kernel.watch()
    before = watch.started()
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", burn], check=True)
    kernel.write("proc/stat", TICKS.format(user=1000 + 30, steal=70))
    assert watch.since(before).others_s == 0.0


def test_what_a_container_hides_is_none(tmp_path: Path) -> None:
    watch = Kernel(tmp_path).watch()
    found = watch.since(watch.started())
    measured = {"span_s", "suspended_s"}
    assert set(plain(found)) == measured


@pytest.mark.parametrize("text", ["", "cpu", "cpu x y", "intr 5", "cpu " + "- " * 10, "\0" * 50])
def test_a_kernel_file_of_another_form_is_no_error(kernel: Kernel, text: str) -> None:
    for name in ("proc/stat", "proc/vmstat", "proc/pressure/memory"):
        kernel.write(name, text)
    watch = kernel.watch()
    found = watch.since(watch.started())
    assert found.others_s is None
    assert found.swapped_pages is None


def test_a_clock_that_ran_on_while_the_machine_slept_is_a_suspension(kernel: Kernel) -> None:
    watch = kernel.watch()
    before = watch.started()
    assert watch.since(replace(before, slept_s=before.slept_s - 7.0)).suspended_s == 7.0


def test_the_real_kernel_files_are_understood() -> None:
    watch = Watch([0])
    found = watch.since(watch.started())
    assert isinstance(found.others_s, float)
    assert isinstance(found.steal_s, float)


# ---- The executor ------------------------------------------------------------------------


class FakeWatch(Watch):
    """Counts what it is asked for."""

    seen: ClassVar[list[tuple[int, ...]]] = []

    def __init__(self, cpus: Sequence[int]) -> None:
        super().__init__(cpus)
        self.seen.append(tuple(cpus))

    def since(self, before: Snapshot) -> Disturbance:
        return Disturbance(span_s=0.5 + 0.0 * before.at_s)


def job(probe: Probe) -> TraceJob:
    return TraceJob(
        id=0,
        round=0,
        allocator=fake_allocator("one"),
        scenario="some",
        trace=Path("none"),
        probe=probe,
        cpus=(3, 1),
        timeout_s=1.0,
    )


@pytest.mark.parametrize("probe", TRACE_PROBES)
def test_timed_processes_are_watched_and_only_they(probe: Probe) -> None:
    FakeWatch.seen.clear()
    outcome = WatchingExecutor(FakeExecutor(), watch=FakeWatch).run(job(probe))
    timed = probe in (Probe.THROUGHPUT, Probe.LATENCY)
    assert outcome.result.disturbance == (Disturbance(span_s=0.5) if timed else None)
    assert FakeWatch.seen == [(3, 1)] * timed
    assert outcome.result.operations == good(job(probe)).result.operations


def test_a_process_that_failed_keeps_its_outcome_as_it_is() -> None:
    failed = Outcome(status=Status.CRASHED, message="killed", wall_s=0.1)
    executor = WatchingExecutor(FakeExecutor(lambda _: failed), watch=FakeWatch)
    assert executor.run(job(Probe.LATENCY)) is failed


# ---- The warnings ------------------------------------------------------------------------

QUIET = Disturbance(
    span_s=1.0,
    others_s=0.2,
    steal_s=0.02,
    throttles=0,
    swapped_pages=0,
    stalled_s=0.0,
    suspended_s=0.0,
    clock_khz=2400000,
)


def warnings(*seen: Disturbance) -> list[str]:
    records = [process("latency", {}, more={"disturbance": plain(one)}) for one in seen]
    return [warning.text for warning in cell_warnings(records, {})]


def test_a_quiet_machine_gives_no_warning() -> None:
    assert warnings(QUIET, QUIET) == []
    assert warnings(Disturbance(span_s=0.0), Disturbance(span_s=1.0)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"others_s": 0.9}, "load: other processes used up to 90% of a CPU"),
        ({"steal_s": 0.05}, "steal: the hypervisor took up to 5% of a CPU"),
        ({"stalled_s": 0.04}, "memory: something waited for memory up to 4% of the time"),
        ({"swapped_pages": 12}, "swap: the machine swapped up to 12 pages"),
        ({"throttles": 3}, "heat: the CPU was throttled up to 3 times"),
        ({"suspended_s": 61.5}, "suspension: the machine slept for up to 61.5 s"),
        ({"clock_khz": 1800000}, "clock ran at 1.80 GHz after one timed process, 2.40 after"),
    ],
)
def test_each_disturbance_is_named_with_its_size(change: dict[str, Any], words: str) -> None:
    (line,) = warnings(QUIET, replace(QUIET, **change), QUIET)
    assert words in line
    if ":" in words:
        assert "(1 of 3 timed processes)" in line


def test_a_large_share_of_a_moment_is_no_disturbance() -> None:
    assert warnings(replace(QUIET, span_s=0.02, others_s=0.02)) == []

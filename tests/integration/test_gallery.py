"""The gallery of faulty allocators: each gets its status and message, and harms nobody else.

tests/faulty has an allocator for each fault, and expected.toml what each one must get.
"""

from __future__ import annotations

import struct
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import allocphase
from allocphase import allocator, scenario
from allocphase.allocator import Allocator
from allocphase.allocator.shared_object import inspect_object
from allocphase.errors import UsageError
from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.process.driver import DriverExecutor, Outcome, TraceJob
from allocphase.process.keeper import Limits
from allocphase.run import plan
from allocphase.run.session import run
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord
from tests.support.driving import operation_calls
from tests.support.gallery import (
    LIMITS,
    Fault,
    Key,
    check,
    faults,
    gallery_job,
    landlock,
    outcomes_of,
    tried,
)
from tests.support.plugins import Plugins
from tests.support.processes import nothing_left
from tests.support.runs import no_progress, request_of

ALL_FAULTS = faults()
FAULTS = [fault for fault in ALL_FAULTS if fault.is_kept_in(landlock())]
# Without a table of their own, and with it without settings.
PRELOADS = {"preload", "interposer"}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TraceJob:
    """All but the allocator and the probe."""
    return gallery_job(tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="module")
def outcomes(plugins: Plugins, job: TraceJob) -> Mapping[Key, Outcome]:
    """Every fault under every probe; several at once, since nothing is timed here."""
    return outcomes_of([(fault, probe) for fault in FAULTS for probe in TRACE_PROBES], plugins, job)


@pytest.mark.parametrize("probe", list(TRACE_PROBES))
@pytest.mark.parametrize("fault", tried(ALL_FAULTS))
def test_a_faulty_allocator_gets_its_status_and_message(
    outcomes: Mapping[Key, Outcome], fault: Fault, probe: Probe
) -> None:
    check(fault, probe, outcomes[fault.name, probe])


@pytest.mark.parametrize("file", sorted({fault.values["file"] for fault in FAULTS} - PRELOADS))
def test_it_is_the_fault_that_is_told(plugins: Plugins, job: TraceJob, file: str) -> None:
    """Without its fault each of them is correct, but for the leak, which has no setting."""
    none = Fault(file, {"file": file, "fault": "none"})
    limits = Limits(memory_bytes=1 << 40, processes=16)
    outcome = DriverExecutor(limits=limits).run(replace(job, allocator=none.allocator(plugins)))
    assert (outcome.status, outcome.message) == ("ok", "")
    assert outcome.result.tampered == ()


# ---- What is not its own --------------------------------------------------------------------


TRESPASSES = [fault for fault in ALL_FAULTS if fault.wants]


@pytest.mark.parametrize("fault", tried(TRESPASSES))
def test_what_an_allocator_reaches_for_outside_of_its_folder_it_does_not_get(
    plugins: Plugins, job: TraceJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    trace, target = tmp_path / "some.trace", tmp_path / "precious"
    trace.write_bytes(job.trace.read_bytes())
    target.write_text("mine\n")
    monkeypatch.setenv("TRESPASS_TARGET", str(target))
    job = replace(job, allocator=fault.allocator(plugins), trace=trace)
    outcome = DriverExecutor(limits=LIMITS).run(job)
    assert outcome.status == "ok", outcome.message
    assert outcome.result.allocator_stats == {"succeeded": 0}
    assert everything_in(tmp_path) == [target, trace]
    assert trace.read_bytes() == job.trace.read_bytes()
    assert target.read_text() == "mine\n"


def test_shared_memory_that_it_has_made_is_gone(plugins: Plugins, job: TraceJob) -> None:
    fault = next(fault for fault in ALL_FAULTS if fault.values.get("fault") == "shared")
    before = Path("/proc/sysvipc/shm").read_text()
    outcome = DriverExecutor(limits=LIMITS).run(replace(job, allocator=fault.allocator(plugins)))
    assert outcome.status == "ok", outcome.message
    assert Path("/proc/sysvipc/shm").read_text() == before


def test_a_file_of_ten_gigabytes_is_refused(plugins: Plugins, job: TraceJob) -> None:
    fault = next(fault for fault in ALL_FAULTS if fault.values.get("fault") == "one-file")
    outcome = DriverExecutor(limits=LIMITS).run(replace(job, allocator=fault.allocator(plugins)))
    assert outcome.result.allocator_stats == {"succeeded": 0}


def test_a_folder_that_whoever_runs_it_permits_is_written(
    plugins: Plugins, job: TraceJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "log"
    monkeypatch.setenv("TRESPASS_TARGET", str(target))
    monkeypatch.setenv("ALLOCPHASE_WRITABLE", f"{tmp_path}:/dev/shm")
    fault = next(fault for fault in ALL_FAULTS if fault.values.get("fault") == "append")
    outcome = DriverExecutor(limits=LIMITS).run(replace(job, allocator=fault.allocator(plugins)))
    assert outcome.result.allocator_stats == {"succeeded": 2}
    assert target.read_text() == "x"


# ---- What cannot be refused, and what is said of it ----------------------------------------


@pytest.mark.parametrize(
    ("name", "stats"),
    [
        (
            "stats-that-are-no-numbers",
            {"nan": None, "endless": None, "negative": -1.5, "huge": None},
        ),
        (
            "stats-with-bad-names",
            {
                'a "quoted" \\ name\n\N{REPLACEMENT CHARACTER}[31m': 1,
                "latin-1 \N{REPLACEMENT CHARACTER} cut " + 2 * "\N{REPLACEMENT CHARACTER}": 2,
                "": 3,
                "unnamed": 4,
            },
        ),
        ("stats-that-lie", {"pool_hit_rate": 7, "pool_used_bytes": -4096}),
    ],
)
def test_stats_are_the_allocator_s_own_words_and_stay_apart(
    outcomes: Mapping[Key, Outcome], name: str, stats: dict[str, Any]
) -> None:
    assert outcomes[name, Probe.VERIFY].result.allocator_stats == stats


def test_stats_without_end_are_cut_and_counted(outcomes: Mapping[Key, Outcome]) -> None:
    result = outcomes["stats-without-end", Probe.VERIFY].result
    assert len(result.allocator_stats) == 1000
    assert max(map(len, result.allocator_stats)) < 120
    assert result.allocator_stats_dropped == 999_000


def test_a_flood_on_stderr_ends_at_the_limit_of_a_file(outcomes: Mapping[Key, Outcome]) -> None:
    calls = operation_calls(outcomes["floods-stderr", Probe.SYSCALLS])
    assert calls == {"write": 66}  # 64 of 1 MiB each, a part of one for the trace, and a refusal
    calls = operation_calls(outcomes["floods-stdout", Probe.SYSCALLS])
    assert calls == {"write": 96}


@pytest.mark.parametrize("name", ["takes-sigsys-unseen", "resets-dispatch-unseen"])
def test_ptrace_counts_what_dispatch_cannot(
    plugins: Plugins, job: TraceJob, outcomes: Mapping[Key, Outcome], name: str
) -> None:
    """As the message of the one says."""
    fault = next(fault for fault in FAULTS if fault.name == name)
    ptrace = replace(
        job,
        allocator=fault.allocator(plugins),
        probe=Probe.SYSCALLS,
        options={"syscall-backend": "ptrace"},
    )
    assert outcomes[name, Probe.SYSCALLS].status != "ok"
    outcome = DriverExecutor(limits=LIMITS).run(ptrace)
    assert outcome.status == "ok"
    assert operation_calls(outcome)["getppid"] == 9


# ---- Objects that are turned away before anything runs --------------------------------------


def elf(machine: int, kind: int = 3) -> bytes:
    """The header of a 64-bit ELF file of that machine, and nothing behind it."""
    order = b"\x01" if machine != S390X else b"\x02"
    identity = b"\x7fELF\x02" + order + b"\x01" + bytes(9)
    return identity + struct.pack("<HH" if order == b"\x01" else ">HH", kind, machine) + bytes(44)


S390X, RISCV = 22, 243


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a shared object (no ELF header): build it with cc -shared"),
        (b"#!/bin/sh\nexit 0\n" * 9, "not a shared object (no ELF header)"),
        (elf(S390X), "an object of another machine than "),
        (elf(RISCV), "an object of another machine than "),
    ],
)
def test_a_file_that_is_no_object_of_this_machine_is_a_usage_error(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "thing.so"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        inspect_object(path)
    assert str(caught.value).startswith(f"{path}: {words}")


@pytest.mark.parametrize("content", [b"no object\n", elf(S390X), elf(RISCV)])
@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("plugin", "unsupported", "cannot be loaded: "),
        ("preload", "wrong-allocator", "malloc is served by "),
    ],
)
def test_an_object_that_went_bad_since_is_not_measured_either(
    plugins: Plugins,
    job: TraceJob,
    tmp_path: Path,
    content: bytes,
    kind: Any,
    status: str,
    words: str,
) -> None:
    path = tmp_path / "thing.so"
    path.write_bytes(content)
    bad = replace(FAULTS[0].allocator(plugins), kind=kind, path=path)
    outcome = DriverExecutor(limits=LIMITS).run(replace(job, allocator=bad))
    assert outcome.status == status
    assert outcome.message.startswith(words)


# ---- All of them in one run ------------------------------------------------------------------

GOOD = ("phase21", "libc")
# A good process takes a tenth of a second: of a shorter trace it reads clocks most of the time.
(SCENARIO,) = scenario.resolve("phase-report?allocations=200")
TIMEOUT_S = 1.5


def measure(out: Path, faulty: list[Fault], plugins: Plugins) -> Path:
    allocators = [fault.allocator(plugins) for fault in faulty]
    good = [found for name in GOOD for found in allocator.resolve(name)]
    middle = len(allocators) // 2
    request = request_of(
        out,
        allocators=[*good[:1], *allocators[:middle], *good[1:], *allocators[middle:]],
        scenarios=[SCENARIO],
        probes=list(TRACE_PROBES),
        rounds=1,
        timeout_s=TIMEOUT_S,
        quick=True,
        only=only_some_hangs(allocators + good, SCENARIO.name),
    )
    return run(request, DriverExecutor(limits=LIMITS), progress=no_progress)


def only_some_hangs(allocators: list[Allocator], scenario: str) -> frozenset[tuple[str, str, str]]:
    """Each costs its whole time limit: one counted and one timed process of them will do."""
    hangs = {fault.name for fault in FAULTS if fault.hangs}
    return frozenset(
        (found.name, scenario, probe.value)
        for found in allocators
        for probe in ((Probe.VERIFY, Probe.LATENCY) if found.name in hangs else Probe)
    )


def counts(record: ProcessRecord) -> dict[str, Any]:
    """What does not differ from process to process."""
    result = record.result
    memory, syscalls = result.memory, result.syscalls
    return {
        "operations": result.operations,
        "verify": result.verify,
        "tampered": result.tampered,
        "calls": syscalls and (syscalls.init, syscalls.operation, syscalls.teardown),
        "peaks": memory and (memory.peak_live_bytes, memory.peak_mapped_bytes),
    }


def good_processes(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    records = [r for r in RunFiles(path).processes() if r.allocator in GOOD]
    assert {record.status for record in records} == {"ok"}, [r.message for r in records]
    return {(record.allocator, record.probe): counts(record) for record in records}


def everything_in(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*"))


def test_a_run_over_all_of_them_measures_the_good_ones_as_if_they_were_alone(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = [tmp_path / name for name in ("tmp", "home", "cwd")]
    for folder, variable in zip(around, ("TMPDIR", "HOME", "XDG_CACHE_HOME"), strict=True):
        folder.mkdir()
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.chdir(around[2])
    # Whether several processes agree on a count is other tests' matter.
    monkeypatch.setattr(plan, "COUNT_PROCESSES", 1)
    alone = good_processes(measure(tmp_path / "alone", [], plugins))
    assert len(alone) == len(GOOD) * len(TRACE_PROBES)

    start = time.monotonic()
    with nothing_left("gallery", monkeypatch):
        path = measure(tmp_path / "together", FAULTS, plugins)
    processes = RunFiles(path).processes()
    assert time.monotonic() - start < len(processes) * 2 * TIMEOUT_S
    assert good_processes(path) == alone
    assert {record.allocator for record in processes} == {
        "null",
        *GOOD,
        *(fault.name for fault in FAULTS),
    }

    assert everything_in(*around) == []
    assert {entry.name for entry in path.parent.iterdir()} == {path.name}
    found = dict(allocphase.load(path).cells.set_index("allocator")["status"])
    assert {found[name] for name in GOOD} == {"ok"}
    assert found["crash-in-malloc"] == found["starts-many-processes"] == "crashed"
    assert found["overlap"] == "corrupt"

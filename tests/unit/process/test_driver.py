"""The executor against stand-ins for the driver: what it passes on, and what it makes of an end."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from allocphase import resources
from allocphase.errors import AllocphaseError
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result, Verify
from allocphase.process.driver import DriverExecutor, TraceJob
from allocphase.process.keeper import Command, Containment, Limits
from tests.support.processes import alive
from tests.support.runs import fake_allocator
from tests.support.traces import batch, write_trace

RESULT = '{"status":"ok","message":"","operations":2,"verify":{}}'
# As driver/base/channel.h and json.c have it; `result` puts the token behind the last member.
CHANNEL = """
token=$(cat <&4)
result() { printf '%s,"token":"%s"}\\n' "${1%\\}}" "$token" > $out/result.json; }
fail() { printf '%s' "$1" >&3; }
exec 4<&-
"""
FILES = '{"status":"ok","message":"","operations":2,"verify":{},"files":{"%s":%d}}'


@pytest.fixture
def job(tmp_path: Path) -> TraceJob:
    return TraceJob(
        id=0,
        round=0,
        allocator=fake_allocator("libc"),
        scenario="some",
        trace=write_trace(tmp_path / "some.trace", batch(1)),
        probe=Probe.VERIFY,
        cpus=(1, 0),
        timeout_s=20.0,
        padding_bytes=100,
        options={"passes": "3"},
    )


class StandIn:
    """Puts a shell script in the place of the driver; $out is its output folder.

    `result TEXT` leaves a result as the driver does; `fail TEXT` is what the driver tells the
    keeper alone; $token is what its words end with later.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "allocphase-driver"

    def __call__(self, script: str) -> DriverExecutor:
        find_out = 'while [ "$1" != --out ]; do shift; done; out=$2'
        self.path.write_text(f'#!/bin/sh\nall="$*"\n{find_out}\n{CHANNEL}\n{script}\n')
        self.path.chmod(0o755)
        return DriverExecutor(driver=self.path)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """One that may write what it has seen into the test's folder."""
    monkeypatch.setenv("ALLOCPHASE_WRITABLE", str(tmp_path))
    return StandIn(tmp_path)


def test_a_result_is_an_outcome_with_its_files(stand_in: StandIn, job: TraceJob) -> None:
    files = FILES % ("latency.bin", 32)
    latencies = "12345678" * 4  # of two operations, in the first replay and in a warm one
    script = f"result '{files}'; printf {latencies} > $out/latency.bin; echo > $out/slow.bin"
    outcome = stand_in(script).run(job)
    assert (outcome.status, outcome.message, outcome.result) == (
        "ok",
        "",
        Result(operations=2, verify=Verify()),
    )
    assert set(outcome.arrays) == {
        f"{prefix}{name}_ticks" for prefix in ("", "warm_") for name in ("call", "touch")
    }
    assert outcome.wall_s > 0


def test_the_job_s_options_reach_the_driver(
    stand_in: StandIn, job: TraceJob, tmp_path: Path
) -> None:
    executor = stand_in(f"result '{RESULT}'; echo \"$all\" > {tmp_path}/seen")
    plain = job.allocator
    plugin = replace(plain, kind="plugin", path=Path("/p.so"), config={"a": "1", "b": "x=y"})
    executor.run(replace(job, allocator=plugin))
    seen = (tmp_path / "seen").read_text()
    assert f"--trace {job.trace} --out /" in seen
    assert "--probe verify --plugin /p.so --set a=1 --set b=x=y --cpu 1 --cpu 0" in seen
    assert seen.endswith("--passes 3\n")
    executor.run(replace(job, allocator=replace(plain, kind="preload", path=Path("/l.so"))))
    assert "--preloaded /l.so" in (tmp_path / "seen").read_text()
    executor.run(job)
    assert "--pl" not in (tmp_path / "seen").read_text()
    assert "--preloaded" not in (tmp_path / "seen").read_text()


def test_the_environment_is_the_user_s_with_the_allocator_s_on_top(
    stand_in: StandIn, job: TraceJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_USER", "kept")
    monkeypatch.setenv("ALLOCATOR_TUNING", "the user's")
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("ALLOCPHASE_PADDING", "of an outer run")
    executor = stand_in(f"result '{RESULT}'; env > {tmp_path}/env")
    executor.run(
        replace(job, allocator=replace(job.allocator, environment={"ALLOCATOR_TUNING": "9"}))
    )
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "env").read_text().splitlines())
    assert (seen["OF_THE_USER"], seen["ALLOCATOR_TUNING"]) == ("kept", "9")
    assert seen["ALLOCPHASE_PADDING"] == "x" * 100
    assert "LD_PRELOAD" not in seen


def test_a_preload_is_named_to_the_driver_and_in_nobody_s_environment(
    stand_in: StandIn, job: TraceJob, tmp_path: Path
) -> None:
    """The driver starts without it, and then itself again with it."""
    executor = stand_in(f"result '{RESULT}'; echo \"$LD_PRELOAD $all\" > {tmp_path}/seen")
    library = tmp_path / "none.so"
    executor.run(replace(job, allocator=replace(job.allocator, kind="preload", path=library)))
    seen = (tmp_path / "seen").read_text()
    assert seen.startswith(" --kept 1 --trace ")
    assert f" --preloaded {library} " in seen
    assert "LD_PRELOAD" not in os.environ


@pytest.mark.parametrize(
    ("kind", "bound", "tunables"),
    [
        ("libc", None, "glibc.malloc.arena_max=1"),
        ("preload", "1", "glibc.malloc.arena_max=1"),
        ("plugin", None, "glibc.malloc.arena_max=1:glibc.rtld.optional_static_tls=65536"),
    ],
)
def test_neither_the_linker_nor_thread_local_storage_treats_a_kind_of_allocator_worse(
    stand_in: StandIn,
    job: TraceJob,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Literal["libc", "preload", "plugin"],
    bound: str | None,
    tunables: str,
) -> None:
    monkeypatch.delenv("LD_BIND_NOW", raising=False)
    variables = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}
    executor = stand_in(f"result '{RESULT}'; env > {tmp_path}/env")
    library = tmp_path / "none.so"
    chosen = replace(job.allocator, kind=kind, path=library, environment=variables)
    executor.run(replace(job, allocator=chosen))
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "env").read_text().splitlines())
    assert (seen.get("LD_BIND_NOW"), seen["GLIBC_TUNABLES"]) == (bound, tunables)


def test_what_a_shell_exports_for_allocators_does_not_reach_what_is_measured(
    stand_in: StandIn, job: TraceJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MALLOC_CONF", "GLIBC_TUNABLES", "MIMALLOC_PURGE_DELAY", "MALLOC_ARENA_MAX"):
        monkeypatch.setenv(name, "of the user")
    executor = stand_in(f"result '{RESULT}'; env > {tmp_path}/env")
    asked = replace(job.allocator, environment={"MALLOC_CONF": "narenas:1"})
    executor.run(replace(job, allocator=asked))
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "env").read_text().splitlines())
    assert seen["MALLOC_CONF"] == "narenas:1"
    assert "of the user" not in seen.values()


def test_what_an_allocator_with_settings_says_is_kept_of_a_process_that_ended_well(
    stand_in: StandIn, job: TraceJob
) -> None:
    executor = stand_in(f"echo 'Invalid conf pair: x:1' >&2; result '{RESULT}'")
    assert executor.run(job).result.said == ""
    asked = replace(job.allocator, environment={"MALLOC_CONF": "x:1"})
    assert executor.run(replace(job, allocator=asked)).result.said == "Invalid conf pair: x:1"


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGKILL", "SIGFPE"])
def test_a_signal_is_a_crash_with_its_name_and_the_last_words(
    stand_in: StandIn, job: TraceJob, name: str
) -> None:
    script = f"echo 'double free' >&2; kill -{int(signal.Signals[name])} $$"
    outcome = stand_in(script).run(job)
    assert outcome.status == "crashed"
    assert outcome.message.startswith(f"killed by {name} before main.")
    assert outcome.message.endswith(" double free")
    assert ("Not by allocphase" in outcome.message) == (name == "SIGKILL")
    assert outcome.result == Result()


@pytest.mark.parametrize(
    ("name", "limits", "words"),
    [
        ("SIGKILL", (-1, -1), "for want of memory or beyond its limit of CPU time (ulimit -t), or"),
        ("SIGKILL", (4, 5), "for want of memory or beyond its limit of 5 s of CPU time (ulimit"),
        ("SIGXCPU", (4, 5), "by the kernel beyond its limit of 4 s of CPU time (ulimit -t), or by"),
    ],
)
def test_a_limit_on_cpu_time_is_among_the_reasons_for_what_the_kernel_killed(
    stand_in: StandIn,
    job: TraceJob,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    limits: tuple[int, int],
    words: str,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    outcome = stand_in(f"kill -{int(signal.Signals[name])} $$").run(job)
    assert words in outcome.message


def test_a_signal_without_a_name_is_told_by_its_number(stand_in: StandIn, job: TraceJob) -> None:
    assert stand_in("kill -40 $$").run(job).message == "killed by signal 40 before main."


def test_only_the_end_of_a_long_stderr_is_kept(stand_in: StandIn, job: TraceJob) -> None:
    command = f'{sys.executable} -c \'print("x" * 100_000 + " the end")\' >&2'
    outcome = stand_in(f"{command}; kill -9 $$").run(job)
    assert outcome.message.endswith("xxx the end")
    assert 3_000 < len(outcome.message) < 5_000


def test_last_words_that_are_no_text_do_no_harm(stand_in: StandIn, job: TraceJob) -> None:
    outcome = stand_in("printf 'a\\377b' >&2; kill -6 $$").run(job)
    assert outcome.message == "killed by SIGABRT before main. a\N{REPLACEMENT CHARACTER}b"


def test_a_process_that_does_not_end_is_killed_after_its_time(
    stand_in: StandIn, job: TraceJob
) -> None:
    outcome = stand_in("echo waiting >&2; exec sleep 60").run(replace(job, timeout_s=0.3))
    assert outcome.status == "timeout"
    assert outcome.message == "still running after 0.3 s before main: killed. waiting"


def test_what_a_process_leaves_running_is_ended_with_it(
    stand_in: StandIn, job: TraceJob, tmp_path: Path
) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/pid; result '{RESULT}'"
    outcome = stand_in(script).run(job)
    assert (outcome.status, outcome.result.tampered) == ("ok", ("processes left running",))
    assert not alive(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 0", "ended with exit code 0 before main."),
        ("echo oops >&2; exit 7", "ended with exit code 7 before main. oops"),
        ("result '{}'; exit 3", "ended with exit code 3 before main."),
        ("result '{}'; exit 1", "ended with exit code 1 before main."),
        ("echo 'my allocator says no' >&2; exit 1", "ended with exit code 1"),
    ],
)
def test_an_end_without_a_result_is_a_crash(
    stand_in: StandIn, job: TraceJob, script: str, message: str
) -> None:
    outcome = stand_in(script).run(job)
    assert outcome.status == "crashed"
    assert outcome.message.startswith(message)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"status":', "result.json: Expecting value"),
        ('{"status":"\\377"}', "result.json: 'utf-8' codec can't decode"),
        ("[" * 100_000, "result.json: "),
        ('{"status":"ok","message":"","files":{"../x.bin":1}}', "result.files: are no names"),
        ('{"status":"ok","message":"","files":{"x.bin":"1"}}', "result.files: are no names"),
        ('{"status":"ok","message":"","files":[]}', "result.files: are no names"),
        ('{"driver":1}', "result: has no status or no message"),
        ('{"status":"fine","message":""}', "result: has no status or no message"),
        ('{"status":"ok","message":["x"]}', "result: has no status or no message"),
        ('{"status":["ok"],"message":""}', "result: has no status or no message"),
        ('{"status":"ok","message":"","operations":-1}', "result.operations: must be"),
        ('{"status":"ok","message":"","operations":3,"verify":{}}', "result.operations: 3, not 2"),
        ('{"status":"corrupt","message":"","usage":5}', "result.usage: must be"),
    ],
)
def test_a_result_that_makes_no_sense_is_damage_and_no_measurement(
    stand_in: StandIn, job: TraceJob, content: str, fault: str
) -> None:
    outcome = stand_in(f"result \"$(printf '{content}')\"").run(job)
    assert outcome.status == "corrupt"
    assert outcome.message.startswith(f"the driver's own memory was damaged: {fault}")
    assert outcome.result == Result()


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("latency.bin", "1234", "array split does not result in an equal division"),
        ("latency.bin", "12345678", "warm_call_ticks: less than one replay"),
        ("latency.bin", "12345678" * 5, "warm_call_ticks: has shape (3,), not one value"),
        ("syscalls.bin", "12345678123456789", "syscalls.bin: torn: 17 bytes of 16 each"),
        ("syscalls.bin", r"\0\1" + r"\0" * 14, "warm_syscalls: an operation that"),
        ("histogram.bin", "12345678", "cannot reshape array"),
    ],
)
def test_arrays_that_do_not_fit_the_trace_are_damage(
    stand_in: StandIn, job: TraceJob, name: str, content: str, fault: str
) -> None:
    said = FILES % (name, len(content.encode().decode("unicode_escape")))
    outcome = stand_in(f"result '{said}'; printf '{content}' > $out/{name}").run(job)
    assert outcome.status == "corrupt"
    assert outcome.message.startswith(f"the driver's own memory was damaged: {fault}")
    assert outcome.arrays == {}


def test_what_the_allocator_took_from_the_driver_is_no_fault_of_the_tool(
    stand_in: StandIn, job: TraceJob
) -> None:
    complaint = 'echo "allocphase-driver: $out/slow.bin: Too many open files $token" >&2'
    outcome = stand_in(f"echo noise >&2; {complaint}; exit 3").run(job)
    assert outcome.status == "unsupported"
    expected = "the driver was hindered before main: slow.bin: Too many open files"
    assert outcome.message == expected


def test_a_stopped_executor_raises_the_reason_then_and_later(
    stand_in: StandIn, job: TraceJob
) -> None:
    executor = stand_in("sleep 60")
    timer = threading.Timer(0.2, executor.stop, [AllocphaseError("enough")])
    timer.start()
    for _ in range(2):
        with pytest.raises(AllocphaseError, match="enough"):
            executor.run(job)
    timer.join()


def test_what_the_driver_tells_its_keeper_ends_the_run(stand_in: StandIn, job: TraceJob) -> None:
    with pytest.raises(AllocphaseError) as caught:
        stand_in("echo noise >&2; fail 'x.trace: not a trace file'; exit 2").run(job)
    words = "allocphase-driver: x.trace: not a trace file"
    assert str(caught.value) == f"libc on some (verify): {words}"


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_words_on_stderr_are_anybody_s_and_end_no_run(
    stand_in: StandIn, job: TraceJob, code: int
) -> None:
    words = "allocphase-driver: x.trace: not a trace file"
    outcome = stand_in(f"echo '{words}' >&2; exit {code}").run(job)
    assert outcome.status == "crashed"
    assert outcome.message == f"ended with exit code {code} before main. {words}"


FOREIGN = "ended with exit code 0 before main; its result.json is not the driver's"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"echo '{RESULT}' > $out/result.json", f"{FOREIGN}."),
        ("echo > $out/result.json", f"{FOREIGN}."),
        ("mkfifo $out/result.json", f"{FOREIGN}: is no regular file."),
        ("mkdir $out/result.json", f"{FOREIGN}: Is a directory."),
        ("ln -s /dev/zero $out/result.json", f"{FOREIGN}: is a link, and none is followed here."),
        (
            "head -c 5000000 /dev/zero > $out/result.json",
            f"{FOREIGN}: longer than 4194304 bytes, the most that is read.",
        ),
        ("mkfifo $out/progress.bin", "ended with exit code 0 before main."),
        ("ln -s /dev/zero $out/progress.bin", "ended with exit code 0 before main."),
        ("rm -r $out", "ended with exit code 0 before main."),
    ],
)
def test_a_result_that_is_not_the_driver_s_is_none(
    stand_in: StandIn, job: TraceJob, script: str, message: str
) -> None:
    outcome = stand_in(script).run(job)
    assert (outcome.status, outcome.message) == ("crashed", message)


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("mkfifo $out/latency.bin", "latency.bin: is no regular file"),
        ("ln -s /dev/zero $out/latency.bin", "latency.bin: is a link"),
        ("printf 123456781234567 > $out/latency.bin", "latency.bin: 15 bytes, not 16"),
        ("printf 12345678123456789 > $out/latency.bin", "latency.bin: longer than 16 bytes"),
        ("true", "latency.bin: No such file"),
    ],
)
def test_a_file_that_is_not_as_the_driver_left_it_is_damage(
    stand_in: StandIn, job: TraceJob, script: str, fault: str
) -> None:
    outcome = stand_in(f"result '{FILES % ('latency.bin', 16)}'; {script}").run(job)
    assert outcome.status == "corrupt"
    assert outcome.message.startswith(f"the driver's own memory was damaged: {fault}")


def test_a_disk_that_is_full_for_the_harness_too_ends_the_run(
    stand_in: StandIn, job: TraceJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that only the allocator says is full does not."""
    script = 'echo "allocphase-driver: $out/slow.bin: No space left on device $token" >&2; exit 3'
    outcome = stand_in(script).run(job)
    assert outcome.status == "unsupported"
    assert outcome.message.endswith("slow.bin: No space left on device")

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(AllocphaseError, match=r"/allocphase-\w+: No space left on device$"):
        stand_in(script).run(job)


@pytest.mark.parametrize(
    ("factor", "status"), [(1.0, "ok"), (1.002, "ok"), (0.5, "corrupt"), (3.0, "corrupt")]
)
def test_a_clock_of_another_rate_than_the_keeper_s_is_none(
    stand_in: StandIn, job: TraceJob, driver_hz: float, factor: float, status: str
) -> None:
    clock = f'"clock":{{"hz":{driver_hz * factor:.0f},"overhead_ns":1,"step_ns":1}}'
    said = RESULT.replace('"verify"', f'{clock},"verify"')
    outcome = stand_in(f"sleep 0.1; result '{said}'").run(job)
    assert outcome.status == status, outcome.message
    if status == "corrupt":
        words = f"the driver's own memory was damaged: its time ran {1 / factor:.3g} times as fast"
        assert outcome.message.startswith(words)


@pytest.fixture(scope="module")
def driver_hz(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The rate of this machine's clock, as the keeper sees it."""
    ending = Containment(resources.find("driver/allocphase-driver"), Limits()).run(
        Command(
            arguments=["/bin/sleep", "0.2"],
            environment={},
            folder=tmp_path_factory.mktemp("clock"),
            timeout_s=20.0,
            file_bytes=4096,
        )
    )
    return ending.clock_hz


def test_a_status_other_than_ok_is_handed_on(stand_in: StandIn, job: TraceJob) -> None:
    script = 'result \'{"status":"corrupt","message":"overlap"}\''
    outcome = stand_in(script).run(job)
    assert (outcome.status, outcome.message) == ("corrupt", "overlap")


def test_the_scratch_folder_is_gone_afterwards(
    stand_in: StandIn, job: TraceJob, tmp_path: Path
) -> None:
    script = f"pwd > {tmp_path}/pwd; echo dump > heap.dump; result '{RESULT}'"
    stand_in(script).run(job)
    folder = Path((tmp_path / "pwd").read_text().strip())
    assert folder.is_relative_to(job.trace.parent)
    assert not folder.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "allocphase-driver",
        "pwd",
        "some.trace",
    ]


def test_a_driver_that_is_not_installed_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import allocphase

    monkeypatch.setattr(allocphase, "__path__", [str(tmp_path)])
    with pytest.raises(AllocphaseError, match="driver/allocphase-driver is not in the installed"):
        DriverExecutor()

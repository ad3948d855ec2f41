"""How a driver process ends: well, or with a status that says what the allocator did."""

from __future__ import annotations

import json
import os
import signal
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from allocphase.allocator import Allocator, resolve
from allocphase.files.typed import plain, read
from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.probe.result import Faults, Latency, Result, Syscalls
from allocphase.process.driver import Outcome
from allocphase.trace import read as read_trace
from allocphase.trace.records import Touch
from tests.support.driving import FULL_SPEED, Driver
from tests.support.plugins import Plugins, compiled, plugin
from tests.support.processes import alive
from tests.support.traces import batch, free, malloc, write_trace


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "small.trace", batch(10))


def preload(path: Path) -> Allocator:
    return Allocator(
        name="subject",
        title="subject",
        summary="of a test",
        kind="preload",
        path=path,
        config={},
        environment={},
    )


# ---- Who served the calls ----------------------------------------------------------------


def refused_preload(driver: Driver, trace: Path, path: Path) -> Outcome:
    outcome = driver.run(Probe.VERIFY, trace, preload(path))
    assert outcome.status == "wrong-allocator"
    assert outcome.result == Result(driver=1)
    return outcome


def test_a_preload_that_is_no_object_is_not_measured_as_libc(
    driver: Driver, small: Path, tmp_path: Path
) -> None:
    path = tmp_path / "libtext.so"
    path.write_text("no object at all\n")
    outcome = refused_preload(driver, small, path)
    assert outcome.message.startswith("malloc is served by ")
    assert outcome.message.endswith(f", not by {path}")


def test_a_preload_of_another_machine_is_not_measured_as_libc(
    driver: Driver, plugins: Plugins, small: Path, tmp_path: Path
) -> None:
    content = bytearray(plugins("libc").read_bytes())
    struct.pack_into("<H", content, 18, 8)  # e_machine: MIPS
    path = tmp_path / "libmips.so"
    path.write_bytes(content)
    refused_preload(driver, small, path)


def test_a_preload_without_a_malloc_is_not_measured_as_libc(
    driver: Driver, plugins: Plugins, small: Path
) -> None:
    refused_preload(driver, small, plugins("empty"))


def test_a_preload_that_replaces_only_malloc_is_told_by_the_function_it_leaves_to_libc(
    driver: Driver, plugins: Plugins, small: Path
) -> None:
    outcome = refused_preload(driver, small, plugins("half"))
    assert outcome.message.startswith("free is served by ")


def test_libc_is_not_measured_under_a_preload_of_the_users_own(
    driver: Driver, small: Path, plugins: Plugins
) -> None:
    arguments = ["--trace", str(small), "--probe", "verify"]
    done = driver.bare(arguments, variables={"LD_PRELOAD": str(plugins("half"))})
    assert done.returncode == 0
    assert '"status":"wrong-allocator"' in (driver.folder / "result.json").read_text()


def test_the_result_names_the_object_that_served_the_calls(
    driver: Driver, plugins: Plugins, small: Path
) -> None:
    ours = driver.measure(Probe.VERIFY, small, plugin(plugins("calls")))
    assert Path(ours.result.provider) == plugins("calls")
    libc = driver.measure(Probe.VERIFY, small, resolve("libc")[0])
    assert "libc.so" in libc.result.provider


# ---- Objects that are no plug-in for this driver -----------------------------------------


@pytest.mark.parametrize(
    ("name", "define", "status", "words"),
    [
        ("table", "ABI=2", "unsupported", "is built for another ABI version"),
        ("table", "NO_TABLE", "unsupported", "allocphase_plugin returned NULL"),
        ("table", "MALLOC=NULL", "unsupported", "lacks init, fini, malloc or free"),
        ("table", "UNRESOLVED", "unsupported", "cannot be loaded: "),
        ("table", "INIT=EINVAL", "unsupported", "init failed: Invalid argument"),
        ("table", "INIT=EPERM", "unsupported", "init failed: Operation not permitted"),
        ("table", "INIT=ENOMEM", "out-of-memory", "init failed: Cannot allocate memory"),
        ("empty", "NOTHING", "unsupported", "exports no allocphase_plugin"),
    ],
)
@pytest.mark.parametrize("probe", [Probe.THROUGHPUT, Probe.SYSCALLS])
def test_an_object_that_cannot_be_measured_says_why(
    driver: Driver,
    plugins: Plugins,
    small: Path,
    probe: Probe,
    name: str,
    define: str,
    status: str,
    words: str,
) -> None:
    outcome = driver.run(probe, small, plugin(plugins(name, define)))
    assert outcome.status == status
    assert words in outcome.message
    assert "\n" not in outcome.message


def test_a_table_that_is_whole_is_taken(driver: Driver, plugins: Plugins, small: Path) -> None:
    driver.measure(Probe.VERIFY, small, plugin(plugins("table")))


def test_an_allocator_of_ours_refuses_a_setting_that_it_does_not_know(
    driver: Driver, small: Path
) -> None:
    phase21 = resolve("phase21")[0]
    path = Path(str(phase21.path))
    outcome = driver.run(Probe.VERIFY, small, plugin(path, pool_size="4096"))
    assert outcome.status == "unsupported"
    assert outcome.message == "init refuses the setting pool_size=4096"
    outcome = driver.run(Probe.VERIFY, small, plugin(path, pool_bytes="4096", pool_size="1"))
    assert outcome.message == "init refuses one of pool_bytes=4096, pool_size=1"


# ---- Allocators that end the process, or never end ---------------------------------------

THIRD = {
    "malloc": "at operation 2 of thread 0 (malloc, 64 bytes, slot 2)",
    "free": "at operation 12 of thread 0 (free, 0 bytes, slot 2)",
}


def place_of_third(kind: str, probe: Probe) -> str:
    """What a message says of it: a timed loop keeps no account of its operations."""
    return "in the middle of the trace" if probe in FULL_SPEED else THIRD[kind]


@pytest.mark.parametrize("probe", list(TRACE_PROBES))
@pytest.mark.parametrize("place", ["malloc", "free"])
def test_a_crash_is_told_by_the_name_of_its_signal(
    driver: Driver, plugins: Plugins, small: Path, probe: Probe, place: str
) -> None:
    subject = plugin(plugins("ends"), way="segv", **{"in": place})
    outcome = driver.run(probe, small, subject)
    assert outcome.status == "crashed"
    assert outcome.message == f"killed by SIGSEGV {place_of_third(place, probe)}."


def test_the_last_words_of_an_allocator_stand_in_the_message(
    driver: Driver, plugins: Plugins, small: Path
) -> None:
    subject = plugin(plugins("ends"), way="abort", **{"in": "malloc"})
    outcome = driver.run(Probe.VERIFY, small, subject)
    assert outcome.status == "crashed"
    assert outcome.message == f"killed by SIGABRT {THIRD['malloc']}. arena: header is damaged"


@pytest.mark.parametrize("probe", [Probe.THROUGHPUT, Probe.SYSCALLS])
def test_an_exit_in_the_middle_of_the_trace_is_a_crash(
    driver: Driver, plugins: Plugins, small: Path, probe: Probe
) -> None:
    subject = plugin(plugins("ends"), way="exit", **{"in": "malloc"})
    outcome = driver.run(probe, small, subject)
    assert outcome.status == "crashed"
    assert outcome.message == f"ended with exit code 0 {place_of_third('malloc', probe)}."


@pytest.mark.parametrize("probe", list(TRACE_PROBES))
def test_a_null_pointer_is_out_of_memory_and_names_the_operation(
    driver: Driver, plugins: Plugins, small: Path, probe: Probe
) -> None:
    subject = plugin(plugins("ends"), way="null", **{"in": "malloc"})
    outcome = driver.run(probe, small, subject)
    assert outcome.status == "out-of-memory"
    assert outcome.message == "no memory at operation 2 of thread 0 (malloc, 64 bytes, slot 2)"


def test_a_hang_is_a_timeout_and_nothing_of_its_process_group_is_left(
    driver: Driver, plugins: Plugins, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOCPHASE_WRITABLE", str(tmp_path))
    pid_file = tmp_path / "pids"
    subject = plugin(plugins("ends"), way="hang", pid_file=str(pid_file), **{"in": "free"})
    outcome = driver.run(Probe.VERIFY, small, subject, timeout_s=1.0)
    assert outcome.status == "timeout"
    assert outcome.message == f"still running after 1 s {THIRD['free']}: killed."
    pids = [int(pid) for pid in pid_file.read_text().split()]
    assert len(pids) == 2
    assert not any(alive(pid) for pid in pids)


def test_a_crash_in_one_thread_names_it(driver: Driver, plugins: Plugins, tmp_path: Path) -> None:
    ops = batch(4)
    path = write_trace(tmp_path / "t", ops, thread=[0, 0, 0, 0, 1, 1, 1, 1])
    subject = plugin(plugins("ends"), way="segv", **{"in": "free"})
    outcome = driver.run(Probe.VERIFY, path, subject)
    expected = "killed by SIGSEGV at operation 2 of thread 1 (free, 0 bytes, slot 2)."
    assert outcome.message == expected


# ---- Options -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trace"], "--trace: wants a value"),
        (["--out", "x"], "--trace: is missing"),
        (["--trace", "x", "--probe", "everything"], "--probe: has no such choice"),
        (["--trace", "x", "--colour", "red"], "--colour: no such option"),
        (["--trace", "x", "--passes", "many"], "--passes: wants a whole number"),
        (["--trace", "x", "--passes", "0"], "--passes: 1 to 1000"),
        (["--trace", "x", "--pass-ns", "99999999999999999999"], "--pass-ns: wants a whole number"),
        (["--trace", "x", "--set", "key"], "--set: wants key=value"),
        (["--trace", "x", "--set", "=value"], "--set: wants key=value"),
        (["--trace", "x", "--checkpoints", "0"], "--checkpoints: at least 1"),
        (["--trace", "x", "--warm-replays", "51"], "--warm-replays: 1 to 50"),
        (["--trace", "x", "--check-every", "0"], "--check-every: at least 1"),
        (["--trace", "nowhere/x"], "nowhere/x: cannot be opened"),
    ],
)
def test_a_bad_option_is_exit_code_2_and_one_line(
    driver: Driver, arguments: list[str], words: str
) -> None:
    done = driver.bare(arguments)
    assert done.returncode == 2
    assert done.stderr == f"allocphase-driver: {words}\n"


@pytest.mark.parametrize(("options", "replays"), [({}, 50), ({"warm_replays": 10}, 10)])
def test_all_probes_that_are_joined_repeat_a_trace_as_often(
    driver: Driver, small: Path, options: dict[str, Any], replays: int
) -> None:
    """A trace of 20 operations, which would take 10,000 replays to make 200,000."""
    libc = resolve("libc")[0]
    found = [
        driver.measure(Probe.LATENCY, small, libc, **options).result.part(Latency).warm_replays,
        driver.measure(Probe.SYSCALLS, small, libc, **options).result.part(Syscalls).warm_replays,
        driver.measure(Probe.FAULTS, small, libc, **options).result.part(Faults).warm_replays,
    ]
    assert found == [replays] * 3


@pytest.mark.parametrize(
    ("touch", "replays"), [(Touch.FIRST, 50), (Touch.PAGES, 5), (Touch.RECORDED, 10)]
)
def test_what_touches_much_memory_is_repeated_less_often(
    driver: Driver, tmp_path: Path, touch: Touch, replays: int
) -> None:
    """400 MiB a replay, of which half was touched where it was recorded, make 2 GiB in five."""
    size = 400 << 20
    touched = [size // 2, 0] if touch is Touch.RECORDED else None
    path = write_trace(tmp_path / "large", [malloc(0, size), free(0)], touch=touch, touched=touched)
    assert read_trace(path).warm_replays == replays
    libc = resolve("libc")[0]
    found = driver.measure(Probe.LATENCY, path, libc).result.part(Latency)
    assert found.warm_replays == replays


def test_settings_reach_the_allocator_also_when_the_driver_starts_itself_again(
    driver: Driver, plugins: Plugins, small: Path
) -> None:
    subject = plugin(plugins("calls"), mmaps="2", getpids="1")
    outcome = driver.measure(Probe.SYSCALLS, small, subject, fixed_addresses=1)
    assert outcome.result.part(Syscalls).operation == {"mmap": 20, "getpid": 10}


def test_no_core_file_is_written_for_a_crash(
    driver: Driver, plugins: Plugins, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    subject = plugin(plugins("ends"), way="segv", **{"in": "malloc"})
    assert driver.run(Probe.VERIFY, small, subject).status == "crashed"
    assert list(folder.iterdir()) == []


def test_a_signal_from_outside_is_a_crash_with_its_name(
    driver: Driver, plugins: Plugins, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's out-of-memory killer, for one, sends SIGKILL."""
    monkeypatch.setenv("ALLOCPHASE_WRITABLE", str(tmp_path))
    pid_file = tmp_path / "pids"
    subject = plugin(plugins("ends"), way="hang", pid_file=str(pid_file), **{"in": "malloc"})
    watcher = os.fork()
    if watcher == 0:
        while not (pid_file.exists() and pid_file.read_text().endswith("\n")):
            time.sleep(0.01)
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
        os._exit(0)
    outcome = driver.run(Probe.VERIFY, small, subject)
    os.waitpid(watcher, 0)
    assert outcome.status == "crashed"
    assert outcome.message.startswith(f"killed by SIGKILL {THIRD['malloc']}. Not by allocphase")


def test_a_plug_in_from_source_has_aligned_functions_and_its_thread_local_heap_loads(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 KiB a thread, read without a call: glibc alone would refuse that at run time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "tls.c"
    source.write_text(
        """
        #include <allocphase.h>
        static _Thread_local char heap[32768];
        static int tls_init(const struct allocphase_config *config) { (void)config; return 0; }
        static void tls_fini(void) {}
        static void *tls_malloc(size_t size) { return size < sizeof heap ? heap : NULL; }
        static void tls_free(void *block) { (void)block; }
        static const struct allocphase_allocator table = {
            ALLOCPHASE_ABI_VERSION, 0, tls_init, tls_fini, tls_malloc, tls_free};
        const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
        """
    )
    path = write_trace(tmp_path / "t", batch(3))
    built = compiled(source)
    outcome = driver.measure(Probe.THROUGHPUT, path, plugin(built), pass_ns=1)
    assert outcome.result.function_alignment_bytes == 64
    assert b"__tls_get_addr" not in built.read_bytes()


@pytest.mark.parametrize("cpus", [65, 1024])
def test_a_machine_of_many_cpus_is_no_obstacle(
    driver: Driver, plugins: Plugins, tmp_path: Path, cpus: int
) -> None:
    path = write_trace(tmp_path / "t", batch(3))
    first = min(os.sched_getaffinity(0))
    subject = plugin(plugins("calls"))
    driver.measure(Probe.THROUGHPUT, path, subject, cpus=[first, *range(1, cpus)], pass_ns=1)


def test_an_allocator_s_mappings_lie_alike_under_every_joined_probe(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """Though each has tables of its own: what one has seen belongs to another's objects."""
    path = write_trace(tmp_path / "t", batch(1000))
    subject = plugin(plugins("pages"), pages="1", touch="1")
    places = {
        probe: driver.measure(probe, path, subject, fixed_addresses=1).result.allocator_stats
        for probe in (probe for probe in TRACE_PROBES if probe.joined)
    }
    assert (places[Probe.LATENCY]["last_address"] or 0) > 0
    assert all(stats == places[Probe.LATENCY] for stats in places.values()), places


@pytest.mark.parametrize("probe", list(TRACE_PROBES))
def test_a_result_s_type_names_all_that_the_driver_says(
    driver: Driver, tmp_path: Path, probe: Probe
) -> None:
    """Threaded, and of a plug-in: then every key is there; nothing is lost on the way to disk."""
    path = write_trace(tmp_path / "t", batch(100), thread=[0, 1] * 100)
    allocated = str(resolve("phase1")[0].path)
    done = driver.bare(["--trace", path, "--probe", probe, "--plugin", allocated])
    assert done.returncode == 0, done.stderr
    said = json.loads((driver.folder / "result.json").read_text(encoding="utf-8"))
    assert (said.pop("status"), said.pop("message")) == ("ok", "")
    files, token = said.pop("files"), said.pop("token")
    assert files == {
        path.name: path.stat().st_size for path in driver.folder.iterdir() if path.suffix == ".bin"
    }
    assert token == "", "nobody keeps it"
    result = read(Result, said, strict=True)
    assert result.of(probe) is not None
    assert read(Result, plain(result)) == result

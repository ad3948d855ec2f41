"""`allocphase record`: every call of a program is recorded, and the program stays as it was."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from allocphase.recorder.event_file import open_recording
from allocphase.recorder.events import NO_OBJECT, UNKNOWN_OBJECT, Entry, Kind
from allocphase.scenario import Program, resolve
from allocphase.text.units import format_bytes, format_ns
from tests.support.recordings import PROGRAM, Recorder, events_of, require_sound
from tests.support.restricted import read_only_prefix
from tests.support.sharing import Shared

SIZE_MAX = (1 << 64) - 1


@pytest.fixture
def record(tmp_path: Path, shared: Shared, needs: Callable[..., None]) -> Recorder:
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    return Recorder(tmp_path, shared("recorded"))


@pytest.fixture
def program(record: Recorder) -> Path:
    """tests/c/recorded.c."""
    return record.program("recorded")


# ---- What is recorded ----------------------------------------------------------------------


def test_each_function_of_c_is_recorded_as_it_was_called(record: Recorder, program: Path) -> None:
    found = record(program, "all", counted=False)
    events = events_of(found.first)
    names = [(Kind(int(e["kind"])).name, Entry(int(e["entry"])).name) for e in events]
    numbers = events[["size", "extra", "align_log2", "object"]].tolist()
    rows = [(*name, *given) for name, given in zip(names, numbers, strict=True)]
    page, most, wide = os.sysconf("SC_PAGESIZE"), SIZE_MAX // 2, 5 << 30
    log2_page = page.bit_length() - 1
    usable = events["size"][events["kind"] == Kind.USABLE_SIZE].tolist()
    assert usable[0] >= 5000
    assert rows == [
        ("ALLOCATION", "MALLOC", 100, 0, 0, 0),
        ("ALLOCATION", "CALLOC", 210, 7, 0, 1),
        ("ALLOCATION", "CALLOC", 5, 1, 0, 2),
        ("REALLOC_BEGIN", "REALLOC", 5000, 0, 0, 0),
        ("REALLOC_END", "REALLOC", 5000, 0, 0, 3),
        ("REALLOC_BEGIN", "REALLOC", 44, 0, 0, NO_OBJECT),
        ("REALLOC_END", "REALLOC", 44, 0, 0, 4),
        ("REALLOC_BEGIN", "REALLOCARRAY", 400, 10, 0, 1),
        ("REALLOC_END", "REALLOCARRAY", 400, 0, 0, 5),
        ("ALLOCATION", "POSIX_MEMALIGN", 640, 0, 6, 6),
        ("FREE", "FREE", 0, 0, 0, 6),
        ("ALLOCATION", "ALIGNED_ALLOC", 256, 0, 7, 7),
        ("FREE", "FREE", 0, 0, 0, 7),
        ("ALLOCATION", "MEMALIGN", 10, 0, 12, 8),
        ("FREE", "FREE", 0, 0, 0, 8),
        ("ALLOCATION", "VALLOC", 11, 0, log2_page, 9),
        ("FREE", "FREE", 0, 0, 0, 9),
        ("ALLOCATION", "PVALLOC", 12, 0, log2_page, 10),
        ("FREE", "FREE", 0, 0, 0, 10),
        ("USABLE_SIZE", "MALLOC_USABLE_SIZE", usable[0], 0, 0, 3),
        ("USABLE_SIZE", "MALLOC_USABLE_SIZE", 0, 0, 0, NO_OBJECT),
        ("FREE", "FREE", 0, 0, 0, NO_OBJECT),
        ("FAILED", "MALLOC", most, 0, 0, NO_OBJECT),
        ("FAILED", "CALLOC", SIZE_MAX, most, 0, NO_OBJECT),
        ("REALLOC_BEGIN", "REALLOC", most, 0, 0, 3),
        ("REALLOC_FAILED", "REALLOC", most, 0, 0, 3),
        ("REALLOC_BEGIN", "REALLOCARRAY", SIZE_MAX, most, 0, 3),
        ("REALLOC_FAILED", "REALLOCARRAY", SIZE_MAX, 0, 0, 3),
        ("REALLOC_BEGIN", "REALLOC", 0, 0, 0, 4),
        ("REALLOC_FREED", "REALLOC", 0, 0, 0, NO_OBJECT),
        ("FREE", "FREE", 0, 0, 0, 3),
        ("FREE", "FREE", 0, 0, 0, 5),
        ("ALLOCATION", "MALLOC", wide, 0, 0, 11),
        ("FREE", "FREE", 0, 0, 0, 11),
    ]
    assert found.first.facts.command == (str(program), "all")
    assert (found.first.facts.origin, found.first.facts.ended) == ("start", "exit")


OPERATORS = [
    ("NEW", 101, 0, "DELETE", 0),
    ("NEW_NOTHROW", 102, 0, "DELETE_NOTHROW", 0),
    ("NEW", 103, 0, "DELETE_SIZED", 103),
    ("NEW_ALIGNED", 104, 8, "DELETE_ALIGNED", 0),
    ("NEW_ALIGNED_NOTHROW", 105, 8, "DELETE_ALIGNED_NOTHROW", 0),
    ("NEW_ALIGNED", 106, 8, "DELETE_SIZED_ALIGNED", 106),
    ("NEW_ARRAY", 201, 0, "DELETE_ARRAY", 0),
    ("NEW_ARRAY_NOTHROW", 202, 0, "DELETE_ARRAY_NOTHROW", 0),
    ("NEW_ARRAY", 203, 0, "DELETE_ARRAY_SIZED", 203),
    ("NEW_ARRAY_ALIGNED", 204, 8, "DELETE_ARRAY_ALIGNED", 0),
    ("NEW_ARRAY_ALIGNED_NOTHROW", 205, 8, "DELETE_ARRAY_ALIGNED_NOTHROW", 0),
    ("NEW_ARRAY_ALIGNED", 206, 8, "DELETE_ARRAY_SIZED_ALIGNED", 206),
]


@pytest.mark.parametrize("allocator", ["libc", "mimalloc3"])
def test_a_copy_of_a_text_is_an_allocation_also_where_the_allocator_makes_it(
    record: Recorder, installed: Callable[[str], object], allocator: str
) -> None:
    """libc's strdup calls malloc, and mimalloc's nobody."""
    installed(allocator)
    found = record(record.program("texts"), "9", options=("-a", allocator), counted=False)
    assert found.done.returncode == 0
    require_sound(found.first)
    events = events_of(found.first)
    copies = (events["entry"] == Entry.MALLOC) & (events["size"] > 500) & (events["size"] < 1010)
    born = events[copies]["object"]
    sizes = [size for i in range(9) for size in (1001 + i, 501 + i)]
    assert events[copies]["size"].tolist() == sizes
    assert np.isin(born, events[events["kind"] == Kind.FREE]["object"]).all()


@pytest.mark.parametrize("allocator", ["libc", "jemalloc", "tcmalloc", "mimalloc"])
def test_each_form_of_new_and_delete_is_one_call_with_what_it_was_told(
    record: Recorder, installed: Callable[[str], object], allocator: str
) -> None:
    """libstdc++'s call malloc and free, an allocator's own do not."""
    installed(allocator)
    program = record.program("recorded_operators")
    fails = allocator != "mimalloc"  # whose new aborts where it should throw
    words = ["failures"] if fails else []
    found = record(program, *words, options=("-a", allocator), counted=False)
    assert found.done.returncode == 0
    require_sound(found.first)
    events = events_of(found.first)
    of_operators = events[events["entry"] >= Entry.NEW]
    rows = [
        (Entry(int(e["entry"])).name, int(e["size"]), int(e["align_log2"])) for e in of_operators
    ]
    expected = [
        row
        for new, size, align, delete, told in OPERATORS
        for row in ((new, size, align), (delete, told, align if "ALIGNED" in delete else 0))
    ]
    rows = rows[rows.index(expected[0]) :]  # some have calls of their own before main
    assert rows[: len(expected)] == expected
    assert rows[len(expected)] == ("DELETE", 0, 0)
    failed = of_operators[of_operators["kind"] == Kind.FAILED]
    assert failed["size"].tolist() == [1 << 62, 1 << 62] * fails
    assert failed["entry"].tolist() == [Entry.NEW, Entry.NEW_NOTHROW] * fails
    assert rows[-2] == ("NEW", 500, 0)


WAYS = [
    ("all",),
    ("threads", "100"),
    ("late",),
    ("busy",),
    ("hand-over",),
    ("fork",),
    ("raw-fork",),
    ("threaded-fork",),
    ("spawn",),
    ("exec",),
    ("signals",),
    ("libraries", "libm.so.6"),
    ("end", "exit"),
    ("end", "_exit"),
    ("end", "kill"),
    ("end", "segv"),
    ("end", "abort"),
]


@pytest.mark.parametrize("words", WAYS, ids=" ".join)
def test_the_recording_has_what_a_counter_behind_it_counts(
    record: Recorder, program: Path, words: tuple[str, ...]
) -> None:
    """By kind, over all processes, however they end; and nothing of the recorder's own."""
    found = record(program, *words)
    assert found.told == found.counts
    assert found.counts.total() > 0
    for recording in found.recordings:
        require_sound(recording)
        assert recording.facts.unrecorded == 0


def test_a_handler_may_interrupt_anything(record: Recorder, program: Path) -> None:
    """Two thousand of them, between any two instructions of the recorder; the malloc behind lets
    them.
    """
    found = record(program, "alarms", counted=record.counter("-DBUMP"))
    assert found.told == found.counts
    require_sound(found.first)
    sizes = events_of(found.first)["size"]
    assert np.count_nonzero(sizes == 77) >= 2000


@pytest.mark.parametrize("flags", [[], ["-static-libstdc++", "-static-libgcc"]], ids=str)
def test_a_library_may_bring_c_plus_plus_into_a_program_of_c(
    record: Recorder, program: Path, flags: list[str]
) -> None:
    """Two hundred times. Its libstdc++ is not among what the linker finds behind the recorder."""
    plugin = record.program("recorded_plugin", "-fPIC", "-shared", *flags)
    found = record(program, "libraries", plugin)
    assert found.done.returncode == 0, found.done.stderr
    require_sound(found.first)
    rows = events_of(found.first)[events_of(found.first)["entry"] == Entry.NEW]
    assert np.count_nonzero(rows["size"] == 321) == 200
    assert np.count_nonzero(rows["kind"] == Kind.FAILED) == 200
    twice = Counter({"malloc": 200, "failed": 200})  # before the library's own is asked
    assert found.told + twice == found.counts


SHIPPED = [f"program-{name}" for name in ("bash-subshells", "cc", "git-log", "jq", "server")]
PROGRAMS = [
    ("jq", ["jq", "-c", "map(.id)|add", "FILE"]),
    ("sqlite3", ["sqlite3", ":memory:", "create table t(a); insert into t values(1),(2);"]),
    ("bash", ["bash", "-c", "for i in {1..300}; do a+=($i); done; echo $(echo ${#a[@]})"]),
    ("perl", ["perl", "-e", "my %h; $h{$_}=[$_] for 1..2000; print scalar keys %h"]),
    ("python3", ["python3", "-c", "import json; print(len(json.dumps(list(range(3000)))))"]),
]


@pytest.mark.parametrize(("name", "command"), PROGRAMS, ids=lambda value: str(value)[:8])
def test_every_call_of_real_programs_is_recorded(
    record: Recorder, needs: Callable[..., None], tmp_path: Path, name: str, command: list[str]
) -> None:
    needs(shutil.which(name), name, install=f"apt-get install {name}")
    data = tmp_path / "data.json"
    data.write_text("[" + ",".join(f'{{"id":{i},"t":["a","b"]}}' for i in range(3000)) + "]")
    words = [str(data) if word == "FILE" else word for word in command]
    plain = subprocess.run(words, capture_output=True)
    found = record(*words, environ={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0"})
    assert (found.done.returncode, found.done.stdout) == (plain.returncode, plain.stdout)
    assert found.told == found.counts
    for recording in found.recordings:
        require_sound(recording)
        unknown = events_of(recording)["object"] == UNKNOWN_OBJECT
        assert not np.any(unknown)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_call_of_the_shipped_programs_is_recorded(
    record: Recorder, needs: Callable[..., None], tmp_path: Path, name: str
) -> None:
    (program,) = resolve(name)
    assert isinstance(program, Program)
    needs(program.missing is None, name, install=str(program.missing))
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    program.make_inputs(inputs)
    found = record(*program.arguments(inputs), environ=program.variables(inputs), cwd=inputs)
    assert found.done.returncode == program.program.exit_code
    if program.program.output_sha256 is not None:
        assert hashlib.sha256(found.done.stdout).hexdigest() == program.program.output_sha256
    assert found.told == found.counts
    for recording in found.recordings:
        require_sound(recording)


def test_two_recordings_of_a_deterministic_program_differ_in_time_alone(
    record: Recorder, needs: Callable[..., None]
) -> None:
    needs(shutil.which("perl"), "perl", install="apt-get install perl")
    command = ["perl", "-e", "my %h; $h{$_}=[$_] for 1..5000; delete $h{$_} for 1..5000"]
    environ = {"PERL_HASH_SEED": "0"}
    one, other = (
        events_of(record(*command, name=name, environ=environ, counted=False).first)
        for name in ("a.events", "b.events")
    )
    for field in ("object", "size", "extra", "kind", "entry", "align_log2"):
        assert np.array_equal(one[field], other[field])


def test_of_one_thread_s_allocations_and_frees_one_in_four_has_its_own_time(
    record: Recorder, program: Path
) -> None:
    found = record(program, "times")
    assert found.told == found.counts
    assert found.first.facts.clock != "monotonic", "else each has"
    assert found.first.facts.reading_ns > 0
    events, others = events_of(found.first, 0), events_of(found.first, 1)
    steps = np.diff(events["time"].astype(np.int64), prepend=0)
    kinds, sizes = events["kind"], events["size"]
    plain = np.isin(kinds, (Kind.ALLOCATION, Kind.FREE))
    born = found.first.threads[1].created
    assert born is not None
    created = int(np.searchsorted(events["time"], born))
    late = (np.arange(len(events)) > 4200) & (np.arange(len(events)) < created)
    shared = (steps == 0) & plain
    assert np.mean(shared[late & plain]) == pytest.approx(0.75, abs=0.01)
    assert not np.any(shared[4:] & shared[3:-1] & shared[2:-2] & shared[1:-3]), "of each four, one"
    # The first ones, those of two threads, and reallocs have their own, as far as ticks are fine.
    first = np.arange(len(events)) < 4000
    for own in (steps[first], steps[created + 10 :], np.diff(others["time"].astype(np.int64))):
        assert np.mean(own == 0) < 0.2
    ends = np.flatnonzero(kinds == Kind.REALLOC_END)
    assert np.all(steps[ends] + steps[ends - 1] > 0)
    # The pause is behind the 10,000th event of those with 48 bytes, by no more than four.
    (pause,) = np.flatnonzero(steps > int(0.025 * found.first.facts.ticks_per_second))
    before = np.count_nonzero(sizes[:pause] == 48)
    assert 5000 <= before <= 5002


def test_the_allocator_behind_is_the_one_that_was_asked_for(
    record: Recorder, program: Path, installed: Callable[[str], object]
) -> None:
    installed("jemalloc")
    found = record(program, "threads", "20", options=("-a", "jemalloc"), counted=False)
    assert "jemalloc" in found.first.facts.allocator
    require_sound(found.first)
    ours = record(program, "hand-over", options=("-a", "phase3"), name="o.events", counted=False)
    assert "liballocphase-malloc" in ours.first.facts.allocator
    require_sound(ours.first)


# ---- Threads and processes -----------------------------------------------------------------


def test_a_thousand_threads_are_born_end_and_are_joined(record: Recorder, program: Path) -> None:
    found = record(program, "threads", "1000")
    assert found.told == found.counts
    threads = [thread for thread in found.first.threads if not thread.shared]
    assert len(threads) == 1001
    main, *others = threads
    assert (main.parent, main.end, main.joined) == (None, None, None)
    for thread in others:
        assert (thread.parent, thread.joined_by) == (0, 0)
        assert thread.created is not None and thread.birth is not None
        assert thread.end is not None and thread.joined is not None
        assert thread.created <= thread.birth <= thread.end <= thread.joined
    owner = np.searchsorted(found.first.first_object, range(found.first.objects), "right") - 1
    events = events_of(found.first, 1)
    foreign = events[(events["kind"] == Kind.FREE) & (events["object"] < found.first.objects)]
    assert [owner[event] for event in foreign["object"][:1].tolist()] == [0]


def test_what_the_destructors_of_a_thread_free_is_not_lost(record: Recorder, program: Path) -> None:
    found = record(program, "late")
    assert found.told == found.counts
    kinds = Counter(events_of(found.first)["kind"].tolist())
    assert kinds[Kind.FREE] - np.count_nonzero(events_of(found.first)["object"] == NO_OBJECT) == 4


def test_a_fork_has_a_file_of_its_own_that_begins_with_what_it_inherits(
    record: Recorder, program: Path
) -> None:
    parent, child = record(program, "fork").recordings
    assert (parent.facts.process, parent.facts.origin) == (0, "start")
    assert (child.facts.parent, child.facts.origin) == (0, "fork")
    assert child.facts.pid != parent.facts.pid
    rows = [
        (Kind(int(event["kind"])).name, int(event["size"]), int(event["object"]))
        for event in events_of(child)
    ]
    assert rows == [
        ("INHERITED", 1000, 0),
        ("INHERITED", 2000, 1),
        ("FREE", 0, 0),
        ("ALLOCATION", 3000, 2),
        ("FREE", 0, 2),
    ]
    assert [int(size) for size in events_of(parent)["size"]] == [1000, 2000, 0]


def test_an_exec_begins_another_file_of_the_same_process(record: Recorder, program: Path) -> None:
    before, after = record(program, "exec").recordings
    assert (before.facts.ended, after.facts.origin) == ("exec", "exec")
    assert (before.facts.pid, after.facts.parent) == (after.facts.pid, 0)
    assert before.events == 1
    assert after.events > 30


def test_who_changes_its_root_goes_on_being_recorded(
    record: Recorder, needs: Callable[..., None], tmp_path: Path
) -> None:
    """And so do those that it forks then."""
    needs(os.getuid() == 0, "root", install="chroot is root's")
    script = (
        "import os; os.chroot(os.environ['ROOT']); os.chdir('/')\n"
        "x = [str(i) for i in range(3000)]\n"
        "child = os.fork()\n"
        "x += [str(i) for i in range(3000)]\n"
        "if child: os._exit(os.waitpid(child, 0)[1])\n"
        "os._exit(0)"
    )
    environ = {"PYTHONMALLOC": "malloc", "ROOT": str(tmp_path)}
    found = record("/usr/bin/env", "python3", "-c", script, environ=environ)
    assert found.done.returncode == 0
    assert found.told == found.counts
    assert [recording.facts.origin for recording in found.recordings[-2:]] == ["exec", "fork"]
    assert all(recording.events > 6000 for recording in found.recordings[-2:])


def test_a_pid_namespace_is_recorded_where_proc_is_ours(
    record: Recorder, program: Path, needs: Callable[..., None]
) -> None:
    space = ["unshare", "--pid", "--fork"] if os.getuid() == 0 else ["unshare", "-r", "-pf"]
    possible = subprocess.run([*space, "true"], capture_output=True).returncode == 0
    needs(possible, "pid namespaces", install="run as root, or allow user namespaces")
    found = record(*space, program, "calls", "300000", counted=False)
    assert found.done.returncode == 0
    (inner,) = [recording for recording in found.recordings if recording.events == 600_000]
    assert inner.facts.pid == 1
    assert inner.facts.ended == "exit"
    require_sound(inner)


# ---- The command stays as it was -------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_exit_code_and_streams_are_the_command_s(record: Recorder, code: int) -> None:
    found = record("sh", "-c", f"echo out; echo err >&2; exit {code}", counted=False)
    assert found.done.returncode == code
    assert found.done.stdout == b"out\n"
    assert found.done.stderr.startswith(b"err\nallocphase: ")


def test_a_command_that_a_signal_ends_has_ended_by_it(record: Recorder, program: Path) -> None:
    found = record(program, "end", "kill", counted=False)
    assert found.done.returncode == -signal.SIGKILL
    assert found.first.events == 2000


def test_a_signal_that_is_sent_to_us_goes_to_the_command(tmp_path: Path) -> None:
    script = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.05; done"
    command = [str(PROGRAM), "record", "-o", str(tmp_path / "r.events"), "--", "bash", "-c", script]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (9, b"caught\n")
    assert open_recording(tmp_path / "r.events").complete


def test_what_goes_on_after_the_command_is_left_alone(record: Recorder, tmp_path: Path) -> None:
    begun, done, go = (tmp_path / name for name in ("begun", "done", "go"))
    after = f"echo yes > {begun}; until [ -e {go} ]; do sleep 0.1; done; echo yes > {done}"
    script = f"({after}) > /dev/null 2>&1 & until [ -e {begun} ]; do sleep 0.1; done"
    found = record("bash", "-c", script, counted=False)
    assert found.done.returncode == 0
    assert {recording.facts.ended for recording in found.recordings} >= {"running", "exit"}
    go.touch()
    wait_until(done.exists)


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in attempts():
        if holds():
            return
    raise AssertionError("never")


def attempts(seconds: float = 60) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.05)


# ---- When the recording ends before the command -------------------------------------------


def test_max_bytes_ends_the_recording_and_not_the_command(record: Recorder, program: Path) -> None:
    found = record(program, "calls", "12000000", options=("--max-bytes", "1M"), counted=False)
    assert found.done.returncode == 0
    assert b"the recording ended at --max-bytes; the command went on" in found.done.stderr
    assert found.first.path.stat().st_size <= 1 << 20
    assert found.first.facts.ended == "max-bytes"
    assert 100_000 < found.first.events < 24_000_000


def test_a_drainer_that_dies_ends_the_recording_and_not_the_command(
    tmp_path: Path, program: Path
) -> None:
    output = tmp_path / "r.events"
    script = f"kill -9 $DRAINER; {program} calls 3000000; echo went on"
    inner = f"DRAINER=$(echo $ALLOCPHASE_RECORDER | cut -d/ -f3); {script}"
    done = subprocess.run(
        [PROGRAM, "record", "-o", output, "--", "bash", "-c", inner],
        capture_output=True,
        timeout=120,
    )
    assert done.stdout == b"went on\n"
    assert b"the recorder died; the command went on without it" in done.stderr
    assert done.returncode == 1


def test_a_full_disk_ends_the_recording_and_what_was_written_can_be_read(
    record: Recorder, program: Path, needs: Callable[..., None]
) -> None:
    folder = record.folder / "small"
    folder.mkdir()
    namespace = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "-rm"]
    mount = f"mount -t tmpfs -o size=256k none {folder}"
    possible = subprocess.run([*namespace, "sh", "-c", mount], capture_output=True).returncode == 0
    needs(possible, "mount namespaces", install="run as root, or allow user namespaces")
    kept = record.folder / "kept.events"
    command = f"{PROGRAM} record -o {folder}/r.events -- {program} calls 8000000"
    script = f"{mount}; {command}; code=$?; cp {folder}/r.events {kept}; exit $code"
    done = subprocess.run([*namespace, "sh", "-c", script], capture_output=True, timeout=120)
    assert b"the recording ended: No space left on device; the command went on" in done.stderr
    assert b"the recording is not whole" in done.stderr
    assert done.returncode == 1
    recording = open_recording(kept)
    assert recording.events == len(events_of(recording)) > 0
    assert recording.facts.ended in ("write", "recorder")  # a last word, if it had room


def test_a_killed_recorder_leaves_a_file_that_can_be_read(tmp_path: Path) -> None:
    script = "while :; do a+=(1 2 3 4 5 6 7 8); done"
    output = tmp_path / "r.events"
    process = subprocess.Popen([PROGRAM, "record", "-o", output, "--", "bash", "-c", script])
    wait_until(lambda: output.exists() and output.stat().st_size > 20_000)
    pid = child_of(process.pid)
    process.kill()
    process.wait()
    os.kill(pid, signal.SIGKILL)
    recording = open_recording(output)
    assert recording.facts.ended == "recorder"
    assert recording.events == len(events_of(recording)) > 0


def child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {int(c): Path(f"/proc/{c}/comm").read_text().strip() for c in children}
    return next(child for child, name in commands.items() if name == "bash")


# ---- What cannot be recorded ----------------------------------------------------------------


def test_a_static_program_is_no_empty_recording(record: Recorder) -> None:
    program = record.program("recorded", "-static")
    found = record(program, "calls", "10", counted=False)
    assert found.done.returncode == 5
    assert b"nothing was recorded: it is linked statically (it ended with exit code 0)" in (
        found.done.stderr
    )
    assert found.recordings == []


def test_a_setuid_program_is_no_empty_recording(record: Recorder, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root: only root can make a program that is another user's")
    program = tmp_path / "other"
    shutil.copy(record.program("recorded"), program)
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    found = record(program, "calls", "10", counted=False)
    assert found.done.returncode == 5
    assert b"runs with more rights than its user" in found.done.stderr
    assert found.recordings == []


def test_a_program_with_an_allocator_of_its_own_is_no_empty_recording(record: Recorder) -> None:
    """It allocates from mmap alone."""
    found = record(record.program("recorded"), "nothing", counted=False)
    assert found.done.returncode == 5
    assert b"no call came to it: the program has an allocator of its own" in found.done.stderr


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "r.events").write_text("precious")
    done = subprocess.run(
        [PROGRAM, "record", "-o", tmp_path / "r.events", "--", "touch", tmp_path / "ran"],
        capture_output=True,
    )
    assert done.returncode == 2
    assert b"is there already: remove it or name another one" in done.stderr
    assert (tmp_path / "r.events").read_text() == "precious"
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_cannot_be_written_is_found_before_the_command_runs(tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "r.events"
    command = [str(PROGRAM), "record", "-o", str(target), "--", "touch", str(tmp_path / "ran")]
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 2
    assert b"nowhere/r.events: cannot be written: No such file or directory" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_read_only_folder_is_found_before_the_command_runs(
    tmp_path: Path, needs: Callable[..., None]
) -> None:
    writable, other = tmp_path / "writable", tmp_path / "other"
    writable.mkdir()
    other.mkdir()
    before = [*read_only_prefix(needs, writable), str(writable)]
    words = [str(PROGRAM), "record", "-o", str(other / "r.events"), "--"]
    done = subprocess.run([*before, *words, "touch", str(writable / "ran")], capture_output=True)
    assert done.returncode == 2
    assert b"r.events: cannot be written: Read-only file system" in done.stderr
    assert list(writable.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--", "no-such-command"], 127, b"command not found"),
        (["--", "/etc/passwd"], 126, b"Permission denied"),
        (["--max-bytes", "12Q", "--", "true"], 2, b"'12Q' is no size"),
        (["--max-bytes", "5k", "--", "true"], 2, b"needs 1M at least"),
    ],
)
def test_what_cannot_be_run_is_said_as_shells_do(
    tmp_path: Path, words: list[str], code: int, text: bytes
) -> None:
    done = subprocess.run([PROGRAM, "record", *words], capture_output=True, cwd=tmp_path)
    assert done.returncode == code
    assert text in done.stderr
    assert list(tmp_path.iterdir()) == []


# ---- What it says ---------------------------------------------------------------------------


def test_it_says_what_was_recorded_and_what_it_cost(record: Recorder, program: Path) -> None:
    found = record(program, "threads", "10", options=("--measure-cost",), counted=False)
    said = found.done.stderr.decode()
    assert "events of 11 threads in 1 process in " in said
    assert " bytes an event, " in said
    assert "allocation 7" in said
    assert "threads waited " in said
    assert " of its own, " in said
    assert "s with the recorder, " in said
    cost = found.first.facts.cost
    assert cost is not None
    assert cost.wall_ns > 0 < cost.wall_without_ns
    assert cost.peak_rss_bytes > cost.cpu_ns > 0


@pytest.mark.parametrize("options", [(), ("--measure-cost",)], ids=str)
def test_the_trace_says_what_recording_it_cost(
    record: Recorder, program: Path, options: tuple[str, ...]
) -> None:
    """Of each process; of one that ended before the command as of the others."""
    found = record(program, "fork", options=options, counted=False)
    assert len(found.recordings) > 1
    for number, recording in enumerate(found.recordings):
        require_sound(recording)
        cost = recording.facts.cost
        assert cost == found.first.facts.cost
        assert cost is not None
        made = record.folder / f"{number}.trace"
        words = [str(PROGRAM), "trace", "import", str(recording.path), "-o", str(made)]
        subprocess.run(words, check=True, capture_output=True)
        done = subprocess.run([PROGRAM, "trace", "info", made], check=True, capture_output=True)
        (said,) = [line for line in done.stdout.decode().splitlines() if "recorder  " in line]
        assert f"the program took {format_ns(cost.wall_ns)}" in said
        assert f"; {format_bytes(cost.peak_rss_bytes)} of its own" in said
        assert ("without it" in said) == bool(options)

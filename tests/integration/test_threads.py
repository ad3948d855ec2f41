"""Threads of a trace: they always end, and hand objects over in the trace's own order."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocphase.trace.records import Kind, Touch
from tests.conftest import Needs
from tests.support.exerciser import source_of
from tests.support.plugins import ROOT
from tests.support.traces import Op, sync, write_trace

SANITIZE = ["-fsanitize=thread", "-O1", "-g", "-std=c11", "-D_GNU_SOURCE"]
# gcc's runtime knows the addresses of a process without ASLR.
WITHOUT_ASLR = ["setarch", "-R"]
PROBES = ("throughput", "latency", "memory", "verify")


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory, needs: Needs) -> dict[str, Path]:
    """Under the thread sanitizer: the driver, the racing plug-in in both variants, and phase3."""
    folder = tmp_path_factory.mktemp("tsan")
    trial = folder / "trial.c"
    trial.write_text("int main(void) { return 0; }\n")
    done = subprocess.run(
        ["cc", *SANITIZE, str(trial), "-o", str(folder / "trial")], capture_output=True
    )
    needs(done.returncode == 0, "the thread sanitizer", install="apt-get install gcc libc6-dev")
    names = folder / "syscall_names.h"
    names.write_text('static const char *const syscall_names[] = {"unnamed"};\n')
    rooms = ("*.c", "base/*.c", "probes/*.c")
    sources = [str(path) for room in rooms for path in sorted((ROOT / "driver").glob(room))]
    include = [f"-I{ROOT / 'driver'}", f"-I{folder}"]
    built = {name: folder / name for name in ("driver", "racer", "shared", "phase3")}
    command = ["cc", *SANITIZE, *include, *sources, "-o", str(built["driver"])]
    subprocess.run([*command, "-ldl", "-lpthread"], check=True)
    plugin = ["cc", *SANITIZE, *include, "-fPIC", "-shared", str(ROOT / "tests/c/racer.c")]
    subprocess.run([*plugin, "-o", str(built["racer"])], check=True)
    subprocess.run([*plugin, "-DSHARED", "-o", str(built["shared"])], check=True)
    plugin[-1] = str(source_of("phase3"))
    subprocess.run([*plugin, "-o", str(built["phase3"])], check=True)
    return built


@st.composite
def threaded_traces(draw: st.DrawFn) -> tuple[list[Op], list[int], dict[str, Any]]:
    """A run of up to four threads in one global order: any object may be used by any thread; and
    its parts: all of it is steady; all of it is build, of threads that stand or end; or build and
    drain.
    """
    threads = draw(st.integers(2, 4))
    slots = draw(st.integers(1, 6))
    steps = draw(
        st.lists(
            st.tuples(
                st.integers(0, slots - 1),
                st.integers(0, threads - 1),
                st.sampled_from(["end", "write", "grow"]),
            ),
            min_size=1,
            max_size=120,
        )
    )
    ops: list[Op] = []
    who: list[int] = []
    filled: set[int] = set()
    for slot, thread, wish in steps:
        if slot not in filled and wish == "write":
            ops.append(sync(slot))
        elif slot not in filled:
            ops.append((Kind.MALLOC, slot, 8 + 24 * slot, 0, 0))
            filled.add(slot)
        elif wish == "write":
            ops.append((Kind.WRITE, slot, 3, 0, 0))
        elif wish == "grow":
            ops.append((Kind.REALLOC, slot, 200 + len(ops), 0, 0))
        else:
            ops.append((Kind.FREE, slot, 0, 0, 0))
            filled.discard(slot)
        who.append(thread)
    built = len(ops)
    ops += [(Kind.FREE, slot, 0, 0, 0) for slot in sorted(filled)]
    who += [draw(st.integers(0, threads - 1)) for _ in filled]
    every: tuple[dict[str, Any], ...] = (
        {},
        {"build_ops": len(ops), "threads_end": draw(st.booleans())},
        {"build_ops": built, "drain_ops": len(ops) - built},
    )
    return ops, who, draw(st.sampled_from(every))


def _compact(who: Sequence[int]) -> list[int]:
    """Threads that do something, numbered without gaps."""
    return [sorted(set(who)).index(thread) for thread in who]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    drawn=threaded_traces(),
    probe=st.sampled_from(PROBES),
    subject=st.sampled_from(["racer", "shared", "phase3"]),
)
def test_random_threaded_traces_end_without_a_race(
    drawn: tuple[list[Op], list[int], dict[str, Any]],
    probe: str,
    subject: str,
    sanitized: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    ops, who, parts = drawn
    folder = tmp_path_factory.mktemp("race")
    who = _compact(who)
    path = write_trace(folder / "race.trace", ops, touch=Touch.ALL, thread=who, **parts)
    driver, plugin = str(sanitized["driver"]), str(sanitized[subject])
    command = [*WITHOUT_ASLR, driver, "--trace", str(path), "--out", str(folder)]
    command += ["--probe", probe, "--plugin", plugin, "--pass-ns", "1", "--passes", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "ThreadSanitizer" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "result.json").read_text())["status"] == "ok"

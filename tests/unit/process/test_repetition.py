"""The commands that repeat a process: what stands in them, and that a shell reads it as it was."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase.probe.probe import Probe
from allocphase.process.driver import Failure, TraceJob, own_variables
from allocphase.process.keeper import Limits
from allocphase.process.repetition import Repetition, repetitions
from tests.support.runs import fake_allocator
from tests.support.traces import batch, write_trace

# Prints what it was called with, a line a word, and some of its variables.
STAND_IN = """#!/bin/sh
printf '%s\\n' "$@"
echo "padding ${#ALLOCPHASE_PADDING}" "preload ${LD_PRELOAD-none}" "mine $MINE"
pwd
"""
SOME = Limits(memory_bytes=1 << 30, processes=5)


def stand_in(folder: Path) -> Path:
    path = folder / "driver"
    path.write_text(STAND_IN)
    path.chmod(0o755)
    return path


@pytest.fixture
def job(tmp_path: Path) -> TraceJob:
    mine = replace(fake_allocator("mine"), kind="plugin")
    return TraceJob(
        id=7,
        round=0,
        allocator=replace(mine, environment={"MINE": "a 'b' $c"}, config={"k": 'x "y" `z`'}),
        scenario="some",
        trace=write_trace(tmp_path / "some.trace", batch(1)),
        probe=Probe.SYSCALLS,
        cpus=(1, 0),
        timeout_s=2.5,
        padding_bytes=321,
        options={"fixed-addresses": "1", "syscall-backend": "auto"},
    )


def failure(folder: Path, **changes: object) -> Failure:
    made = Failure(driver=stand_in(folder), limits=SOME, ended_by="ended")
    return replace(made, **changes)  # type: ignore[arg-type]


def found(job: TraceJob, folder: Path, **changes: object) -> dict[str, Repetition]:
    """By the first words, of a process that is kept in `folder`."""
    kept = repetitions(job, failure(folder, **changes), folder)
    return {repetition.words.split()[0]: repetition for repetition in kept}


def lines(command: str) -> list[str]:
    variables = {**os.environ, "LD_PRELOAD": ""}
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, check=True, cwd="/", env=variables
    )
    return os.fsdecode(done.stdout).splitlines()


@pytest.mark.parametrize("name", ["plain", 'it\'s a "$x" `y` #&;*', "new\nline", b"\xff\x1b[31m"])
def test_a_shell_reads_the_call_as_it_was_whatever_is_in_names(
    tmp_path: Path, job: TraceJob, name: str | bytes
) -> None:
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    command = found(job, folder)["as"].command
    assert command.isprintable()
    arguments = ["--trace", str(job.trace), "--out", str(folder), "--probe", "syscalls"]
    arguments += ["--set", 'k=x "y" `z`', "--cpu", "1", "--cpu", "0", "--fixed-addresses", "1"]
    arguments += ["--syscall-backend", "auto", "--aloud", "1"]
    said = [*arguments, "padding 321 preload none mine a 'b' $c", str(folder)]
    assert "\n".join(lines(command)) == "\n".join(said)
    assert own_variables(job)["ALLOCPHASE_PADDING"] == "x" * 321


def test_what_a_shell_exports_for_allocators_is_taken_out_as_it_was(
    tmp_path: Path, job: TraceJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MALLOC_CONF", "zero:true")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    asked = replace(job.allocator, environment={"MALLOC_CONF": "narenas:1"})
    script = 'echo "$MALLOC_CONF ${MALLOC_ARENA_MAX-none}"'
    command = found(replace(job, allocator=asked), tmp_path)["as"].command
    (tmp_path / "driver").write_text(f"#!/bin/sh\n{script}\n")
    assert lines(command) == ["narenas:1 none"]


def test_without_a_padding_there_is_an_empty_one(tmp_path: Path, job: TraceJob) -> None:
    command = found(replace(job, padding_bytes=0), tmp_path)["as"].command
    assert "padding 0 preload none mine a 'b' $c" in lines(command)


def test_a_preload_is_set_for_the_driver_alone(tmp_path: Path, job: TraceJob) -> None:
    preload = replace(job.allocator, kind="preload", path=tmp_path / "lib.so")
    made = found(replace(job, allocator=preload), tmp_path)
    assert f" LD_BIND_NOW=1 LD_PRELOAD={tmp_path}/lib.so " in made["as"].command
    assert "-u LD_PRELOAD" not in made["as"].command
    assert made["in"].command.index("gdb -q") < made["in"].command.index("LD_PRELOAD")
    assert made["under"].command.index("valgrind -q") < made["under"].command.index("LD_PRELOAD")


def test_under_a_tool_nothing_is_observed_and_valgrind_is_not_started_again(
    tmp_path: Path, job: TraceJob
) -> None:
    made = found(job, tmp_path)
    for tool in ("in", "under"):
        assert "--syscall-backend mark" in made[tool].command
    assert "--fixed-addresses 1" in made["in"].command
    assert "--fixed-addresses" not in made["under"].command
    verify = found(replace(job, probe=Probe.VERIFY, options={}), tmp_path)
    assert "--syscall-backend" not in verify["in"].command


@pytest.mark.parametrize(
    ("ended_by", "limit"), [("timeout", "2.5 s"), ("memory", "1.00 GiB"), ("processes", "5 proc")]
)
def test_what_the_keeper_ended_has_it_in_front_with_its_limits_and_tools_warn(
    tmp_path: Path, job: TraceJob, ended_by: str, limit: str
) -> None:
    made = found(job, tmp_path, ended_by=ended_by)
    assert f"beyond {limit}" in made["as"].words
    assert f"begins with `{ended_by}`" in made["as"].words
    said = lines(made["as"].command)
    assert said[:3] == ["--keep", "--timeout-ns", "2500000000"]
    assert said[3:5] == ["--memory-bytes", str(1 << 30)]
    assert said[said.index("--") + 1 :][:3] == ["/usr/bin/env", "-u", "LD_PRELOAD"]
    assert all("Ctrl-C" in made[tool].words for tool in ("in", "under"))


def test_no_words_of_the_harness_s_own_environment_are_written_down(
    tmp_path: Path, job: TraceJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    assert all("hunter2" not in each.command for each in found(job, tmp_path).values())

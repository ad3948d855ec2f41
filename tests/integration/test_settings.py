"""Settings of the installed allocators: what they themselves say of the keys that we list."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from allocphase.allocator import Allocator, collected
from allocphase.allocator.environment import environment_of
from allocphase.tune import space_of

PROGRAM = Path(sys.executable).with_name("allocphase")
TIMEOUT_S = 300
# It allocates, and closes nothing before exit, so that what an allocator says there is seen.
USER = [sys.executable, "-c", "print(sum(map(len, [bytes(n) for n in range(1000)])))"]


def value_of(found: Allocator, key: str) -> str:
    """One that the allocator can read."""
    assert found.settings_form is not None
    known = found.settings_form.keys[key]
    usual = {"boolean": "true", "size": "1MiB", "text": "none"}.get(known.type, "1")
    return known.choices[0] if known.choices else usual


def said(found: Allocator, environ: Mapping[str, str] | None = None) -> str:
    """What a program under it says on stderr."""
    variables = environment_of(found, {**os.environ, **(environ or {})})
    done = subprocess.run(USER, env=variables, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(("name", "words"), [("jemalloc", "nvalid conf"), ("scudo", "nrecognized")])
def test_who_names_what_it_cannot_read_names_none_of_our_keys(
    installed: Callable[[str], Allocator], name: str, words: str
) -> None:
    found = installed(name)
    assert found.settings_form is not None
    newer = {"allocation_ring_buffer_size"}  # says so itself
    keys = {key: value_of(found, key) for key in found.settings_form.keys if key not in newer}
    assert words not in said(found.with_settings(keys))
    form = found.settings_form
    unknown = "nonsense:1" if name == "jemalloc" else "nonsense=1"
    passed = found.with_settings({f"env.{form.variable}": unknown})
    assert words in said(passed)


def test_jemalloc_s_settings_are_what_it_has_then(
    installed: Callable[[str], Allocator],
) -> None:
    found = installed("jemalloc")
    wanted = {"narenas": "3", "dirty_decay_ms": "77", "thp": "never", "retain": "false"}
    text = said(found.with_settings(wanted), {"MALLOC_CONF": "stats_print:true"})
    taken = dict(re.findall(r'^  opt\.(\w+): "?(\w+)', text, re.MULTILINE))
    assert {key: taken[key] for key in wanted} == wanted


@pytest.mark.parametrize("name", ["mimalloc", "mimalloc3"])
def test_mimalloc_s_settings_are_what_it_has_then_or_known_to_be_ignored(
    installed: Callable[[str], Allocator], name: str
) -> None:
    found = installed(name)
    assert found.settings_form is not None
    keys = found.settings_form.keys
    delays = {"purge_delay", "decommit_delay"} & set(keys)
    wanted = found.with_settings(dict.fromkeys(delays, "77"))
    text = said(wanted, {"MIMALLOC_VERBOSE": "1"})
    options = dict(re.findall(r"option '(\w+)': (-?\d+)", text))
    every = found.with_settings({key: value_of(found, key) for key in keys})
    assert not set(every.ignored_settings()) & set(options)
    assert "77" in options.values()
    assert len(set(keys) & set(options)) > 10


@pytest.mark.parametrize("name", ["tcmalloc", "tcmalloc-full"])
def test_tcmalloc_has_what_is_set(installed: Callable[[str], Allocator], name: str) -> None:
    found = installed(name)
    assert found.ignored_settings() == ()
    wanted = found.with_settings({"max_total_thread_cache_bytes": "999424", "heap_limit_mb": "500"})
    assert wanted.ignored_settings() == ()
    property_of = (
        "import ctypes, sys; value = ctypes.c_size_t(); "
        "ctypes.CDLL(None).MallocExtension_GetNumericProperty("
        "sys.argv[1].encode(), ctypes.byref(value)); print(value.value)"
    )
    for key, value in wanted.config.items():
        done = subprocess.run(
            [sys.executable, "-c", property_of, f"tcmalloc.{key}"],
            env=environment_of(wanted),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.stdout.strip() == value, done.stderr


def test_settings_act_in_what_is_measured_and_doubts_stand_at_the_figures(
    installed: Callable[[str], Allocator], tmp_path: Path
) -> None:
    """A thread of jemalloc's own, no cache in libc's: each is seen by what the driver counts."""
    installed("jemalloc")
    specs = [
        "libc?tcache_count=0",
        "jemalloc?background_thread=true",
        "jemalloc?env.MALLOC_CONF=nonsense:1",
    ]
    arms = [word for spec in specs for word in ("-a", spec)]
    what = ["-s", "phase-report", "-p", "throughput", "-p", "verify", "-r", "1"]
    done = subprocess.run(
        [PROGRAM, "run", *arms, *what, "--json", "-", "-q"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=TIMEOUT_S,
        env={**os.environ, "MALLOC_CONF": "abort_conf:true,nonsense:2"},
    )
    assert done.returncode == 0, done.stderr
    cells = {cell["allocator"]: cell for cell in json.loads(done.stdout)["cells"]}
    assert list(cells) == specs
    assert [cell["status"] for cell in cells.values()] == ["ok"] * 3
    assert " of its own: their system calls" in str(cells[specs[1]]["warnings"])
    rejected = "on stderr, with its settings: <jemalloc>: Invalid conf pair: nonsense:1"
    assert rejected in cells[specs[2]]["warnings"]
    assert not any("on stderr" in str(cells[spec]["warnings"]) for spec in specs[:2])
    (manifest,) = tmp_path.glob("out/*/run.json")
    arms_of = {arm["name"]: arm for arm in json.loads(manifest.read_text())["allocators"]}
    assert arms_of[specs[0]]["environment"] == {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
    assert arms_of[specs[0]]["config"] == {"tcache_count": "0"}


def test_a_gate_of_two_settings_of_one_allocator_notes_what_is_ignored(
    installed: Callable[[str], Allocator], tmp_path: Path
) -> None:
    """On figures that both have alike: the key is one that this build does not know."""
    installed("tcmalloc")
    limits = [word for limit in ("*=off", "syscalls=exact") for word in ("--limit", limit)]
    arms = ["--baseline", "tcmalloc", "--candidate", "tcmalloc?sample_parameter=0"]
    done = subprocess.run(
        [PROGRAM, "gate", *arms, "-s", "phase-report", *limits, "--json", "-", "-q"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=TIMEOUT_S,
    )
    assert done.returncode in (0, 3, 4), done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["candidate"]["config"] == {"sample_parameter": "0"}
    assert any("candidate: setting sample_parameter: this build" in n for n in verdict["notes"])


def test_the_doctor_names_what_a_shell_exports() -> None:
    done = subprocess.run(
        [PROGRAM, "doctor"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, "MALLOC_ARENA_MAX": "1", "MIMALLOC_VERBOSE": "0"},
    )
    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if line[8:].startswith("tuning")]
    assert line.startswith("note")
    assert "MALLOC_ARENA_MAX=1, MIMALLOC_VERBOSE=0: taken out of what is measured" in line


@pytest.mark.parametrize(
    "name", [name for name, found in collected().items() if found.settings_form is not None]
)
def test_no_allocator_complains_of_what_is_suggested_for_it(
    installed: Callable[[str], Allocator], name: str
) -> None:
    """Every setting that `allocphase tune` tries by itself runs, and adds no word."""
    space = space_of(installed(name).name)
    usual = said(space.default)
    assert {arm.name: text for arm in space.arms if (text := said(arm)) != usual} == {}

"""Simulated caches: held against arithmetic, against themselves, and against each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allocphase.errors import UsageError
from allocphase.machine.simulated_caches import THIS_MACHINE, simulated_caches
from allocphase.machine.valgrind import NOT_INSTALLED, find_valgrind
from allocphase.probe.probe import Probe
from allocphase.probe.result import Instructions, Simulated
from tests.support.driving import Driver
from tests.support.plugins import Plugins, plugin
from tests.support.traces import made_trace

SPEC = "random-churn?live=10&operations=200"
L1 = "I1=32768,8,64,D1=32768,8,64"
SMALL, LARGE = f"{L1},LL=131072,16,64", f"{L1},LL=1048576,16,64"
SWEPT_BYTES = 256 << 10
SWEPT_LINES = SWEPT_BYTES // 64


@pytest.fixture(autouse=True)
def _valgrind(needs: Callable[..., None]) -> None:
    needs(find_valgrind(), "valgrind", install=NOT_INSTALLED.partition(": ")[2])


def measured(driver: Driver, path: Path, library: Path, caches: str, **config: int) -> Instructions:
    subject = plugin(library, **{key: str(value) for key, value in config.items()})
    chosen: dict[str, Any] = {"cache_sim": caches} if caches else {}
    outcome = driver.measure(Probe.INSTRUCTIONS, path, subject, fixed_addresses=1, **chosen)
    return outcome.result.part(Instructions)


def simulated(found: Instructions) -> Simulated:
    assert found.simulated is not None
    return found.simulated


@pytest.mark.parametrize(
    ("caches", "swept_bytes", "l1", "ll"),
    [
        # Each line is gone before it is read again, where what is read is larger than the cache.
        pytest.param(LARGE, SWEPT_BYTES, SWEPT_LINES, 0, id="larger than the first level"),
        pytest.param(SMALL, SWEPT_BYTES, SWEPT_LINES, SWEPT_LINES, id="larger than the last"),
        pytest.param(LARGE, 16 << 10, 0, 0, id="within the first level"),
    ],
)
def test_what_a_malloc_reads_misses_as_arithmetic_says(
    driver: Driver,
    tmp_path: Path,
    plugins: Plugins,
    caches: str,
    swept_bytes: int,
    l1: int,
    ll: int,
) -> None:
    path, library = made_trace(SPEC, tmp_path), plugins("sweeper")
    found = measured(driver, path, library, caches, lines=SWEPT_LINES, bytes=swept_bytes, coins=0)
    mallocs = found.calls["malloc"]
    missed = simulated(found)
    assert missed.caches == caches
    # The arena and the replay have a few lines of their own.
    assert missed.l1_misses / mallocs == pytest.approx(l1, rel=0.01, abs=16)
    assert missed.ll_misses / mallocs == pytest.approx(ll, rel=0.01, abs=1)


def test_a_coin_is_mispredicted_every_other_time(
    driver: Driver, tmp_path: Path, plugins: Plugins
) -> None:
    coins = 500
    path, library = made_trace(SPEC, tmp_path), plugins("sweeper")
    found = measured(driver, path, library, LARGE, lines=0, bytes=4096, coins=coins)
    each = simulated(found).mispredictions / found.calls["malloc"]
    assert each / coins == pytest.approx(0.5, abs=0.05)  # 50,000 tosses


def test_simulating_changes_no_instruction_and_no_folder_a_miss(
    driver: Driver, tmp_path: Path, plugins: Plugins
) -> None:
    library = plugins("sweeper")
    config = {"lines": 64, "bytes": 4096, "coins": 1}
    found = measured(driver, made_trace(SPEC, tmp_path), library, LARGE, **config)
    plain = measured(driver, made_trace(SPEC, tmp_path), library, "", **config)
    assert (plain.counted, plain.simulated) == (found.counted, None)
    elsewhere = tmp_path / "a folder of another length"
    elsewhere.mkdir()
    again = measured(Driver(elsewhere), made_trace(SPEC, elsewhere), library, LARGE, **config)
    assert again == found


def test_what_is_not_named_is_this_machines() -> None:
    here = simulated_caches(THIS_MACHINE)
    d1 = "D1=16384,4,64"
    assert simulated_caches(d1) == ",".join(
        d1 if one.startswith("D1") else f"{one[:2]}{one[2:]}" for one in _each(here)
    )
    assert simulated_caches(here) == here


def _each(caches: str) -> list[str]:
    parts = caches.split(",")
    return [",".join(parts[i : i + 3]) for i in range(0, len(parts), 3)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I1=32768", "is written I1=SIZE,WAYS,LINE"),
        ("L2=32768,8,64", "is written I1=SIZE,WAYS,LINE"),
        ("I1=32768,8,64,I1=32768,8,64", "is written I1=SIZE,WAYS,LINE"),
        ("D1=32768,8,63", "power of two"),
    ],
)
def test_sizes_that_valgrind_does_not_take_are_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        simulated_caches(text)


def command(folder: Path, *arguments: str, path: str | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "allocphase.cli", *arguments],
        cwd=folder,
        env=os.environ if path is None else {**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_without_valgrind_or_the_probe_it_is_refused(tmp_path: Path) -> None:
    ran = ("run", "-a", "libc", "-s", SPEC, "--cache-sim")
    code, said = command(tmp_path, *ran)
    assert code == 2
    assert "--cache-sim is for the instructions probe" in said
    code, said = command(tmp_path, *ran, "-p", "instructions", path=str(tmp_path))
    assert code == 2
    assert f"--cache-sim needs valgrind, which is {NOT_INSTALLED}" in said


def test_a_run_calls_them_simulated_wherever_it_prints_them(
    tmp_path: Path, plugins: Plugins
) -> None:
    code, said = command(
        tmp_path,
        *("run", "-a", f"mine={plugins('sweeper')}?lines=10&bytes=4096&coins=0", "-s", SPEC),
        *("-p", "instructions", "--cache-sim", LARGE, "--json", "cells.json", "--report"),
    )
    assert code == 0, said
    document = json.loads((tmp_path / "cells.json").read_text(encoding="utf-8"))
    names = {name for cell in document["cells"] for name in cell["metrics"] if "miss" in name}
    assert names == {
        "simulated_l1_misses_per_op",
        "simulated_ll_misses_per_op",
    }
    assert document["environment"]["simulated_caches"] == LARGE
    (folder,) = (tmp_path / "out").iterdir()
    texts = [said, *((folder / name).read_text() for name in ("report.html", "report.md"))]
    assert all("simulated L1 misses/op" in text for text in texts)


def gate(folder: Path, library: Path, *base: str, caches: str) -> str:
    """What it says, in one line; of the candidate that goes another way through memory."""
    _, said = command(
        folder,
        *("gate", *base, "--candidate", f"mine={library}?{WORSE}", "-s", SPEC),
        *("--cache-sim", caches, "--limit", "*=off", "--limit", "simulated_*=5%"),
        *("--limit", "instructions=exact", "--json", "gate.json"),
    )
    return " ".join(said.split())


BASE = "lines=512&bytes=8192&coins=0"
# The same instructions, and another way through memory.
WORSE = "lines=512&bytes=262144&coins=0"


def outcomes(folder: Path) -> dict[str, str]:
    document = json.loads((folder / "gate.json").read_text(encoding="utf-8"))
    return {row["id"].partition(":")[0]: row["outcome"] for row in document["rows"]}


def test_a_gate_sees_a_miss_that_no_instruction_tells_of(tmp_path: Path, plugins: Plugins) -> None:
    library = plugins("sweeper")
    said = gate(tmp_path, library, "--baseline", f"mine={library}?{BASE}", caches=LARGE)
    assert outcomes(tmp_path) == {
        "instructions": "unchanged",
        "simulated_l1_misses": "regressed",
        "simulated_ll_misses": "unchanged",
        "simulated_mispredictions": "unchanged",
    }, said


def test_misses_hold_in_the_same_caches_only(tmp_path: Path, plugins: Plugins) -> None:
    library = plugins("sweeper")
    saving = ("baseline", "save", "main", "-a", f"mine={library}?{BASE}", "-s", SPEC)
    code, said = command(tmp_path, *saving, "--only-counts", "--cache-sim", LARGE)
    assert code == 0, said
    said = gate(tmp_path, library, "--saved", "main", caches=SMALL)
    assert f"simulated_caches: {LARGE} then, {SMALL} now: simulated_l1_misses" in said
    assert outcomes(tmp_path) == {"instructions": "unchanged"}

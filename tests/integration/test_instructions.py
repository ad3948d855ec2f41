"""Instructions as callgrind counts them: held against the disassembly, against themselves, and
against a build that has one more.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase import resources, scenario, trace
from allocphase.allocator import Allocator, resolve
from allocphase.machine.environment import environment
from allocphase.machine.valgrind import NOT_INSTALLED, find_valgrind
from allocphase.probe.probe import Probe
from allocphase.probe.result import Instructions
from allocphase.process.callgrind import read_profile
from tests.support.driving import Driver
from tests.support.plugins import ROOT

ALONE = "random-churn?live=50&operations=2000"
# Which of them ask the clock when to give memory back differ by a few instructions.
STEADY_ALLOCATORS = ("libc", "phase1", "phase3", "tcmalloc", "ariax")
SCENARIOS = (
    ALONE,
    "phase-report-churn?live=40&allocations=800",
    "realloc-growth?operations=600",
    "phase-report?allocations=300",
    "sawtooth?teeth=2&objects=200",
)


@pytest.fixture(autouse=True)
def _valgrind(needs: Callable[..., None]) -> None:
    needs(find_valgrind(), "valgrind", install=NOT_INSTALLED.partition(": ")[2])


def made(spec: str, folder: Path) -> Path:
    (chosen,) = scenario.resolve(spec)
    path = folder / "a.trace"
    trace.write(scenario.generate(chosen), path)
    return path


def counted(driver: Driver, path: Path, allocator: Allocator) -> Instructions:
    return driver.measure(Probe.INSTRUCTIONS, path, allocator, fixed_addresses=1).result.part(
        Instructions
    )


def straight(name: str, library: Path) -> int:
    """Of a function that branches nowhere before its first return, the instructions."""
    command = ["objdump", "-d", "--no-show-raw-insn", f"--disassemble={name}", str(library)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^ +[0-9a-f]+:\t(\S+)", text, re.M)
    return lines.index("ret") + 1


def test_null_takes_what_its_disassembly_has(
    driver: Driver, tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs(shutil.which("objdump"), "objdump", install="apt-get install binutils")
    null = resolve("null")[0]
    assert null.path is not None
    found = counted(driver, made(ALONE, tmp_path), null)
    for call in ("malloc", "free"):
        each = straight(f"null_{call}", null.path)
        assert found.counted[call] == each * found.calls[call]


def test_every_call_of_one_replay_is_counted(driver: Driver, tmp_path: Path) -> None:
    path = made("realloc-growth?operations=600", tmp_path)
    outcome = driver.measure(Probe.INSTRUCTIONS, path, resolve("phase3")[0], fixed_addresses=1)
    found = outcome.result.part(Instructions)
    assert sum(found.calls.values()) == outcome.result.repeated_operations
    assert set(found.counted) == set(found.calls) == {"malloc", "realloc", "free"}
    assert sum(found.counted.values()) == sum(one.instructions for one in found.functions)
    named = {one.name: one for one in found.functions}
    assert re.fullmatch(r"[\w.]+\.[ch]:\d+", named["phase3_malloc"].source)
    assert named["phase3_malloc"].object == "phase3.so"


@pytest.mark.parametrize("name", STEADY_ALLOCATORS)
@pytest.mark.parametrize("spec", SCENARIOS)
def test_the_same_cell_counts_the_same(
    driver: Driver,
    tmp_path: Path,
    installed: Callable[[str], Allocator],
    name: str,
    spec: str,
) -> None:
    """In a folder of another name, and among other variables."""
    path = made(spec, tmp_path)
    first = counted(driver, path, installed(name))
    os.environ["ALLOCPHASE_PADDING_OF_A_TEST"] = "x" * 3000
    try:
        assert counted(driver, path, installed(name)) == first
    finally:
        del os.environ["ALLOCPHASE_PADDING_OF_A_TEST"]


def test_callgrinds_own_profile_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "allocphase.cli", "run", "-a", "phase3", "-s", ALONE, "-p"]
    command += ["instructions", "--keep-profiles", "--out", str(tmp_path), "-q", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    (run,) = tmp_path.iterdir()
    kept = sorted((run / "profiles").iterdir())
    assert [path.name.rpartition(".")[0] for path in kept] == [
        "callgrind.out.phase3.random-churn-live-50-operations-2000"
    ] * len(kept)
    assert f"{run / 'profiles'}/callgrind.out.*" in done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    found = read_profile(kept[0], resources.find("driver/allocphase-driver"))
    assert sum(found.by_call.values()) == 2000 * cell["metrics"]["instructions_per_op"]


def built(folder: Path, *, more: str) -> Path:
    """phase3 of this checkout, with `more` at the beginning of its malloc."""
    head = "static void *phase3_malloc(size_t size) {\n"
    shutil.copytree(ROOT / "allocators", folder)
    source = folder / "phase3" / "phase3.c"
    text = source.read_text(encoding="utf-8")
    assert text.count(head) == 1
    source.write_text(text.replace(head, head + more), encoding="utf-8")
    flags = ["-std=gnu11", "-O2", "-g", "-fPIC", "-shared", "-fvisibility=hidden"]
    library = folder / "phase3.so"
    command = ["cc", *flags, f"-I{ROOT / 'driver'}", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    return library


def gate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "allocphase.cli", "gate", "--only-counts", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_one_added_instruction_is_found_and_its_function_named(tmp_path: Path) -> None:
    old = built(tmp_path / "old", more="")
    new = built(tmp_path / "new", more='  __asm__ volatile("nop");\n')
    row = f"instructions:{ALONE}"
    done = gate(
        tmp_path,
        *("--baseline", f"phase3={old}", "--candidate", f"phase3={new}", "-s", ALONE),
        *("--json", "gate.json", "--explain", row),
    )
    assert done.returncode == 3, done.stdout + done.stderr
    verdict = json.loads((tmp_path / "gate.json").read_text(encoding="utf-8"))
    rows = {one["id"]: one for one in verdict["rows"]}
    assert rows[row]["outcome"] == "regressed"
    assert {one["outcome"] for name, one in rows.items() if name != row} == {"unchanged"}
    assert not [name for name in rows if name.startswith(("time:", "wall:"))]
    # One in each malloc, which is every second operation.
    (line,) = [text for text in done.stdout.splitlines() if text.startswith("phase3_malloc")]
    assert line.split()[-1] == "+0.5"


def test_the_same_object_is_unchanged_by_counts(tmp_path: Path) -> None:
    same = built(tmp_path / "same", more="")
    done = gate(
        tmp_path, "--baseline", f"phase3={same}", "--candidate", f"phase3={same}", "-s", ALONE
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_added_instruction_is_found_against_saved_counts(tmp_path: Path) -> None:
    old = built(tmp_path / "old", more="")
    new = built(tmp_path / "new", more='  __asm__ volatile("nop");\n')
    command = [sys.executable, "-m", "allocphase.cli", "baseline", "save", "main"]
    arguments = ["--only-counts", "-a", f"phase3={old}", "-s", ALONE]
    subprocess.run([*command, *arguments], cwd=tmp_path, check=True)
    done = gate(tmp_path, "--saved", "main", "--candidate", f"phase3={old}", "-s", ALONE)
    assert done.returncode == 0, done.stdout + done.stderr
    done = gate(tmp_path, "--saved", "main", "--candidate", f"phase3={new}", "-s", ALONE)
    assert done.returncode == 3, done.stdout + done.stderr


def test_without_valgrind_the_other_counts_are_gated(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "allocphase.cli", "gate", "--only-counts", "--all-rows"),
            *("--baseline", "phase3", "--candidate", "phase3", "-s", ALONE),
        ],
        cwd=tmp_path,
        env={**os.environ, "PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"no instructions: valgrind is {NOT_INSTALLED}" in done.stderr
    assert "instructions" not in done.stdout


def test_what_is_no_profile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "callgrind.out.1"
    path.write_text("events: Ir\nfn=main\n3 4\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no profile of callgrind's"):
        read_profile(path, Path("allocphase-driver"))


def test_the_cpu_that_is_a_fact_is_the_one_that_valgrind_shows(tmp_path: Path) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("it is asked by CPUID, which is x86-64's")
    program = tmp_path / "cpuid"
    subprocess.run(["cc", "-o", str(program), str(ROOT / "tests" / "c" / "cpuid.c")], check=True)
    command = [str(find_valgrind()), "-q", "--tool=none", str(program)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    fact = str(environment()["valgrind_cpu"]).split()
    best = [cpu for cpu in ("avx2", "avx", "sse4.2", "ssse3", "sse2") if cpu in (*shown, "sse2")]
    assert fact[0] == best[0]
    # A kernel may know better than the CPU whether its RDSEED works.
    assert set(fact[1:]) - {"rdseed"} == {"f16c", "rdrand"}.intersection(shown)
    assert "avx512f" not in shown


def test_a_preload_is_counted_as_itself(
    driver: Driver, tmp_path: Path, installed: Callable[[str], Allocator]
) -> None:
    path = made(ALONE, tmp_path)
    found = counted(driver, path, installed("jemalloc"))
    objects = {one.object for one in found.functions[:2]}
    assert all("jemalloc" in name for name in objects)
    assert replace(found, functions=()).valgrind

"""valgrind as a fact of the machine: its version, and which CPU it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase.machine.valgrind import find_valgrind, seen_features, valgrind_version

HASWELL = "fpu pni ssse3 cx16 abm avx avx2 bmi1 f16c fma rdtscp rdrand"


def seen(flags: str) -> str | None:
    return seen_features({"flags": flags, "model name": "any"}, chip="family 25")


def test_what_valgrind_hides_is_no_difference() -> None:
    hidden = "avx512f avx512vl erms fsrm vaes hypervisor fma4 sse4a"
    assert seen(HASWELL) == seen(f"{HASWELL} {hidden}") == "avx2 f16c rdrand"


@pytest.mark.parametrize(
    ("without", "shown"),
    [
        ("avx2", "avx f16c rdrand"),
        ("avx2 avx", "sse4.2"),
        ("avx2 avx rdtscp", "ssse3"),
        ("ssse3", "sse2"),
        ("cx16", "sse2"),
        ("f16c", "avx2 rdrand"),
        ("rdrand", "avx2 f16c"),
        ("bmi1 abm fma pni", "avx2 f16c rdrand"),
    ],
)
def test_it_shows_the_best_of_its_cpus_that_the_machine_allows(without: str, shown: str) -> None:
    left = [word for word in HASWELL.split() if word not in without.split()]
    assert seen(" ".join(left)) == shown


def test_the_order_of_flags_is_none() -> None:
    assert seen(HASWELL) == seen(" ".join(reversed(HASWELL.split())))


def test_of_aarch64_it_shows_what_it_knows_and_the_chip() -> None:
    listed = "fp asimd sve sve2 atomics cpuid lrcpc asimddp"
    found = seen_features({"Features": listed}, chip="part 0xd0c")
    assert found == "asimd asimddp atomics fp; part 0xd0c"


def test_without_a_list_nothing_is_known() -> None:
    assert seen_features({}, chip=None) is None


def installed(folder: Path, text: str) -> None:
    path = folder / "valgrind"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_the_version_is_what_it_says_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, "echo valgrind-3.99.1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_valgrind() == tmp_path / "valgrind"
    assert valgrind_version() == "valgrind-3.99.1"


def test_one_that_fails_or_is_not_there_has_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert valgrind_version() is None
    installed(tmp_path, "echo valgrind-3; exit 1")
    assert find_valgrind() is not None
    assert valgrind_version() is None

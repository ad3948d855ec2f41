"""valgrind as a fact of the machine: its version, and which CPU it shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase.machine.valgrind import find_valgrind, seen_features, valgrind_version

HASWELL = "fpu pni ssse3 cx16 abm avx avx2 bmi1 f16c fma rdtscp rdrand"


def seen(flags: str) -> str | None:
    return seen_features({"flags": flags, "model name": "any"}, chip="family 25")


def test_what_valgrind_hides_is_no_difference() -> None:
    assert seen(HASWELL) == seen(f"{HASWELL} avx512f avx512vl erms fsrm vaes hypervisor")


@pytest.mark.parametrize("flag", HASWELL.split()[1:])
def test_what_it_chooses_its_cpu_by_is_one(flag: str) -> None:
    without = " ".join(word for word in HASWELL.split() if word != flag)
    assert seen(HASWELL) != seen(without)


def test_the_order_of_flags_is_none() -> None:
    assert seen("avx pni") == seen("pni avx") == "avx pni"


def test_of_aarch64_the_chip_is_a_part_and_scalable_vectors_are_not() -> None:
    found = seen_features({"Features": "fp asimd sve sve2 atomics"}, chip="part 0xd0c")
    assert found == "asimd atomics fp; part 0xd0c"


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

"""What our allocators take as settings, and what their objects export."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.exerciser import (
    CORRECT,
    MALLOC,
    PLUGINS,
    WARNINGS,
    Exercisers,
    Op,
    config_of,
    exercise,
    passes,
    source_of,
)

NOT_A_SIZE = ["", " 4096", "-1", "+1", "0x1000", "1e", "nan", "99999999999999999999"]


@pytest.mark.parametrize("name", CORRECT)
def test_the_defaults_of_the_toml_are_accepted(exercisers: Exercisers, name: str) -> None:
    defaults = [f"{key}={value}" for key, value in config_of(name).items()]
    passes(exercisers(name), [Op(MALLOC, 0, 100)], *defaults)


@pytest.mark.parametrize("name", PLUGINS)
def test_the_defaults_of_the_toml_are_those_of_the_source(name: str) -> None:
    source = source_of(name).read_text()
    declared = re.findall(r"^static (?:size_t|double) (\w+) = ([\d.]+);", source, re.MULTILINE)
    keys = re.findall(r'\{"(\w+)", \.(?:whole|real) = &\1,', source)
    assert sorted(keys) == sorted(config_of(name))
    assert {key: float(value) for key, value in declared if key in keys} == config_of(name)


@pytest.mark.parametrize("name", CORRECT)
@pytest.mark.parametrize("value", NOT_A_SIZE)
def test_a_setting_that_is_no_number_in_range_is_refused(
    exercisers: Exercisers, name: str, value: str
) -> None:
    for key in config_of(name):
        outcome = exercise(exercisers(name), [], f"{key}={value}")
        assert (outcome.code, outcome.message) == (3, "init: Invalid argument\n"), key


@pytest.mark.parametrize("name", CORRECT)
def test_a_setting_that_the_allocator_does_not_know_is_refused(
    exercisers: Exercisers, name: str
) -> None:
    outcome = exercise(exercisers(name), [], "misspelt=1")
    assert (outcome.code, outcome.message) == (3, "init: Invalid argument\n")


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_exports_its_table_and_nothing_else(tmp_path: Path, name: str) -> None:
    library = tmp_path / f"{name}.so"
    flags = ["-O2", "-fPIC", "-shared", "-fvisibility=hidden"]
    command = ["cc", *WARNINGS, *flags, str(source_of(name)), "-o", str(library)]
    subprocess.run(command, check=True)
    nm = ["nm", "--dynamic", "--defined-only", "--format=posix", str(library)]
    listing = subprocess.run(nm, check=True, capture_output=True, text=True).stdout
    assert [line.split()[0] for line in listing.splitlines()] == ["allocphase_plugin"]

"""The rooms of the driver: includes point one way. Read from the #include lines themselves."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import PurePosixPath

import pytest

from tests.support.plugins import ROOT

DRIVER = ROOT / "driver"
GENERATED = {"syscall_names.h"}  # by CMakeLists.txt
LIST_OF_PROBES = "probes/probes.h"
FOR_ALLOCATORS = ("allocphase.h", "os.h", "settings.h")

FILES = {
    path.relative_to(DRIVER).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(DRIVER.rglob("*"))
    if path.suffix in {".c", ".h", ".inc"}
}
ROOMS = {
    room: [file for file in FILES if file.startswith(f"{room}/")] for room in ("base", "probes")
}


def found(file: str, name: str) -> str:
    """What the compiler finds: beside the file that includes it, else in driver/."""
    beside = (PurePosixPath(file).parent / name).as_posix()
    return beside if beside in FILES else name


def included(file: str) -> list[str]:
    """The files of the driver that a file includes, from driver/ on; generated ones as named."""
    return [found(file, name) for name in re.findall(r'^#\s*include "(.+)"', FILES[file], re.M)]


def unit(file: str) -> str:
    """A source and the header of its name are one: "base/json"."""
    return str(PurePosixPath(file).with_suffix(""))


@pytest.mark.parametrize("file", FILES)
def test_every_file_that_is_included_is_there(file: str) -> None:
    strangers = [name for name in included(file) if name not in FILES and name not in GENERATED]
    assert strangers == [], f"driver/{file} includes what is not in the driver"


@pytest.mark.parametrize("file", ROOMS["base"])
def test_base_includes_nothing_of_the_driver_outside_of_it(file: str) -> None:
    outside = [name for name in included(file) if name not in {*ROOMS["base"], *GENERATED}]
    assert outside == [], f"driver/{file} is of base/, which knows nothing of the rest"


@pytest.mark.parametrize("file", ROOMS["base"])
def test_base_neither_allocates_nor_prints_through_libc(file: str) -> None:
    headers = set(re.findall(r"^#\s*include <(.+)>", FILES[file], re.M))
    forbidden = headers & {"malloc.h", "stdio.h", "stdlib.h"}
    assert forbidden == set(), f"driver/{file} would use the allocator that it measures"


@pytest.mark.parametrize(
    "file", [file for file in FILES if file not in ROOMS["probes"] and file != "main.c"]
)
def test_a_probe_is_known_to_no_one_but_main(file: str) -> None:
    of_probes = [name for name in included(file) if name in ROOMS["probes"]]
    assert set(of_probes) <= {LIST_OF_PROBES}, f"driver/{file} knows a probe"


def test_main_is_known_to_no_one() -> None:
    knowing = [file for file in FILES for name in included(file) if unit(name) == "main"]
    assert knowing == []


@pytest.mark.parametrize("file", FOR_ALLOCATORS)
def test_what_an_allocator_may_include_needs_nothing_else_of_the_driver(file: str) -> None:
    assert set(included(file)) <= {"allocphase.h"}, f"driver/{file} is for allocators"


def test_no_two_translation_units_include_each_other_in_any_number_of_steps() -> None:
    graph: dict[str, set[str]] = {unit(file): set() for file in FILES}
    for file in FILES:
        graph[unit(file)] |= {unit(name) for name in included(file)} - {unit(file)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a cycle in driver/: " + " is included by ".join(error.args[1]))


def test_both_rooms_are_looked_at() -> None:
    """An empty room would pass all of the above."""
    assert "base/system.h" in ROOMS["base"]
    assert {LIST_OF_PROBES, "probes/verify.c"} <= set(ROOMS["probes"])
    assert "base/system.h" in included("probes/verify.c")

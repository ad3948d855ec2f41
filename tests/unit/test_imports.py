"""Imports point one way. The table below is the architecture: a change to it is a change here."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.plugins import ROOT

# Lowest first: a room imports only from lines above its own. A room is a folder of
# src/allocphase, or a module there; what goes on inside a folder is its own affair.
LAYERS = (
    "errors operation text",
    "files",
    "interruption resources spec stats",
    "trace machine",
    "allocator scenario probe hosts",
    "process store recorder",
    "run analysis",
    "judge claim",
    "history",
    "compare export report gate",
    "selftest tune profile doctor pytest_plugin fleet",
    "commands",
    "cli",
)

# What makes a run, and what reads one: an old run is judged and rendered from its files alone.
# Both know probe and store, and meet nowhere else; gate, selftest, doctor and the doors run and
# judge.
MAKERS = "trace scenario allocator machine process recorder run"
READERS = "analysis judge compare claim history export report fleet"
MEETING_PLACES = "probe store stats"

# Half a second and more to import: whoever only asks for help does not wait for them.
HEAVY = {"numpy", "pandas", "scipy", "matplotlib", "bokeh", "jinja2", "rich", "ruptures", "sqlite3"}

RANK = {room: rank for rank, line in enumerate(LAYERS) for room in line.split()}
SOURCE = ROOT / "src" / "allocphase"


def modules() -> dict[str, Path]:
    """Every module of the package by its name without the package's."""
    found = {"cli": ROOT / "cli.py"}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


def imports(path: Path) -> Iterator[str]:
    """The package's modules that a file imports, wherever in the file; for types too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "allocphase" and rest:
                yield known_part(rest)


def known_part(name: str) -> str:
    """`frames.Run` -> "frames": the longest beginning that is a module; "" where none is."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        if ".".join(parts[:end]) in MODULES:
            return ".".join(parts[:end])
    return ""


MODULES = modules()
IMPORTS = {name: set(imports(path)) - {"", name} for name, path in MODULES.items()}


def room(module: str) -> str:
    return module.partition(".")[0]


def test_every_module_has_a_place_in_the_layers() -> None:
    assert sorted({room(name) for name in MODULES} - set(RANK)) == []


def test_the_table_names_nothing_that_is_not_there() -> None:
    assert sorted(set(RANK) - {room(name) for name in MODULES}) == []


@pytest.mark.parametrize("module", sorted(name for name in MODULES if room(name) in RANK))
def test_a_module_imports_only_from_the_layers_below_it(module: str) -> None:
    mine = room(module)
    others = {room(name) for name in IMPORTS[module]} - {mine}
    assert sorted(name for name in others if RANK.get(name, 0) >= RANK[mine]) == []


@pytest.mark.parametrize("start", [*READERS.split(), *MEETING_PLACES.split()])
def test_what_reads_a_run_never_reaches_what_makes_one(start: str) -> None:
    """But for what the machine is called in a run's own words."""
    assert sorted(reached_from(start) & set(MAKERS.split()) - {"machine"}) == []
    assert "gate" not in reached_from(start)


@pytest.mark.parametrize("start", READERS.split())
def test_of_many_machines_readers_know_the_document_alone(start: str) -> None:
    mine = [name for name in MODULES if room(name) == start]
    known = {other for name in mine for other in IMPORTS[name] if room(other) == "hosts"}
    assert known <= {"hosts.document"}


@pytest.mark.parametrize("start", [*MAKERS.split(), *MEETING_PLACES.split()])
def test_what_makes_a_run_never_reaches_what_reads_one(start: str) -> None:
    assert sorted(reached_from(start) & set(READERS.split())) == []


def reached_from(start: str) -> set[str]:
    """The rooms that a room imports, through any number of steps."""
    reached: set[str] = set()
    waiting = [name for name in MODULES if room(name) == start]
    assert waiting, f"there is no room {start}"
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += IMPORTS[name]
    return {room(name) for name in reached}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from allocphase.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_matplotlib_is_imported_where_its_fonts_have_a_place_and_not_before() -> None:
    script = "import sys, allocphase.report.render; print('matplotlib' in sys.modules)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# pytest finds the plug-in's hooks in the package itself, and `allocphase.load` is the package's.
WORKING_FACES = {SOURCE / "__init__.py", SOURCE / "pytest_plugin" / "__init__.py"}


@pytest.mark.parametrize(
    "path",
    sorted(set(SOURCE.rglob("__init__.py")) - WORKING_FACES),
    ids=lambda path: path.parent.name,
)
def test_a_face_hands_on_names_and_holds_no_work(path: Path) -> None:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    work = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert [node.lineno for node in nodes if isinstance(node, work)] == []


def test_importing_the_package_imports_none_of_its_modules() -> None:
    script = (
        "import sys, allocphase; print([m for m in sys.modules if m.startswith('allocphase.')])"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

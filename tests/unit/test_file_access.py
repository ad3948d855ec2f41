"""Nobody opens a file but files/: what that knows of pipes, links and devices holds for all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.plugins import ROOT

SOURCE = ROOT / "src" / "allocphase"
# The room that may, with what everybody else calls.
ROOM = SOURCE / "files"
SOURCES = sorted(path for path in SOURCE.rglob("*.py") if ROOM not in path.parents)

# Methods by their names, whatever they are called on.
METHODS = {
    "open", "fdopen", "open_code", "read_text", "read_bytes", "write_text", "write_bytes", "touch",
    "tofile", "NamedTemporaryFile", "mkstemp", "FileIO",
}  # fmt: skip
FUNCTIONS = {
    "open", "np.load", "np.fromfile", "np.loadtxt", "np.genfromtxt", "np.save", "np.savez",
    "np.savez_compressed", "np.savetxt", "shutil.copyfile", "shutil.copy", "shutil.copy2",
    "shutil.copytree", "shutil.move",
}  # fmt: skip
# What writes or maps where it is told: to be told an open file, or nothing.
TOLD_WHERE = {"savefig", "to_csv", "to_json", "to_pickle", "ZipFile", "FileHandler", "memmap"}
# By (module, what is called).
ALLOWED = {
    ("interruption.py", "os.open"): "/dev/null, to point standard streams at",
    ("probe/arrays.py", "archive.open"): "a member of an archive that files/ opened",
    ("commands/shared.py", "durable.write_text"): "files/ itself",
    ("hosts/archive.py", "tarfile.open"): "a stream of a file that files/ opened",
}


def openings(tree: ast.AST) -> Iterator[str]:
    """What is called that opens a file, or might."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        is_method, word = "." in called, called.rpartition(".")[2]
        if called in FUNCTIONS or (is_method and word in METHODS):
            yield called
        given = node.args[0] if node.args else None
        if word in TOLD_WHERE and given is not None and ast.unparse(given) != "file":
            yield f"{called}({ast.unparse(given)})"


def is_allowed(module: str, called: str) -> bool:
    return (module, called) in ALLOWED


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nobody_opens_a_file_but_through_the_room_of_files(path: Path) -> None:
    module = str(path.relative_to(SOURCE))
    found = openings(ast.parse(path.read_text(encoding="utf-8")))
    assert [called for called in found if not is_allowed(module, called)] == []


@pytest.mark.parametrize(
    "text",
    [
        "open(path)",
        "path.open('rb')",
        "os.open(path, 0)",
        "io.FileIO(path)",
        "path.read_text()",
        "path.write_bytes(b'')",
        "np.load(path, allow_pickle=False)",
        "np.fromfile(path, dtype)",
        "np.memmap(path)",
        "shutil.copyfile(a, b)",
        "figure.savefig(path)",
        "frame.to_csv(folder / 'results.csv')",
        "ZipFile(path)",
        "tempfile.NamedTemporaryFile(dir=x)",
    ],
)
def test_another_way_of_opening_one_would_be_found(text: str) -> None:
    assert list(openings(ast.parse(text)))


def test_the_list_of_exceptions_names_only_what_is_there() -> None:
    there = {
        (str(path.relative_to(SOURCE)), called)
        for path in SOURCES
        for called in openings(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert set(ALLOWED) - there == set()


def test_writers_without_a_file_are_told_none() -> None:
    assert not list(openings(ast.parse("figure.savefig(file)\nframe.to_csv(index=False)")))

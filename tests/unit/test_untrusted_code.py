"""What the code never does, least of all with files from elsewhere: unpickle, evaluate, shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.plugins import ROOT

SOURCES = sorted([*(ROOT / "src").rglob("*.py"), ROOT / "cli.py"])
MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "joblib", "yaml", "xml.sax"}
# By (file, what it imports).
ALLOWED = {
    ("dask_guard.py", "pickle"): "unpickles less than dask would without it",
}
CALLS = {"eval", "exec", "compile", "os.system", "os.popen", "subprocess.getoutput"}


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def dangers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            yield node.module
        if not isinstance(node, ast.Call):
            continue
        keywords = {keyword.arg: keyword.value for keyword in node.keywords}
        if called(node) in CALLS:
            yield called(node)
        if "shell" in keywords:
            yield f"{called(node)} with a shell"
        if called(node) in ("np.load", "numpy.load"):
            pickles = keywords.get("allow_pickle")
            if not isinstance(pickles, ast.Constant) or pickles.value is not False:
                yield "np.load that may unpickle"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_evaluated_or_handed_to_a_shell(path: Path) -> None:
    found = list(dangers(ast.parse(path.read_text(encoding="utf-8"))))
    assert [danger for danger in found if (path.name, danger) not in ALLOWED] == []


def test_such_dangers_would_be_found() -> None:
    for text in (
        "import pickle",
        "from marshal import loads",
        "eval('1')",
        "os.system('x')",
        "subprocess.run('x', shell=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
    ):
        assert list(dangers(ast.parse(text))), text
    assert not list(dangers(ast.parse("np.load(path, allow_pickle=False)\nre.compile('x')")))

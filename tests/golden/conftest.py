"""The golden run, written once a session, and the comparison with golden files."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase import frames

HERE = Path(__file__).parent
# ALLOCPHASE_UPDATE_GOLDEN=1 writes the golden files anew: look at the difference before committing.
UPDATE = os.environ.get("ALLOCPHASE_UPDATE_GOLDEN") == "1"


def _write_run(path: Path) -> Path:
    spec = importlib.util.spec_from_file_location("synthetic", HERE / "synthetic.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written: Path = module.write_run(path)
    return written


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> frames.Run:
    return frames.load(_write_run(tmp_path_factory.mktemp("golden") / "run"))


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares a text with the golden file of that name."""

    def compare(name: str, text: str) -> None:
        path = HERE / name
        if UPDATE:
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare

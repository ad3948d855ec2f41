"""Compiles the C files of tests/c."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from allocphase.allocator import Allocator, Source
from allocphase.allocator.source import compile_plugin
from tests.support.sharing import made_once

__all__ = ["ROOT", "Plugins", "compiled", "digest", "plugin"]

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fPIC", "-shared"]


@dataclass(frozen=True, slots=True)
class Plugins:
    """tests/c/<name>.c as shared objects, by name; `defines` make variants of one source."""

    folder: Path

    def __call__(self, name: str, *defines: str, folder: Path = ROOT / "tests" / "c") -> Path:
        def build(target: Path) -> None:
            source = folder / f"{name}.c"
            command = ["cc", *FLAGS, *(f"-D{define}" for define in defines)]
            command += [f"-I{ROOT / 'driver'}", "-o", str(target), str(source), "-lpthread", "-lm"]
            subprocess.run(command, check=True)

        variant = digest(str(folder), *defines)
        return made_once(self.folder / f"{variant}-{name}.so", build)


def digest(*words: str) -> str:
    """A few letters that stand for these words in a file's name."""
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]


def compiled(source: Path, *cflags: str) -> Path:
    """The object that a source becomes on the command line."""
    return compile_plugin(Source(path=source, cflags=cflags, folder=Path.cwd()))


def plugin(path: Path, **config: str) -> Allocator:
    """The allocator that a test plug-in is, with settings."""
    return Allocator(
        name="subject",
        title="subject",
        summary="of a test",
        kind="plugin",
        path=path,
        config=config,
        environment={},
    )

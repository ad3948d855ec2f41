"""Compiles the C files of tests/c."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from allocphase.allocator import Allocator

__all__ = ["ROOT", "Plugins", "plugin"]

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fPIC", "-shared"]


@dataclass(frozen=True, slots=True)
class Plugins:
    """tests/c/<name>.c as shared objects, by name; `defines` make variants of one source."""

    folder: Path
    built: dict[tuple[str, ...], Path] = field(default_factory=dict)

    def __call__(self, name: str, *defines: str, folder: Path = ROOT / "tests" / "c") -> Path:
        key = (str(folder), name, *defines)
        if key not in self.built:
            target = self.folder / f"{len(self.built)}-{name}.so"
            source = folder / f"{name}.c"
            command = ["cc", *FLAGS, *(f"-D{define}" for define in defines)]
            command += [f"-I{ROOT / 'driver'}", "-o", str(target), str(source), "-lpthread"]
            subprocess.run(command, check=True)
            self.built[key] = target
        return self.built[key]


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

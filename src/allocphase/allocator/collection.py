"""Allocators: what to measure, and how it comes into the driver process.

Each folder of the collection has an allocator.toml; its stem is the allocator's name. A
specification on the command line (spec.py) picks one, changes its settings, or brings an object
from elsewhere: a shared object, which is a plug-in or else a preload, or a plug-in's source, which
is compiled with cc.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from allocphase import resources
from allocphase.allocator.shared_object import compile_plugin, inspect_object, search_library
from allocphase.errors import UsageError, shown, unknown
from allocphase.files.checks import FLAG, NAME, TEXT, anything, entries, listing, table
from allocphase.files.documents import read_toml
from allocphase.spec import Spec, written

__all__ = ["Allocator", "Kind", "collected", "load", "resolve"]

Kind = Literal["plugin", "preload", "libc"]
_KEYS = {"title", "summary", "kind", "correct", "default_scenarios", "config", "preload"}
_PRELOAD_KEYS = {"libraries", "package", "environment"}
# What a command line and an environment can carry.
_KEY = re.compile(r"[\w.-]+")


def _settings(values: object) -> str:
    """A shape: keys of letters and digits, values of one kind."""
    fault = entries(anything)(values)
    for key, value in values.items() if isinstance(values, dict) else ():
        if not _KEY.fullmatch(key):
            return f": {shown(key)}: a key has letters, digits, and . _ - only"
        if not isinstance(value, str | int | float):
            return f".{key}: must be a string, a number, true or false, not {shown(value)}"
    return fault


_SHAPE = table(
    optional={
        "correct": FLAG,
        "default_scenarios": listing(TEXT),
        "config": _settings,
        "preload": table(
            optional={"libraries": listing(NAME), "package": TEXT, "environment": _settings}
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocator:
    """One allocator with its settings. `missing` says how to install what is not here.

    `path` is the object to load or preload; None for libc and for what is missing. `correct` is
    False for the null allocator alone: its blocks overlap, so it is a floor and never verified.
    `default_scenarios`: patterns of those that it takes part in when nobody asks for it by name; a
    hundredfold slower allocator would take the time that the others need.
    """

    name: str
    title: str
    summary: str
    kind: Kind
    path: Path | None = None
    config: Mapping[str, str]
    environment: Mapping[str, str]
    correct: bool = True
    default_scenarios: tuple[str, ...] = ("*",)
    missing: str | None = None

    def with_settings(self, changes: Mapping[str, str]) -> Allocator:
        """The same with other settings, named `name?key=value`. Raises UsageError."""
        for key in changes:
            if self.kind == "plugin" and self.config and key not in self.config:
                raise UsageError(unknown(f"allocator {self.name}: setting", key, self.config))
            if self.kind != "plugin":
                raise UsageError(f"allocator {self.name}: only plug-ins take settings, not {key!r}")
        name = written(self.name, changes)
        return replace(self, name=name, config={**self.config, **changes})

    def sha256(self) -> str | None:
        """Digest of the object's bytes, None where there is no file to read."""
        if self.path is None:
            return None
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def collected() -> dict[str, Allocator]:
    """Every allocator of the package and of third-party packages, by name; missing ones too.

    Raises UsageError for a broken allocator.toml.
    """
    return {name: load(path) for name, path in _files().items()}


def resolve(text: str) -> tuple[Allocator, ...]:
    """The allocators that a specification names; several when a setting has several values.

    Raises UsageError, with the nearest match for a name that does not exist.
    """
    spec = Spec.of_allocator(text)
    found = _from_file(spec.name, Path(spec.file)) if spec.file else _from_collection(spec.name)
    return tuple(found.with_settings(point) for point in spec.points())


def _from_collection(name: str) -> Allocator:
    files = _files()
    if name not in files:
        raise UsageError(unknown("allocator", name, files))
    return load(files[name])


def _from_file(name: str, path: Path) -> Allocator:
    if not path.is_file():
        raise UsageError(f"allocator {name}: {path}: no such file")
    path = path.resolve()
    if path.suffix == ".c":
        path = compile_plugin(path)
    kind: Kind = "plugin" if inspect_object(path).is_plugin else "preload"
    return Allocator(
        name=name,
        title=name,
        summary=f"{kind} {path.name}",
        kind=kind,
        path=path,
        config={},
        environment={},
    )


def _files() -> dict[str, Path]:
    """allocator.toml files by name, sorted; of the package's own roots the first that has one wins.

    Raises UsageError where another package brings one of a name that there is already.
    """
    own, files = resources.folders("allocators"), dict[str, Path]()
    for folder in resources.collection_folders("allocators"):
        for path in sorted(folder.glob("*/allocator.toml")):
            name = path.parent.name
            if name in files and folder not in own:
                raise UsageError(f"{path}: an allocator of this name is in {files[name]} too")
            files.setdefault(name, path)
    return dict(sorted(files.items()))


def load(path: Path) -> Allocator:
    """The allocator that an allocator.toml describes. Raises UsageError with the file and key."""
    table = _read(path)
    kind = table["kind"]
    preload = table.get("preload", {})
    location, missing = _locate(path, kind, preload)
    return Allocator(
        name=path.parent.name,
        title=table["title"],
        summary=table["summary"],
        kind=kind,
        path=location,
        config={key: _text(value) for key, value in table.get("config", {}).items()},
        environment={key: _text(value) for key, value in preload.get("environment", {}).items()},
        correct=table.get("correct", True),
        default_scenarios=tuple(table.get("default_scenarios", ("*",))),
        missing=missing,
    )


def _read(path: Path) -> dict[str, Any]:
    found = read_toml(path)
    for key in found:
        if key not in _KEYS:
            raise UsageError(f"{path}: {unknown('key', key, _KEYS)}")
    if fault := _SHAPE(found):
        raise UsageError(f"{path}: {fault[1:]}")
    for key in ("title", "summary", "kind"):
        if not isinstance(found.get(key), str):
            raise UsageError(f"{path}: {key}: missing, or not a string")
    if found["kind"] not in ("plugin", "preload", "libc"):
        kind = shown(found["kind"])
        raise UsageError(f"{path}: kind: must be plugin, preload or libc, not {kind}")
    for key, kind in (("config", "plugin"), ("preload", "preload")):
        if key in found and found["kind"] != kind:
            raise UsageError(f"{path}: {key}: is for kind {kind!r} only")
    preload = found.get("preload", {})
    if found["kind"] == "preload" and not _PRELOAD_KEYS.issuperset(preload):
        raise UsageError(f"{path}: preload: knows {', '.join(sorted(_PRELOAD_KEYS))} only")
    if found["kind"] == "preload" and not preload.get("libraries"):
        raise UsageError(f"{path}: preload.libraries: missing: the file names to look for")
    return found


def _locate(path: Path, kind: str, preload: Mapping[str, Any]) -> tuple[Path | None, str | None]:
    """The object, or how to get it. A built plug-in may lie in another root than its TOML."""
    if kind == "libc":
        return None, None
    if kind == "preload":
        found = search_library(preload["libraries"])
        package = preload.get("package", "the package that provides it")
        return found, None if found else f"not installed: apt-get install {package}"
    name = path.parent.name
    for folder in resources.collection_folders("allocators"):
        built = folder / name / f"{name}.so"
        if built.is_file():
            return built, None
    return None, f"{name}.so is not built: install the package that it came with again"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

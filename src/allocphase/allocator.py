"""Allocators: what to measure, and how it comes into the driver process.

Each folder of the collection has an allocator.toml; its stem is the allocator's name. A
specification on the command line picks one, changes its settings, or brings an object from
elsewhere:

    phase21                          a name of the collection
    phase21?pool_bytes=1048576       the same with another setting
    phase2?objects_per_slab=1,8,64   three allocators: a sweep
    mine=build/libmine.so            a shared object: a plug-in, or else a preload
    mine=mine.c?chunk=64             a plug-in's source, compiled with cc
"""

from __future__ import annotations

import hashlib
import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from allocphase import data
from allocphase.errors import UsageError, unknown
from allocphase.objects import compile_plugin, inspect_object, search_library

__all__ = ["Allocator", "Kind", "collection", "resolve"]

Kind = Literal["plugin", "preload", "libc"]
_KEYS = {"title", "summary", "kind", "correct", "default_scenarios", "config", "preload"}
_PRELOAD_KEYS = {"libraries", "package", "environment"}


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
        suffix = "&".join(f"{key}={value}" for key, value in changes.items())
        return replace(self, name=f"{self.name}?{suffix}", config={**self.config, **changes})

    def sha256(self) -> str | None:
        """Digest of the object's bytes, None where there is no file to read."""
        if self.path is None:
            return None
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def collection() -> dict[str, Allocator]:
    """Every allocator of the package and of third-party packages, by name; missing ones too.

    Raises UsageError for a broken allocator.toml.
    """
    return {name: _load(path) for name, path in _files().items()}


def resolve(spec: str) -> tuple[Allocator, ...]:
    """The allocators that `spec` names; several when a setting has several values.

    Raises UsageError, with the nearest match for a name that does not exist.
    """
    base, _, settings = spec.partition("?")
    name, equals, file = base.partition("=")
    if not name:
        raise UsageError(f"allocator {spec!r}: NAME=path wants a name before the =")
    found = _from_file(name, Path(file)) if equals else _from_collection(name)
    return tuple(
        found.with_settings(point) if point else found for point in _points(spec, settings)
    )


def _points(spec: str, settings: str) -> list[dict[str, str]]:
    """Every combination of the values of `a=1,2&b=3`; one empty point for no settings."""
    axes: list[list[tuple[str, str]]] = []
    for setting in settings.split("&") if settings else []:
        key, equals, values = setting.partition("=")
        if not key or not equals or not all(values.split(",")):
            raise UsageError(f"allocator {spec!r}: settings are written key=value&key=value")
        axes.append([(key, value) for value in values.split(",")])
    return [dict(point) for point in itertools.product(*axes)]


def _from_collection(name: str) -> Allocator:
    files = _files()
    if name not in files:
        raise UsageError(unknown("allocator", name, files))
    return _load(files[name])


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
    """allocator.toml files by allocator name, sorted."""
    files: dict[str, Path] = {}
    for folder in data.collection_folders("allocators"):
        for path in sorted(folder.glob("*/allocator.toml")):
            files.setdefault(path.parent.name, path)
    return dict(sorted(files.items()))


def _load(path: Path) -> Allocator:
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
        environment=preload.get("environment", {}),
        correct=table.get("correct", True),
        default_scenarios=tuple(table.get("default_scenarios", ("*",))),
        missing=missing,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    for key in table:
        if key not in _KEYS:
            raise UsageError(f"{path}: {unknown('key', key, _KEYS)}")
    for key in ("title", "summary", "kind"):
        if not isinstance(table.get(key), str):
            raise UsageError(f"{path}: {key}: missing, or not a string")
    if table["kind"] not in ("plugin", "preload", "libc"):
        raise UsageError(f"{path}: kind: must be plugin, preload or libc, not {table['kind']!r}")
    for key, kind in (("config", "plugin"), ("preload", "preload")):
        if key in table and table["kind"] != kind:
            raise UsageError(f"{path}: {key}: is for kind {kind!r} only")
    preload = table.get("preload", {})
    if table["kind"] == "preload" and not _PRELOAD_KEYS.issuperset(preload):
        raise UsageError(f"{path}: preload: knows {', '.join(sorted(_PRELOAD_KEYS))} only")
    if table["kind"] == "preload" and not preload.get("libraries"):
        raise UsageError(f"{path}: preload.libraries: missing: the file names to look for")
    return table


def _locate(path: Path, kind: str, preload: Mapping[str, Any]) -> tuple[Path | None, str | None]:
    """The object, or how to get it. A built plug-in may lie in another root than its TOML."""
    if kind == "libc":
        return None, None
    if kind == "preload":
        found = search_library(preload["libraries"])
        package = preload.get("package", "the package that provides it")
        return found, None if found else f"not installed: apt-get install {package}"
    name = path.parent.name
    for folder in data.collection_folders("allocators"):
        built = folder / name / f"{name}.so"
        if built.is_file():
            return built, None
    return None, f"{name}.so is not built: install the package that it came with again"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

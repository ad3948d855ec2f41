"""Allocators: what to measure, and how it comes into the driver process.

Each folder of the collection has an allocator.toml; its stem is the allocator's name. A
specification on the command line (spec.py) picks one, changes its settings, or brings an object
from elsewhere: a shared object, which is a plug-in or else a preload, or a plug-in's source, which
is compiled with cc.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from allocphase import resources
from allocphase.allocator.shared_object import inspect_object, search_library
from allocphase.allocator.source import Source, compile_plugin
from allocphase.errors import UsageError, shown, unknown
from allocphase.files.elf import loaded_sha256
from allocphase.files.typed import Check, FieldError, Name, length, load_toml
from allocphase.spec import Spec, written

__all__ = ["Allocator", "Kind", "collected", "load", "resolve"]

Kind = Literal["plugin", "preload", "libc"]


def _setting(value: object) -> str:
    """A demand, which gives the text that a command line and an environment carry."""
    if not isinstance(value, str | int | float):
        raise FieldError(f"must be a string, a number, true or false, not {shown(value)}")
    return str(value).lower() if isinstance(value, bool) else str(value)


_Key = Annotated[
    str,
    Check(
        "a key of letters, digits, and . _ - only",
        lambda key: re.fullmatch(r"[\w.-]+", key) is not None,
    ),
]
_Settings = Mapping[_Key, Annotated[str, _setting]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Preload:
    """Where a preload is found. libraries: file names, the first that there is; package: apt's."""

    libraries: Annotated[tuple[Name, ...], length(least=1)]
    package: str = "the package that provides it"
    environment: _Settings = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    """An allocator.toml."""

    title: str
    summary: str
    kind: Kind
    correct: bool = True
    default_scenarios: tuple[str, ...] = ("*",)
    config: _Settings | None = None
    preload: _Preload | None = None

    def __post_init__(self) -> None:
        if self.config is not None and self.kind != "plugin":
            raise FieldError("is for kind 'plugin' only", ".config")
        if self.preload is not None and self.kind != "preload":
            raise FieldError("is for kind 'preload' only", ".preload")
        if self.preload is None and self.kind == "preload":
            raise FieldError("missing: the file names to look for", ".preload.libraries")


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocator:
    """One allocator with its settings. `missing` says how to install what is not here.

    `path` is the object to load or preload; None for libc and for what is missing. `correct` is
    False for the null allocator alone: its blocks overlap, so it is a floor and never verified.
    `default_scenarios`: patterns of those that it takes part in when nobody asks for it by name; a
    hundredfold slower allocator would take the time that the others need. `source`: of what was
    compiled for this run.
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
    source: Source | None = None

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
        """Digest of what is loaded of the object, None where there is no file to read."""
        return None if self.path is None else loaded_sha256(self.path)


def collected() -> dict[str, Allocator]:
    """Every allocator of the package and of third-party packages, by name; missing ones too.

    Raises UsageError for a broken allocator.toml.
    """
    return {name: load(path) for name, path in _files().items()}


def resolve(text: str, *, cflags: Sequence[str] = ()) -> tuple[Allocator, ...]:
    """The allocators that a specification names; several when a setting has several values.

    `cflags`: for the compiler, where it names a source. Raises UsageError, with the nearest match
    for a name that does not exist.
    """
    spec = Spec.of_allocator(text)
    if spec.file is None:
        found = _from_collection(spec.name)
    else:
        found = _from_file(spec.name, Path(spec.file), tuple(cflags))
    return tuple(found.with_settings(point) for point in spec.points())


def _from_collection(name: str) -> Allocator:
    files = _files()
    if name not in files:
        raise UsageError(unknown("allocator", name, files))
    return load(files[name])


def _from_file(name: str, path: Path, cflags: tuple[str, ...]) -> Allocator:
    if not path.is_file():
        raise UsageError(f"allocator {name}: {path}: no such file")
    path, source = path.resolve(), None
    if path.suffix == ".c":
        source = Source(path=path, cflags=cflags, folder=Path.cwd())
        path = compile_plugin(source)
    kind: Kind = "plugin" if inspect_object(path).is_plugin else "preload"
    return Allocator(
        name=name,
        title=name,
        summary=f"{kind} {path.name}",
        kind=kind,
        path=path,
        config={},
        environment={},
        source=source,
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
    found = load_toml(_Description, path)
    location, missing = _locate(path, found)
    return Allocator(
        name=path.parent.name,
        title=found.title,
        summary=found.summary,
        kind=found.kind,
        path=location,
        config=found.config or {},
        environment=found.preload.environment if found.preload else {},
        correct=found.correct,
        default_scenarios=found.default_scenarios,
        missing=missing,
    )


def _locate(path: Path, found: _Description) -> tuple[Path | None, str | None]:
    """The object, or how to get it. A built plug-in may lie in another root than its TOML."""
    if found.kind == "libc":
        return None, None
    if found.preload is not None:
        library = search_library(found.preload.libraries)
        return (
            library,
            None if library else f"not installed: apt-get install {found.preload.package}",
        )
    name = path.parent.name
    for folder in resources.collection_folders("allocators"):
        built = folder / name / f"{name}.so"
        if built.is_file():
            return built, None
    return None, f"{name}.so is not built: install the package that it came with again"

"""Allocators: what to measure, and how it comes into the driver process.

Each folder of the collection has an allocator.toml; the folder's name is the allocator's. A
specification on the command line (spec.py) picks one, changes its settings, or brings one from
elsewhere: such a folder, a shared object, which is a plug-in or else a preload, or a plug-in's
source, which is compiled with cc.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from allocphase import resources
from allocphase.allocator.shared_object import inspect_object, is_there, search_library
from allocphase.allocator.source import Source, compile_plugin
from allocphase.errors import UsageError, shown, unknown
from allocphase.files.elf import loaded_sha256
from allocphase.files.typed import Check, FieldError, Name, length, load_toml
from allocphase.spec import Spec, written

__all__ = ["Allocator", "Kind", "collected", "load", "resolve"]

Kind = Literal["plugin", "preload", "libc"]

TOML = "allocator.toml"


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
    """Where a preload is found. libraries: file names, the first that there is, beside its TOML,
    in `python_package`, which is pip's, or in the system's folders; package: apt's.
    """

    libraries: Annotated[tuple[Name, ...], length(least=1)]
    package: str | None = None
    python_package: Name | None = None
    environment: _Settings = field(default_factory=dict)

    @property
    def installation(self) -> str:
        """How to get it; pip's first, which needs no root and has it for every system."""
        ways = []
        if self.python_package:
            ways.append(f"pip install {self.python_package}")
        if self.package or not ways:
            ways.append(f"apt-get install {self.package or 'the package that provides it'}")
        return ", or ".join(ways)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    """An allocator.toml. object: of a plug-in, from the folder on; without it NAME.so, or NAME.c in
    a folder that was named.
    """

    title: str
    summary: str
    kind: Kind
    object: Name | None = None
    correct: bool = True
    default_scenarios: tuple[str, ...] = ("*",)
    config: _Settings | None = None
    preload: _Preload | None = None

    def __post_init__(self) -> None:
        if self.config is not None and self.kind != "plugin":
            raise FieldError("is for kind 'plugin' only", ".config")
        if self.object is not None and self.kind != "plugin":
            raise FieldError("is for kind 'plugin' only", ".object")
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
    compiled for this run. `described`: by an allocator.toml; a bare object says nothing of itself.
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
    described: bool = field(default=True, compare=False)

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
    found = _named(spec, tuple(cflags))
    return tuple(found.with_settings(point) for point in spec.points())


def _named(spec: Spec, cflags: tuple[str, ...]) -> Allocator:
    if spec.file is None:
        return _from_collection(spec.name)
    path = Path(spec.file)
    if path.is_dir():
        return _from_folder(spec.name, path, cflags)
    if spec.named:
        return _from_file(spec.name, path, cflags)
    if path.name == TOML:
        raise UsageError(f"{path}: name the folder that it lies in: {path.parent}")
    if path.is_file():
        raise UsageError(f"{path}: no folder: a file wants a name, {path.stem}={path}")
    raise UsageError(f"{path}: no such folder")


def _from_collection(name: str) -> Allocator:
    files = _files()
    if name not in files:
        here = f"; the folder here is ./{name}" if Path(name, TOML).is_file() else ""
        raise UsageError(unknown("allocator", name, files) + here)
    return load(files[name])


def _from_folder(name: str, folder: Path, cflags: tuple[str, ...]) -> Allocator:
    """That of an allocator.toml anywhere; its plug-in may be a source."""
    path = folder.resolve() / TOML
    if not path.is_file():
        raise UsageError(f"allocator {name}: {folder}: no {TOML} in it")
    found = replace(load(path), name=name)
    if found.kind != "plugin":
        return found
    built, source = _own_object(path), None
    if built.suffix == ".c":
        source = Source(path=built, cflags=cflags, folder=Path.cwd())
        built = compile_plugin(source)
    if not inspect_object(built).is_plugin:
        raise UsageError(f"{path}: kind: {built} is no plug-in: it exports no allocphase_plugin")
    return replace(found, path=built, source=source, missing=None)


def _own_object(path: Path) -> Path:
    """What an allocator.toml of kind "plugin" has beside it. Raises UsageError."""
    folder, name = path.parent, path.parent.name
    given = load_toml(_Description, path).object
    usual = [f"{name}.so", f"{name}.c"]
    there = [folder / each for each in ([given] if given else usual) if (folder / each).is_file()]
    if given and not there:
        raise UsageError(f"{path}: object: {folder / given}: no such file")
    if not there:
        raise UsageError(f"{path}: object: missing, and neither {' nor '.join(usual)} is there")
    if len(there) > 1:
        raise UsageError(f"{path}: object: missing: {' and '.join(usual)} are there, say which")
    return there[0]


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
        described=False,
    )


def _files() -> dict[str, Path]:
    """allocator.toml files by name, sorted; of the package's own roots the first that has one wins.

    Raises UsageError where another package brings one of a name that there is already.
    """
    own, files = resources.folders("allocators"), dict[str, Path]()
    for folder in resources.collection_folders("allocators"):
        for path in sorted(folder.glob(f"*/{TOML}")):
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
        preload = found.preload
        library = search_library(
            preload.libraries, beside=path.parent, distribution=preload.python_package
        )
        return library, None if library else f"not installed: {preload.installation}"
    if found.object is not None:
        built = path.parent / found.object
        usable = is_there(built) and built.suffix != ".c"
        return (built, None) if usable else (None, f"{built} is not there, or not built")
    name = path.parent.name
    for folder in resources.collection_folders("allocators"):
        built = folder / name / f"{name}.so"
        if built.is_file():
            return built, None
    return None, f"{name}.so is not built: install the package that it came with again"

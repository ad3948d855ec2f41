"""Allocators: what to measure, and how it comes into the driver process.

Each folder of the collection has an allocator.toml; the folder's name is the allocator's. A
specification on the command line (spec.py) picks one, changes its settings, or brings one from
elsewhere: such a folder, a shared object, which is a plug-in or else a preload, or a plug-in's
source, which is compiled with cc.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from allocphase import resources
from allocphase.allocator.settings import Key, SettingsForm, SettingText, checked_variable
from allocphase.allocator.shared_object import inspect_object, search_library
from allocphase.allocator.source import Source, compile_plugin
from allocphase.errors import UsageError, unknown
from allocphase.files.elf import elf_head, loaded_sha256
from allocphase.files.regular import MAX_OBJECT_BYTES, is_there, read_regular
from allocphase.files.typed import FieldError, Name, length, load_toml
from allocphase.spec import ENVIRONMENT_PREFIX, Spec, written

__all__ = ["Allocator", "Kind", "collected", "load", "loader", "names_several", "resolve"]

ALL, DEFAULT = "all", "default"

Kind = Literal["plugin", "preload", "libc"]

TOML = "allocator.toml"


_Settings = Mapping[Key, SettingText]


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
    a folder that was named. config: of a plug-in; settings: of what has its own from variables.
    """

    title: str
    summary: str
    kind: Kind
    object: Name | None = None
    correct: bool = True
    default_scenarios: tuple[str, ...] = ("*",)
    default_unless: Name | None = None
    config: _Settings | None = None
    preload: _Preload | None = None
    settings: SettingsForm | None = None

    def __post_init__(self) -> None:
        if self.config is not None and self.kind != "plugin":
            raise FieldError("is for kind 'plugin' only", ".config")
        if self.object is not None and self.kind != "plugin":
            raise FieldError("is for kind 'plugin' only", ".object")
        if self.settings is not None and self.kind == "plugin":
            raise FieldError(
                "is for kinds 'preload' and 'libc': a plug-in's is config", ".settings"
            )
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
    hundredfold slower allocator would take the time that the others need. `default_unless`: who
    takes its place in the default set where that one is installed. `source`: of what was compiled
    for this run. `described`: by an allocator.toml; a bare object says nothing of itself.

    `config`: settings by key, of a plug-in all of them, of others what was changed. `environment`:
    variables of its process, among them what the settings come to. `settings_form`: of what takes
    settings from variables; None where nobody knows which.
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
    default_unless: str | None = None
    missing: str | None = None
    source: Source | None = None
    described: bool = field(default=True, compare=False)
    settings_form: SettingsForm | None = field(default=None, compare=False)

    def with_settings(self, changes: Mapping[str, str]) -> Allocator:
        """The same with other settings, named `name?key=value`. Raises UsageError."""
        where = f"allocator {self.name}"
        passed = {key: v for key, v in changes.items() if key.startswith(ENVIRONMENT_PREFIX)}
        own = {key: value for key, value in changes.items() if key not in passed}
        variables = {checked_variable(key, where=where): v for key, v in passed.items()}
        environment = {**self.environment, **variables}
        for key, value in own.items():
            self._check_setting(key, value, where=where)
        if own and self.settings_form is not None:
            environment = self.settings_form.over(environment, self.settings_form.variables(own))
        name = written(self.name, changes)
        return replace(self, name=name, config={**self.config, **own}, environment=environment)

    def _check_setting(self, key: str, value: str, *, where: str) -> None:
        if self.kind == "plugin":
            if self.config and key not in self.config:
                raise UsageError(unknown(f"{where}: setting", key, self.config))
        elif self.settings_form is None:
            raise UsageError(
                f"{where}: no settings of it are known, so not {key!r}: "
                f"{ENVIRONMENT_PREFIX}VARIABLE=VALUE passes any variable"
            )
        else:
            self.settings_form.check(key, value, where=where)

    def keeping(self, variables: Mapping[str, str]) -> Allocator:
        """The same in a process that has these variables; its own settings come over them."""
        if self.settings_form is None:
            return replace(self, environment={**variables, **self.environment})
        return replace(self, environment=self.settings_form.over(variables, self.environment))

    def ignored_settings(self) -> tuple[str, ...]:
        """Keys that are set and that its object knows nothing of, as far as can be told.

        The keys of libc's malloc are the dynamic loader's, which reads them. Raises OSError.
        """
        if self.settings_form is None or not self.config:
            return ()
        read_by = loader() if self.kind == "libc" else self.path
        if read_by is None:
            return ()
        content = read_regular(read_by, MAX_OBJECT_BYTES, follow=True)
        return self.settings_form.unnamed(self.config, content)

    def sha256(self) -> str | None:
        """Digest of what is loaded of the object, None where there is no file to read."""
        return None if self.path is None else loaded_sha256(self.path)


def loader() -> Path | None:
    """The dynamic loader of what is measured: that of the C library that the driver is built for.

    Raises OSError, and AllocphaseError when the driver is not installed.
    """
    head = elf_head(resources.find("driver/allocphase-driver"))
    return None if head is None else head.interpreter


def collected() -> dict[str, Allocator]:
    """Every allocator of the package and of third-party packages, by name; missing ones too.

    Raises UsageError for a broken allocator.toml.
    """
    return {name: load(path) for name, path in _files().items()}


def resolve(text: str, *, cflags: Sequence[str] = ()) -> tuple[Allocator, ...]:
    """The allocators that a specification names, several when a setting has several values; or
    those of the collection that it stands for (names_several), missing ones too.

    `cflags`: for the compiler, where it names a source. Raises UsageError, with the nearest match
    for a name that does not exist.
    """
    if names_several(text):
        return _several(text)
    spec = Spec.of_allocator(text)
    found = _named(spec, tuple(cflags))
    return tuple(found.with_settings(point) for point in spec.points())


def names_several(text: str) -> bool:
    """Whether a specification stands for several of the collection and names none of them: `all`,
    `default`, or a glob (phase*). Such have no settings.
    """
    return text in (ALL, DEFAULT) or (not set(text) & set("=/?") and bool(set(text) & set("*[")))


def _several(text: str) -> tuple[Allocator, ...]:
    everything = collected()
    if text == DEFAULT:
        return tuple(
            found for found in everything.values() if not _has_a_substitute(found, everything)
        )
    pattern = "*" if text == ALL else text
    found = tuple(each for name, each in everything.items() if fnmatchcase(name, pattern))
    if not found:
        raise UsageError(unknown("allocator", text, everything))
    return found


def _has_a_substitute(found: Allocator, everything: Mapping[str, Allocator]) -> bool:
    substitute = everything.get(found.default_unless or "")
    return substitute is not None and substitute.missing is None


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
        here = f"./{name}, the folder here" if Path(name, TOML).is_file() else ""
        raise UsageError(unknown("allocator", name, files, otherwise=here))
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
    """A preload under a name of the collection is another build of that one: it takes the same
    settings.
    """
    if not path.is_file():
        raise UsageError(f"allocator {name}: {path}: no such file")
    path, source = path.resolve(), None
    if path.suffix == ".c":
        source = Source(path=path, cflags=cflags, folder=Path.cwd())
        path = compile_plugin(source)
    kind: Kind = "plugin" if inspect_object(path).is_plugin else "preload"
    known = _files().get(name) if kind == "preload" else None
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
        settings_form=load_toml(_Description, known).settings if known else None,
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
        default_unless=found.default_unless,
        missing=missing,
        settings_form=found.settings,
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

"""Specifications: how a command line and a claims file name allocators and scenarios.

    phase21                          a name, for a scenario also a glob or a path
    mine=build/libmine.so            an allocator from a file, under a name of one's own
    ./mine                           one from a folder with an allocator.toml, under the folder's
    other=./mine                     the same under another name
    phase21?pool_bytes=1048576       with a setting; several are joined by &
    phase2?objects_per_slab=1,8,64   a comma separates values: one allocator or scenario each
    xmalloc?sizes=16+64              + joins the items of one value that is a list
    jemalloc?env.MALLOC_CONF=zero:true,narenas:1
                                     a variable of its process: one value, with its commas

The name in a run is written the same way, without the file and with one value for each setting. An
allocator from a file that `allocphase run` takes with one value of each has the name alone.

Place in the pipeline: before everything; what reads a run takes its names apart by the same rules.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.errors import UsageError, shown

__all__ = [
    "ENVIRONMENT_PREFIX",
    "TRACE_SUFFIXES",
    "Setting",
    "Spec",
    "base_name",
    "file_name",
    "found_arm",
    "found_name",
    "items",
    "joined_settings",
    "listed",
    "written",
]

# Of the settings that are variables of the process.
ENVIRONMENT_PREFIX = "env."
# Of recorded traces, which are scenarios too; the second is a packed one.
TRACE_SUFFIXES = (".trace", ".trace.zst")
# A run has a cell for each of them.
MAX_POINTS = 10_000
_SETTINGS = "[?KEY=VALUE,VALUE&KEY=VALUE]"
_ALLOCATOR = f"NAME[=FILE]|FOLDER{_SETTINGS}"
_SCENARIO = f"NAME{_SETTINGS}"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key with its values: at least one, all different, none empty."""

    key: str
    values: tuple[str, ...]

    @classmethod
    def read(cls, text: str, *, where: str, form: str) -> Setting:
        """`live=100,300`. Raises UsageError: `where`, what is wrong, and the `form` it has."""
        key, _, rest = text.partition("=")
        values = (rest,) if key.startswith(ENVIRONMENT_PREFIX) else tuple(rest.split(","))
        if not key:
            raise _wrong(where, f"{shown(text)} has no key", form)
        if not all(values):
            raise _wrong(where, f"{shown(key)} has no value, or an empty one", form)
        if len(set(values)) < len(values):
            raise _wrong(where, f"{shown(key)} has a value twice", form)
        return cls(key, values)

    def __str__(self) -> str:
        return f"{self.key}={','.join(self.values)}"


@dataclass(frozen=True, slots=True)
class Spec:
    """A specification taken apart. `file` is what comes after the = of an allocator's name, a file
    or a folder. `named` is False of a folder alone, whose own name is the allocator's.
    """

    name: str
    file: str | None = None
    settings: tuple[Setting, ...] = ()
    named: bool = True

    @classmethod
    def of_allocator(cls, text: str, *, where: str = "") -> Spec:
        """Raises UsageError, which begins with `where`, then says what is wrong and the form."""
        where = f"{where}allocator {shown(text)}"
        found = _read(text, where=where, form=_ALLOCATOR)
        name, equals, file = found.name.partition("=")
        if not equals and ("/" in name or name in (".", "..")):
            return replace(found, name=_folder_name(name, where=where), file=name, named=False)
        if not name:
            raise _wrong(where, "there is no name", _ALLOCATOR)
        if equals and not file:
            raise _wrong(where, "there is no file after the =", _ALLOCATOR)
        return replace(found, name=name, file=file) if equals else found

    @classmethod
    def of_scenario(cls, text: str, *, where: str = "") -> Spec:
        """A path stays the name, and may have a = in it. Raises UsageError as `of_allocator`."""
        where = f"{where}scenario {shown(text)}"
        found = _read(text, where=where, form=_SCENARIO)
        if not found.name:
            raise _wrong(where, "there is no name", _SCENARIO)
        return found

    @property
    def is_path(self) -> bool:
        """Whether a scenario's name is that of a file rather than of the collection."""
        return self.name.endswith((".toml", *TRACE_SUFFIXES)) or "/" in self.name

    def points(self) -> list[dict[str, str]]:
        """Every combination of the settings' values; one empty point where there are none.

        Raises UsageError where there are more than MAX_POINTS.
        """
        count = math.prod(len(entry.values) for entry in self.settings)
        if count > MAX_POINTS:
            raise UsageError(f"{shown(str(self))}: more than {MAX_POINTS} combinations")
        axes = [[(entry.key, value) for value in entry.values] for entry in self.settings]
        return [dict(point) for point in itertools.product(*axes)]

    def with_setting(self, key: str, value: str) -> Spec:
        """The same with another value of `key`, in its place or at the end."""
        settings = {entry.key: entry for entry in self.settings} | {key: Setting(key, (value,))}
        return replace(self, settings=tuple(settings.values()))

    def __str__(self) -> str:
        named = [self.name] if self.named else []
        file = [] if self.file is None else [self.file]
        return _joined("=".join(named + file), map(str, self.settings))

    @property
    def label(self) -> str:
        """The name that a run gives it; a scenario from a file has the file's."""
        name = file_name(self.name) if self.is_path and self.file is None else self.name
        return _joined(name, map(str, self.settings))


def file_name(path: str) -> str:
    """The name of the scenario in a file: the file's, without what says what kind it is."""
    name = Path(path).name
    suffix = next((found for found in TRACE_SUFFIXES if name.endswith(found)), None)
    return Path(path).stem if suffix is None else name.removesuffix(suffix)


def written(name: str, settings: Mapping[str, str]) -> str:
    """`name?key=value&key=value`, or the bare name."""
    return _joined(name, [joined_settings(settings)])


def joined_settings(settings: Mapping[str, str]) -> str:
    """`key=value&key=value`."""
    return "&".join(f"{key}={value}" for key, value in settings.items())


def items(value: str) -> list[str]:
    """Of a value that is a list, `16+64`."""
    return value.split("+")


def listed(values: Iterable[object]) -> str:
    """A value that is a list, as `items` reads it."""
    return "+".join(map(str, values))


def base_name(name: str) -> str:
    """Of a run's allocator or scenario, the name without settings."""
    return name.partition("?")[0]


def found_name(name: str, names: Iterable[str]) -> str | None:
    """The one of a run's scenarios that `name` means, None where there is none.

    A run writes each number as its parameter has it: `share=1.0` for what was given as `share=1`.
    """
    wanted = _meaning(name)
    return next((other for other in names if other == name or _meaning(other) == wanted), None)


def found_arm(name: str, arms: Mapping[str, Mapping[str, str]]) -> str | None:
    """The one of a run's allocators that `name` means, None where there is none. `arms`: each one's
    settings, by name. `mine?key=value` is also the one that was named `mine` and has that value.
    """
    if name in arms:
        return name
    spec = Spec.of_allocator(name)
    asked = {entry.key: entry.values[0] for entry in spec.settings}
    named = arms.get(spec.name, {})
    return spec.name if asked and asked.items() <= named.items() else None


def _meaning(name: str) -> tuple[str, list[tuple[str, list[float | str]]]]:
    spec = Spec.of_scenario(name)
    return spec.name, [
        (entry.key, [_number(item) for value in entry.values for item in items(value)])
        for entry in spec.settings
    ]


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _folder_name(path: str, *, where: str) -> str:
    """What an allocator is called whose folder alone was given. Raises UsageError."""
    folder = Path(path).absolute()
    name = folder.resolve().name if folder.name == ".." else folder.name
    if not name or set(name) & set("=?&"):
        raise _wrong(where, f"it cannot be called {shown(name)}, give it a name", _ALLOCATOR)
    return name


def _read(text: str, *, where: str, form: str) -> Spec:
    """All that comes before the ? as the name. Raises UsageError."""
    if not text.isprintable():
        raise _wrong(where, "it cannot be printed", form)
    name, _, rest = text.partition("?")
    settings = [Setting.read(part, where=where, form=form) for part in rest.split("&") if rest]
    for key, count in Counter(entry.key for entry in settings).items():
        if count > 1:
            raise _wrong(where, f"{shown(key)} is set twice", form)
    return Spec(name, settings=tuple(settings))


def _joined(name: str, settings: Iterable[str]) -> str:
    return "?".join(filter(None, (name, "&".join(settings))))


def _wrong(where: str, reason: str, form: str) -> UsageError:
    return UsageError(f"{where}: {reason}: it is written {form}")

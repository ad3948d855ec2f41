"""Settings of an allocator that reads them from its environment: the table [settings] of its TOML.

    [settings]
    variable = "MALLOC_CONF"      all pairs go into one variable
    pair = "{key}:{value}"
    separator = ","

    [settings]
    variable = "MIMALLOC_{KEY}"   a variable for each key, in capitals

    [settings.keys]               of both: what is known
    narenas = { type = "integer", default = "4 a CPU", meaning = "...", tune = [1] }

`tune`: values that `allocphase tune` tries where nobody names any, each beside leaving the key
alone.

`named` says how an object that knows a key names it, as a string of its own: so it can be told
where a build silently ignores one. Who answers a key that is wrong on stderr needs none.

Place in the pipeline: used by collection, which gives an arm its variables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from allocphase.errors import UsageError, shown, unknown
from allocphase.files.typed import Check, FieldError, Name
from allocphase.spec import ENVIRONMENT_PREFIX

__all__ = ["Key", "KnownSetting", "SettingText", "SettingsForm", "checked_variable"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# How the allocator comes in, and what a process is told by the harness.
_NOT_TO_BE_SET = re.compile(r"LD_PRELOAD|ALLOCPHASE_.*")
_INTEGER = re.compile(r"[+-]?\d+|0x[0-9a-fA-F]+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

Key = Annotated[
    str,
    Check(
        "a key of letters, digits, and . _ - only",
        lambda key: re.fullmatch(r"[\w.-]+", key) is not None,
    ),
]
_SIZE = re.compile(r"\d+([KMGT](i?B)?)?")
_TYPES: dict[str, tuple[str, Callable[[str], object]]] = {
    "integer": ("an integer", _INTEGER.fullmatch),
    "number": ("a number", _NUMBER.fullmatch),
    "boolean": ("true or false", lambda value: value in ("true", "false")),
    "size": ("a number of bytes, or of KiB, MiB or GiB as in 64MiB", _SIZE.fullmatch),
    "text": ("a text", lambda _: True),
}


def _setting_text(value: object) -> str:
    """A demand, which gives the text that a command line and an environment carry."""
    if not isinstance(value, str | int | float):
        raise FieldError(f"must be a string, a number, true or false, not {shown(value)}")
    return str(value).lower() if isinstance(value, bool) else str(value)


SettingText = Annotated[str, _setting_text]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSetting:
    """A key. default: as its documentation or the allocator itself says, perhaps in words.

    least, most: of an integer; beyond them the allocator ignores it without a word. tune: values of
    interest, where a search is told none.
    """

    type: Literal["integer", "number", "boolean", "size", "text"]
    default: Name
    meaning: Name
    choices: tuple[Name, ...] = ()
    least: int | None = None
    most: int | None = None
    tune: tuple[SettingText, ...] = ()

    def __post_init__(self) -> None:
        if self.type != "integer" and (self.least, self.most) != (None, None):
            raise FieldError("only an integer has a least or a most", ".type")
        for place, value in enumerate(self.tune):
            if not self.takes(value):
                raise FieldError(f"must be {self.values}, not {shown(value)}", f".tune[{place}]")

    @property
    def values(self) -> str:
        """What a value has to be, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        bounds = [("from", self.least), ("to" if self.least is not None else "up to", self.most)]
        words = [f"{word} {bound}" for word, bound in bounds if bound is not None]
        return " ".join([_TYPES[self.type][0], *words])

    def takes(self, value: str) -> bool:
        """Whether the allocator can read the value; it may still change one that it cannot use."""
        if self.choices:
            return value in self.choices
        if not _TYPES[self.type][1](value):
            return False
        if self.least is None and self.most is None:
            return True
        number = int(value, 16 if value.startswith("0x") else 10)
        least = number if self.least is None else self.least
        most = number if self.most is None else self.most
        return least <= number <= most


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsForm:
    """How settings are passed, and which are known. pair, separator: of one variable for all."""

    variable: Name
    pair: Name | None = None
    separator: Name | None = None
    named: Name | None = None
    keys: Mapping[Key, KnownSetting]

    def __post_init__(self) -> None:
        if self.is_joined != (self.pair is not None and self.separator is not None):
            raise FieldError("wants {KEY} in it, or else pair and separator beside it", ".variable")
        if not _VARIABLE.fullmatch(self.variable.replace("{KEY}", "KEY")):
            raise FieldError(f"must be the name of a variable, not {shown(self.variable)}",
                             ".variable")  # fmt: skip

    @property
    def is_joined(self) -> bool:
        """Whether one variable has all pairs."""
        return "{KEY}" not in self.variable

    @property
    def shape(self) -> str:
        """How a setting is passed: "MALLOC_CONF=KEY:VALUE,KEY:VALUE"."""
        if self.pair is None or self.separator is None:
            return f"{self.variable.replace('{KEY}', 'KEY')}=VALUE"
        pair = self.pair.replace("{key}", "KEY").replace("{value}", "VALUE")
        return f"{self.variable}={pair}{self.separator}{pair}"

    def check(self, key: str, value: str, *, where: str) -> None:
        """Raises UsageError, which begins with `where`, for what the allocator cannot read."""
        if key not in self.keys:
            anything = f"{ENVIRONMENT_PREFIX}VARIABLE=VALUE, which passes any variable"
            raise UsageError(unknown(f"{where}: setting", key, self.keys, otherwise=anything))
        if not self.keys[key].takes(value):
            words = self.keys[key].values
            raise UsageError(f"{where}: setting {key} must be {words}, not {shown(value)}")

    def variables(self, settings: Mapping[str, str]) -> dict[str, str]:
        """By name, what the settings are in an environment."""
        if not self.is_joined:
            return {self.variable.replace("{KEY}", k.upper()): v for k, v in settings.items()}
        assert self.pair is not None and self.separator is not None
        pairs = [
            self.pair.replace("{key}", key).replace("{value}", value)
            for key, value in settings.items()
        ]
        return {self.variable: self.separator.join(pairs)} if pairs else {}

    def over(self, below: Mapping[str, str], above: Mapping[str, str]) -> dict[str, str]:
        """Variables over others: of what is joined, the later pair of a key holds."""
        found = {**below, **above}
        if self.is_joined and self.variable in below and self.variable in above:
            found[self.variable] = f"{below[self.variable]}{self.separator}{above[self.variable]}"
        return found

    def unnamed(self, keys: Iterable[str], content: bytes) -> tuple[str, ...]:
        """Those of `keys` that an object of this content knows nothing of, as far as can be told.

        A linker lays a string into the end of a longer one, so only ends are looked for.
        """
        if self.named is None:
            return ()
        names = {key: _with_key(self.named, key) for key in keys}
        return tuple(key for key, name in names.items() if name.encode() + b"\0" not in content)


def _with_key(form: str, key: str) -> str:
    return form.replace("{key}", key).replace("{KEY}", key.upper())


def checked_variable(key: str, *, where: str) -> str:
    """The variable that `env.VARIABLE` names. Raises UsageError, which begins with `where`."""
    name = key.removeprefix(ENVIRONMENT_PREFIX)
    if not _VARIABLE.fullmatch(name):
        raise UsageError(f"{where}: setting {shown(key)}: {shown(name)} is no variable's name")
    if _NOT_TO_BE_SET.fullmatch(name):
        raise UsageError(f"{where}: setting {shown(key)}: {name} is set by allocphase itself")
    return name

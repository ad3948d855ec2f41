"""Scenarios: what a workload stands for, and the family, parameters and seed that make its trace;
or the program that it is (program.py), or the trace file (recorded.py).

Each is one TOML file in scenarios/, its stem the scenario's name. Nothing in a file is optional
that a reader of a result needs, and nothing in it is ignored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, TypeAlias

import numpy as np

from allocphase import resources
from allocphase.errors import UsageError, shown, unknown
from allocphase.files.regular import is_there
from allocphase.files.typed import Check, Count, FieldError, Name, at_most, known, load_toml
from allocphase.operation import MAX_WORK_NS, MODES, TOUCHES
from allocphase.scenario.families import FAMILIES, Family, ParameterError, Value
from allocphase.scenario.program import Program, ProgramTable
from allocphase.scenario.recorded import Recorded, recorded
from allocphase.spec import TRACE_SUFFIXES, Spec, file_name, listed, written
from allocphase.trace.completion import complete
from allocphase.trace.records import Touch, Trace

__all__ = [
    "AnyScenario",
    "Scenario",
    "Traced",
    "collected",
    "digest_of",
    "generate",
    "is_paced",
    "load",
    "resolve",
]

# Of a family: what a program touched is known of a recording alone.
_TOUCHES = {name: touch for name, touch in TOUCHES.items() if touch != Touch.RECORDED}

# A trace file of 4 GiB.
MAX_OPERATIONS = 1 << 28
# What making a trace takes at least, the file in the page cache included.
BYTES_PER_OPERATION = 64


Text = Annotated[
    str, Check("a string that is not empty", lambda value: isinstance(value, str) and value != "")
]


# Set like a parameter, in every family.
_WORK = "work_ns"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Description:
    """A scenario's TOML file."""

    title: Text
    stands_for: Text
    source: Text
    does_not_show: Text
    family: Annotated[str, known(FAMILIES)] | None = None
    seed: Count | None = None
    touch: Annotated[str, known(TOUCHES)] | None = None
    work_ns: Annotated[int, at_most(MAX_WORK_NS)] = 0
    default: bool = False
    parameters: Mapping[str, object] = field(default_factory=dict)
    program: ProgramTable | None = None
    trace: Name | None = None
    mode: Annotated[str, known(MODES)] | None = None

    def __post_init__(self) -> None:
        kind, needed, foreign = self._keys()
        for key in needed:
            if getattr(self, key) is None:
                raise FieldError("missing", f".{key}")
        for key in foreign:
            if getattr(self, key):
                raise FieldError(f"is not for a {kind}", f".{key}")

    def _keys(self) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """What kind it is, the keys that it must have, and those that it must not."""
        if self.trace is not None:
            foreign = ("family", "parameters", "work_ns")
            if self.program is not None:
                return "recording", ("seed",), foreign
            return "recording", (), ("seed", *foreign)
        if self.program is not None:
            return "program", ("seed",), ("family", "touch", "mode", "parameters", "work_ns")
        return "family", ("family", "seed", "touch"), ("mode",)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One workload; two with equal family, parameters, seed, touch and work have the same trace.

    `parameters` has every parameter of the family, defaults included. `work_ns`: the program's own
    work after each operation. `default` says that the scenario belongs to the default set.
    """

    name: str
    title: str
    stands_for: str
    source: str
    does_not_show: str
    family: str
    seed: int
    touch: Touch
    work_ns: int
    parameters: Mapping[str, Value]
    default: bool

    def with_parameters(self, changes: Mapping[str, object]) -> Scenario:
        """The scenario with other parameters, named `name?key=value`: a point of a sweep.

        `work_ns` is set in the same way. Values may be text, as on a command line. Raises
        UsageError.
        """
        family, where = FAMILIES[self.family], f"scenario {self.name}"
        settable = [*family.fields(), _WORK]
        for key in changes:
            if key not in settable:
                raise UsageError(f"{where}: {unknown('key', key, settable)}")
        given = {**self.parameters, _WORK: self.work_ns, **changes}
        work_ns = _read_work(given.pop(_WORK), where=where)
        parameters = _read(family, given, where=where)
        before, values = Spec.of_scenario(self.name), {**parameters, _WORK: work_ns}
        keys = dict.fromkeys([*(setting.key for setting in before.settings), *changes])
        name = written(before.name, {key: _text(values[key]) for key in keys})
        return replace(self, name=name, work_ns=work_ns, parameters=parameters)


# Scenarios that are replayed, and those that are run.
Traced: TypeAlias = Scenario | Recorded
AnyScenario: TypeAlias = Scenario | Recorded | Program


def load(path: Path) -> AnyScenario:
    """The scenario in a TOML file, or the one that a trace file is. Raises UsageError with the
    file, the key and the reason.
    """
    if not path.stem.isprintable():
        raise UsageError(f"{str(path)!r}: its name cannot be printed")
    if path.name.endswith(TRACE_SUFFIXES):
        return recorded(path, name=file_name(str(path)))
    found = load_toml(_Description, path)
    if found.trace is not None:
        return _recorded(found, path.parent / found.trace, path)
    if found.program is not None:
        return _program(found, found.program, path)
    assert found.family is not None and found.touch is not None, "by __post_init__"
    assert found.seed is not None, "by __post_init__"
    family = FAMILIES[found.family]
    if found.touch not in _TOUCHES:
        raise UsageError(f"{path}: touch: {found.touch!r} is for a recording alone")
    if _WORK in found.parameters:
        raise UsageError(
            f"{path}: parameters.{_WORK}: is no family's own: write it above, by touch"
        )
    return Scenario(
        name=path.stem,
        title=found.title,
        stands_for=found.stands_for,
        source=found.source,
        does_not_show=found.does_not_show,
        family=family.name,
        seed=found.seed,
        touch=_TOUCHES[found.touch],
        work_ns=found.work_ns,
        parameters=_read(family, found.parameters, where=f"{path}: parameters"),
        default=found.default,
    )


def _recorded(found: _Description, trace: Path, path: Path) -> Recorded:
    if not is_there(trace):
        raise UsageError(f"{path}: trace: {shown(str(trace))}: no such file")
    return recorded(
        trace,
        name=path.stem,
        texts={
            "title": found.title,
            "stands_for": found.stands_for,
            "source": found.source,
            "does_not_show": found.does_not_show,
        },
        changes={
            key: value
            for key, value in (("mode", found.mode), ("touch", found.touch))
            if value is not None
        },
        default=found.default,
        program=None if found.program is None else _program(found, found.program, path),
    )


def _program(found: _Description, table: ProgramTable, path: Path) -> Program:
    files = tuple(str((path.parent / name).absolute()) for name in table.files)
    for name in files:
        if not is_there(Path(name)):
            raise UsageError(f"{path}: program.files: {shown(name)}: no such file")
    if table.folder is not None or table.input is not None:
        raise UsageError(f"{path}: program.folder, program.input: are for a command line only")
    return Program(
        name=path.stem if found.trace is None else f"{path.stem}-program",
        title=found.title,
        stands_for=found.stands_for,
        source=found.source,
        does_not_show=found.does_not_show,
        seed=found.seed or 0,
        default=found.default,
        program=replace(table, files=files),
    )


def collected() -> tuple[AnyScenario, ...]:
    """Every scenario of the package and of third-party packages, by name. Raises UsageError."""
    return tuple(load(path) for path in _files().values())


def resolve(text: str) -> tuple[AnyScenario, ...]:
    """The scenarios that a specification names: by a name, a glob (larson*), a path to a .toml
    file or a trace, `all`, or `default`; each with the parameters after a `?` (spec.py), at every
    combination of their values. A program and a recording have none.

    Raises UsageError, with the nearest match for a name that does not exist.
    """
    spec = Spec.of_scenario(text)
    return tuple(found.with_parameters(point) for found in _named(spec) for point in spec.points())


def digest_of(scenario: AnyScenario) -> str:
    """SHA-256 of its trace, or of what decides what a program does, in hex. Raises as generate."""
    if isinstance(scenario, Recorded):
        return scenario.digest()
    return scenario.digest if isinstance(scenario, Program) else generate(scenario).digest


def is_paced(scenario: AnyScenario) -> bool:
    """Whether its replay waits for what the program did between its calls."""
    return isinstance(scenario, Recorded) and scenario.paced


def generate(scenario: AnyScenario) -> Trace:
    """The scenario's trace: equal parameters and seed give equal bytes, on every platform. That of
    a recording has the touch of its file.

    Raises UsageError when the parameters make no valid trace, and for a program, which has none.
    """
    if isinstance(scenario, Program):
        raise UsageError(f"scenario {scenario.name}: is a program, and has no trace")
    if isinstance(scenario, Recorded):
        return scenario.read()
    family = FAMILIES[scenario.family]
    parameters = family.parameters(**scenario.parameters)
    _check_length(scenario.name, family.most_operations(parameters))
    rng = np.random.Generator(np.random.PCG64(scenario.seed))
    try:
        draft = family.draft(parameters, rng)
        return complete(draft, touch=scenario.touch, work_ns=scenario.work_ns)
    except (ParameterError, UsageError) as error:
        raise UsageError(f"scenario {scenario.name}: {error}") from error
    except MemoryError:
        raise UsageError(f"scenario {scenario.name}: there is no memory for its trace") from None


def _check_length(name: str, most: int) -> None:
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    allowed = min(MAX_OPERATIONS, memory_bytes // BYTES_PER_OPERATION)
    if most > allowed:
        raise UsageError(
            f"scenario {name}: its parameters make up to {most:,} operations;"
            f" this machine's memory allows {allowed:,}, and no trace has more than"
            f" {MAX_OPERATIONS:,}"
        )


def _read(family: Family, values: Mapping[str, object], *, where: str) -> dict[str, Value]:
    try:
        return family.read(values)
    except FieldError as error:
        raise UsageError(f"{where}: {error}") from None


def _read_work(value: object, *, where: str) -> int:
    if isinstance(value, str):
        with suppress(ValueError):  # the check says why
            value = int(value)
    try:
        found: int = at_most(MAX_WORK_NS)(value)
    except FieldError as error:
        raise UsageError(f"{where}: {_WORK}: {error}") from None
    return found


def _named(spec: Spec) -> tuple[AnyScenario, ...]:
    names = spec.name
    if spec.is_path:
        return (load(Path(names)),)
    files = _files()
    if names in files:
        return (load(files[names]),)
    if names == "default":
        return tuple(scenario for scenario in collected() if scenario.default)
    pattern = "*" if names == "all" else names
    found = tuple(load(path) for name, path in files.items() if fnmatchcase(name, pattern))
    if not found:
        raise UsageError(unknown("scenario", names, files))
    return found


def _files() -> dict[str, Path]:
    """Scenario files by name, sorted; of the package's own roots the first that has one wins."""
    own, files = resources.folders("scenarios"), dict[str, Path]()
    for folder in resources.collection_folders("scenarios"):
        for path in folder.glob("*.toml"):
            if path.stem in files and folder not in own:
                raise UsageError(f"{path}: a scenario of this name is in {files[path.stem]} too")
            files.setdefault(path.stem, path)
    return dict(sorted(files.items()))


def _text(value: Value) -> str:
    return listed(value) if isinstance(value, tuple) else str(value)

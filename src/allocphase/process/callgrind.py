"""A driver process under callgrind: the command that it runs under, and what its profile says.

driver/probes/instructions.c calls each of the allocator's functions from one of its own, whose name
begins with `counted_`. callgrind has of each such function what it took by itself, which is the
replay's, and what the calls out of it took with all that they called: that is the allocator's.

The format is that of the manual, "Callgrind Format Specification", with whole names and numbers.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from allocphase.errors import UsageError
from allocphase.files.regular import opened
from allocphase.machine.simulated_caches import cache_options, described_caches
from allocphase.machine.valgrind import NOT_INSTALLED, find_valgrind
from allocphase.probe.result import Function, Simulated

__all__ = [
    "CACHE_SIM",
    "COUNTED",
    "MAX_PROFILE_BYTES",
    "Costs",
    "Profile",
    "only_profile",
    "profile_of",
    "read_costs",
    "read_profile",
    "under",
]

# The option of a job that has the caches to simulate.
CACHE_SIM = "cache-sim"
COUNTED = "counted_"
# Collected is from the beginning of this function to its end.
COLLECTED = "counted_replay"
# Of the result: the costliest. An allocator takes more of them only where each costs next to
# nothing.
MOST_FUNCTIONS = 40
MAX_PROFILE_BYTES = 256 << 20
_VERSION = re.compile(r"creator: callgrind-(?P<version>\S+)")


def under(folder: Path, driver: Path, *, caches: str = "", callers: int = 0) -> list[str]:
    """The command that a driver process runs under, whose profile goes into `folder`. caches: to be
    simulated, as machine.simulated_caches has them. callers: by so many a function is told apart
    from itself, and is called FUNCTION'CALLER'CALLER... then.

    Raises UsageError where there is no valgrind.
    """
    valgrind = find_valgrind()
    if valgrind is None:
        raise UsageError(f"the probe instructions needs valgrind, which is {NOT_INSTALLED}")
    plain = str(folder).replace("%", "%%")
    return [
        str(valgrind),
        "--tool=callgrind",
        "--quiet",
        "--vgdb=no",
        "--fair-sched=try",
        "--collect-atstart=no",
        f"--toggle-collect={COLLECTED}",
        "--compress-strings=no",
        "--compress-pos=no",
        f"--separate-callers={callers}",
        f"--callgrind-out-file={plain}/callgrind.out.%p",
        *(cache_options(caches) if caches else ()),
        str(driver),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Instructions, of what was collected. by_call: of the allocator, by its function's kind.

    functions: of the allocator and what it called, the costliest first, each by itself.
    simulated: of the same calls; None where nothing was simulated.
    """

    by_call: dict[str, int]
    functions: tuple[Function, ...]
    simulated: Simulated | None
    version: str


@dataclass(slots=True)
class Costs:
    """By (object, function), what it took by itself and at which line of which file; and what was
    called from one function to another, with all below: instructions, and by callgrind's names all
    events. caches: that were simulated, "" for none.
    """

    own: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    lines: dict[tuple[str, str], dict[tuple[str, int], int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    calls: dict[tuple[tuple[str, str], tuple[str, str]], int] = field(
        default_factory=lambda: defaultdict(int)
    )
    events: dict[tuple[tuple[str, str], tuple[str, str]], Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    caches: str = ""
    version: str = ""


def profile_of(folder: Path, driver: Path) -> tuple[Path, Profile]:
    """The file, and what it says, of the one process that has left one in `folder`; of its forks
    there may be more, which have collected nothing. Raises ValueError for what is no profile,
    OSError.
    """
    paths = sorted(folder.glob("callgrind.out.*"))
    found = [(path, read_profile(path, driver)) for path in paths]
    best = max(found, key=lambda one: sum(one[1].by_call.values()), default=None)
    if best is None:
        raise ValueError("callgrind has left no profile")
    return best


def only_profile(folder: Path) -> Path:
    """The file alone: the longest, since forks have collected nothing. Raises ValueError."""
    found = max(folder.glob("callgrind.out.*"), key=lambda path: path.stat().st_size, default=None)
    if found is None:
        raise ValueError("callgrind has left no profile")
    return found


def read_profile(path: Path, driver: Path) -> Profile:
    """What callgrind has counted of the allocator's calls. `driver`: whose object is not its.

    Raises ValueError for what is no profile, OSError.
    """
    with opened(path, max_bytes=MAX_PROFILE_BYTES) as file:
        costs = read_costs(file)
    by_call: dict[str, int] = defaultdict(int)
    events: Counter[str] = Counter()
    own = dict(costs.own)
    for (caller, callee), cost in costs.calls.items():
        if _is_counted(caller, driver):
            by_call[_kind(caller[1])] += cost
            events.update(costs.events[caller, callee])
        elif _is_drivers(caller, driver) and not _is_drivers(callee, driver):
            own[callee] = own.get(callee, 0) - cost  # such as a memset: the program's own
    theirs = [(key, cost) for key, cost in own.items() if cost > 0 and not _is_drivers(key, driver)]
    theirs.sort(key=lambda one: (-one[1], one[0]))
    functions = [_function(key, cost, costs.lines[key]) for key, cost in theirs[:MOST_FUNCTIONS]]
    return Profile(
        by_call=dict(by_call),
        functions=tuple(functions),
        simulated=_simulated(events, costs.caches) if costs.caches else None,
        version=costs.version,
    )


def _simulated(events: Mapping[str, int], caches: str) -> Simulated:
    """callgrind's events by its names: misses of instruction reads, data reads and data writes."""
    return Simulated(
        caches=caches,
        l1_misses=events["I1mr"] + events["D1mr"] + events["D1mw"],
        ll_misses=events["ILmr"] + events["DLmr"] + events["DLmw"],
        mispredictions=events["Bcm"] + events["Bim"],
    )


def _is_drivers(function: tuple[str, str], driver: Path) -> bool:
    return Path(function[0]).name == driver.name


def _is_counted(function: tuple[str, str], driver: Path) -> bool:
    name = function[1]
    return _is_drivers(function, driver) and name.startswith(COUNTED) and name != COLLECTED


def _kind(name: str) -> str:
    return name.removeprefix(COUNTED).removesuffix("_tagged")


def _function(key: tuple[str, str], cost: int, lines: dict[tuple[str, int], int]) -> Function:
    """With the costliest of its lines, where there is debug information: else they have no file."""
    (file, line), _ = max(lines.items(), key=lambda one: one[1])
    known = file not in ("", "???") and line > 0
    return Function(
        name=key[1],
        object=Path(key[0]).name,
        instructions=cost,
        source=f"{Path(file).name}:{line}" if known else "",
    )


def read_costs(content: Iterable[bytes]) -> Costs:
    """The first event of each line: instructions; of calls all. Raises ValueError."""
    costs, here, file = Costs(), ("", ""), ""
    names: list[str] = []
    caches: list[str] = []
    callee, called = ("", ""), False
    for line in (raw.decode("utf-8", "replace").rstrip("\n") for raw in content):
        key, equals, value = line.partition("=")
        if line[:1].isdigit():
            position, _, numbers = line.partition(" ")
            cost = int(numbers.split(" ", 1)[0] or 0)
            if called:
                costs.calls[here, callee] += cost
                given = map(int, numbers.split())  # zeros at the end are left out
                costs.events[here, callee].update(dict(zip(names, given, strict=False)))
                callee = (here[0], "")  # said again where it is another
            else:
                costs.own[here] += cost
                costs.lines[here][file, int(position)] += cost
            called = False
        elif not equals:
            if found := _VERSION.match(line):
                costs.version = found["version"]
            elif line.startswith("events:"):
                names = line.split()[1:]
            elif line.startswith("desc:"):
                caches.append(line)
        elif key == "ob":
            here, callee = (value, here[1]), (value, "")
        elif key in ("fl", "fi", "fe"):
            file = value
        elif key == "fn":
            here = (here[0], value)
        elif key == "cob":
            callee = (value, "")
        elif key == "cfn":
            callee = (callee[0], value)
        elif key == "calls":
            called = True
    if not costs.version:
        raise ValueError("it is no profile of callgrind's")
    costs.caches = described_caches(caches)
    return costs

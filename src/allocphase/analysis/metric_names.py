"""From what a user wrote to the metric that is meant: by either name, one of a family included.

A name in the catalogue may have placeholders, `latency.<kind>.<statistic>`; what fits it is a
metric of its own. What fits nothing is refused with the nearest of all names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import product

from allocphase.analysis.measures import (
    CATALOGUE,
    COMPARED_NAMES,
    PHASES,
    QUANTILES,
    STATISTICS,
    Measure,
)
from allocphase.errors import UsageError, unknown
from allocphase.operation import LATENCY_KINDS
from allocphase.probe.arrays import MALLOC_KINDS
from allocphase.probe.counter_group import HARDWARE_EVENTS
from allocphase.probe.probe import Probe

__all__ = ["compared", "is_compared", "measure"]

# What may stand for a placeholder in a name; an empty collection is any word.
_PLACES: Mapping[str, Collection[str]] = {
    "kind": LATENCY_KINDS,
    "statistic": STATISTICS,
    "phase": PHASES,
    "probe": tuple(probe.value for probe in Probe),
    "quantile": tuple(QUANTILES),
    "cause": (),
    "call": (),
    "function": (),
    "stat": (),
    "entry": MALLOC_KINDS,
    "event": HARDWARE_EVENTS,
}
# Beside a program's calls by name.
_SUMS = ("total", "memory")
_PLACE = re.compile("<([a-z]+)>")

_BY_EITHER_NAME = {
    name: one for one in reversed(CATALOGUE) if not one.is_family for name in (one.path, one.name)
}
_FAMILIES = tuple(one for one in CATALOGUE if one.is_family)


def measure(name: str) -> Measure:
    """The metric of that name or path, one of a family included. Raises UsageError."""
    found = _find(name)
    if found is None:
        raise UsageError(_unknown(name, CATALOGUE))
    return found


def compared(name: str) -> Measure:
    """The same of those that can be compared and gated. Raises UsageError."""
    found = _find(name)
    if found is not None and found.rule is not None:
        return found
    problem = _unknown(name, [one for one in CATALOGUE if one.rule is not None])
    if found is not None:
        names = ", ".join(COMPARED_NAMES)
        problem = f"metric {name!r} can be neither compared nor gated; these can: {names}"
    raise UsageError(problem)


def is_compared(name: str) -> bool:
    """Whether there is a metric of that name that can be compared and gated."""
    found = _find(name)
    return found is not None and found.rule is not None


def _find(name: str) -> Measure | None:
    if name in _BY_EITHER_NAME:
        return _BY_EITHER_NAME[name]
    members = (_member(one, pattern, name) for one in _FAMILIES for pattern in (one.name, one.path))
    found = next((member for member in members if member is not None), None)
    return None if found is None else _BY_EITHER_NAME.get(found.path, found)


def _member(family: Measure, pattern: str, name: str) -> Measure | None:
    """The one of a family that a name means, None where it means none of it."""
    parts, given = pattern.split("."), name.split(".", pattern.count("."))
    if len(parts) != len(given):
        return None
    filled = {}
    for part, word in zip(parts, given, strict=True):
        place = part.strip("<>")
        if not (_fits(place, word) if place != part else part == word):
            return None
        filled[place] = word
    return _filled(family, filled)


def _fits(place: str, word: str) -> bool:
    if place == "call":
        # Any word may be a system call, and one that was not made counts 0: a slip in the name of
        # a phase must not, nor in that of a sum. The nearest real call is read, at 0.73 of
        # "threads".
        near = difflib.get_close_matches(word, (*PHASES, *_SUMS), n=1, cutoff=0.8)
        return bool(word) and "." not in word and not near
    return word in _PLACES[place] if _PLACES[place] else bool(word)


def _filled(family: Measure, words: Mapping[str, str]) -> Measure:
    def fill(text: str) -> str:
        return _PLACE.sub(lambda found: words[found[1]], text)

    return replace(
        family,
        name=fill(family.name),
        path=fill(family.path),
        title=fill(family.title),
        heading=fill(family.heading).replace("_", "."),
        probe=Probe(words["probe"]) if words.get("probe") in _PLACES["probe"] else family.probe,
    )


def _unknown(name: str, among: Collection[Measure]) -> str:
    """One line with the nearest of all names and paths; the short names where none is near."""
    known = [text for one in among for text in _spelled(one)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return unknown("metric", name, near or [one.name for one in among])


def _spelled(one: Measure) -> Iterator[str]:
    """Both names; of a family those of its members, as far as they are known before a run."""
    places = _PLACE.findall(one.path)
    for words in product(*(_PLACES[place] or (f"<{place}>",) for place in places)):
        member = _filled(one, dict(zip(places, words, strict=True))) if places else one
        yield from (member.name, member.path)

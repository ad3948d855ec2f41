"""Looks: the same for an allocator in every report, seen on light and dark pages, distinct."""

from __future__ import annotations

import itertools

from allocphase.allocator import collected
from allocphase.analysis.frames import CAUSES
from allocphase.report.content.palette import Look, cause_looks, looks

LIGHT, DARK = "#ffffff", "#15181e"
KNOWN = ("libc", "jemalloc", "tcmalloc", "mimalloc", "scudo", "original", "phase1", "phase2",
         "phase21", "phase3", "ariax", "tcmalloc-full", "mimalloc3", "tbbmalloc")  # fmt: skip


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_every_allocator_of_the_collection_has_a_look_of_its_own() -> None:
    assert set(KNOWN) == {name for name, found in collected().items() if found.correct}


def test_an_allocator_looks_the_same_whoever_else_is_there() -> None:
    assert looks(["phase2"])["phase2"] == looks(["x", "libc", "phase2"])["phase2"]


def test_ten_strangers_are_told_apart() -> None:
    chosen = looks([f"stranger{n}" for n in range(10)])
    assert len(set(chosen.values())) == 10


def test_no_stranger_takes_the_look_of_an_allocator_that_is_there() -> None:
    chosen = looks([*KNOWN, "one", "two", "three"])
    assert len(set(chosen.values())) == len(chosen)


def test_every_colour_is_seen_on_a_light_and_on_a_dark_page() -> None:
    strangers = [f"stranger{n}" for n in range(5)]
    colours = [look.colour for look in looks([*KNOWN, *strangers]).values()]
    for colour, page in itertools.product(colours, (LIGHT, DARK)):
        assert _contrast(colour, page) >= 3.0


def test_in_grey_known_allocators_differ_by_marker_or_dash() -> None:
    def grey(look: Look) -> tuple[str, tuple[float, ...]]:
        return look.marker, look.dash

    assert len({grey(look) for look in looks(KNOWN).values()}) == len(KNOWN)


def test_every_cause_has_a_look_and_a_marker_of_its_own() -> None:
    found = cause_looks()
    assert tuple(found) == CAUSES
    assert len({look.marker for look in found.values()}) == len(CAUSES)

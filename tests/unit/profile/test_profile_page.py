"""The page of a profile: every frame with its figures, nothing from elsewhere unescaped, and no
request to anywhere.
"""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest

from allocphase.profile.page import page
from allocphase.profile.profiling import Profiled
from allocphase.profile.stacks import Frame, Kind, Profile
from tests.support.gates import small_scenario
from tests.support.profiles import MARKUP, PROFILES


def shown(*profiles: Profile, fallen_back: str = "") -> str:
    found = Profiled(small_scenario(), profiles or PROFILES, fallen_back)
    return page(found, command=["allocphase", "profile", "-a", MARKUP])


def test_every_frame_has_its_name_share_and_place() -> None:
    text = shown()
    assert (
        'aria-label="malloc: 60% of the allocator&#39;s instructions, 12 an operation, 40% by '
        'itself; mine.c:7"'
    ) in text
    assert 'style="width:33.333%"' in text, "slow takes 20 of malloc's 60"
    assert text.count('role="tree"') == len(PROFILES)


def test_the_shares_of_others_stand_beside_and_are_not_drawn() -> None:
    text = shown()
    assert "the replay itself <b>50%</b>" in text
    assert text.count(">the replay itself") == text.count("the replay itself <b>")


def test_what_comes_from_elsewhere_is_escaped() -> None:
    text = shown()
    assert MARKUP not in text
    assert "&lt;b&gt;" in text


def test_it_asks_nobody_for_anything() -> None:
    text = shown()
    assert not re.search(r"""\b(?:src|href)=(?!["']?#)""", text)
    assert "default-src 'none'" in html.unescape(text)
    assert "url(" not in text


def test_what_is_too_narrow_to_be_seen_is_left_out() -> None:
    (first, *_) = PROFILES
    tiny = Frame("tiny", "mine.so", Kind.ALLOCATOR)
    stacks = {**first.stacks, (tiny,): 1, next(iter(first.stacks)): 10_000}
    text = shown(replace(first, stacks=stacks))
    graph = text[text.index('<ul class="flame"') : text.index("Costliest functions")]
    assert "tiny" not in graph
    assert "malloc" in graph


def test_why_it_is_not_perf_is_said() -> None:
    assert "By callgrind, since perf is not there." in shown(fallen_back="perf is not there")


@pytest.mark.parametrize("per_op", [None, 20.0])
def test_a_program_has_no_operations(per_op: float | None) -> None:
    (first, *_) = PROFILES
    text = shown(replace(first, per_op=per_op))
    assert ("12 an operation" in text) == (per_op is not None)

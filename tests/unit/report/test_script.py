"""The page's script: parts that use each other in one order, and what becomes of them."""

from __future__ import annotations

import re

import pytest

from allocphase.report.page.assets import PARTS, policy, scripts
from tests.support.plugins import ROOT

FOLDER = ROOT / "reports" / "script"


def text(part: str) -> str:
    return (FOLDER / f"{part}.js").read_text(encoding="utf-8")


def said(part: str) -> list[str]:
    """What a part's opening comment says that it uses."""
    (line,) = re.findall(r"^// Uses: (.+)\.$", text(part), re.MULTILINE)
    return [] if line == "nothing" else line.split(", ")


def taken(part: str) -> list[str]:
    """The parts whose names a part takes."""
    return re.findall(r"^  const \{[^}]+\} = (\w+);$", text(part), re.MULTILINE)


def test_every_file_of_the_folder_is_a_part() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_uses_what_it_says_and_nothing_that_comes_after_it(part: str) -> None:
    assert taken(part) == said(part)
    assert set(said(part)) <= set(PARTS[: PARTS.index(part)])


@pytest.mark.parametrize("part", PARTS)
def test_a_part_takes_only_names_that_the_other_one_gives(part: str) -> None:
    for names, other in re.findall(r"^  const \{([^}]+)\} = (\w+);$", text(part), re.MULTILINE):
        (given,) = re.findall(r"^  return \{([^}]+)\};\n\}\)\(\);$", text(other), re.MULTILINE)
        assert set(names.replace(",", " ").split()) <= set(given.replace(",", " ").split())


def test_all_parts_are_one_strict_script_that_the_policy_allows() -> None:
    texts = scripts()
    own = str(texts[-1])
    assert own.startswith('"use strict";\n{\n// Numbers:') and own.endswith("\n}")
    assert [own.index(text(part)) for part in PARTS] == sorted(own.index(text(p)) for p in PARTS)
    assert policy(texts).count("'sha256-") == len(texts)

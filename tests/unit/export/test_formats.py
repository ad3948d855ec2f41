"""The list of formats is the folder's and the page's; each is written of an empty run too."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from allocphase.export.exported import Choice
from allocphase.export.formats import FORMATS, Format, format_of
from tests.support.plugins import ROOT
from tests.support.runs import write_run

HELPERS = {"cells", "exported", "figures", "formats", "hdr", "long_table", "protobuf", "timeline"}


def test_every_module_of_the_folder_is_a_format_or_a_helper() -> None:
    folder = ROOT / "src" / "allocphase" / "export"
    modules = {path.stem for path in folder.glob("[!_]*.py")}
    assert {one.module.rpartition(".")[2] for one in FORMATS} == modules - HELPERS


def test_the_page_has_a_row_for_every_format_with_what_it_loses() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    rows = text.partition("## A run in the formats of others")[2]
    found = re.findall(r"^\| `([a-z-]+)` \| .+ \| .+ \| .+ \|$", rows, re.MULTILINE)
    assert sorted(found) == sorted(one.name for one in FORMATS)


@pytest.mark.parametrize("one", FORMATS, ids=lambda one: one.name)
def test_a_format_is_found_by_its_name_and_has_a_writer(one: Format) -> None:
    assert format_of(one.name) is one
    assert find_spec(one.module) is not None
    assert callable(import_module(one.module).write)


@pytest.mark.parametrize(
    "one", [one for one in FORMATS if not one.of_cell and not one.extra], ids=lambda one: one.name
)
def test_a_run_in_which_nothing_was_measured_has_no_figures_and_that_is_told(
    one: Format, tmp_path: Path
) -> None:
    run = write_run(tmp_path, [], allocators=("one", "two"))
    found = one.write([run], Choice())
    if one.name != "csv":  # which is of the journal, and has what is in it
        assert [note for note in found.notes if "two on some" in note]
    assert b"nan" not in found.content.lower()

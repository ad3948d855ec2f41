"""The list of customSmallerIsBetter: name, unit and value of each, and each name once."""

from __future__ import annotations

import json

from allocphase.analysis.frames import Run
from allocphase.export.exported import Choice
from allocphase.export.github_action_benchmark import write


def test_entries_have_what_the_action_reads_and_names_of_their_own(awkward: Run) -> None:
    entries = json.loads(write([awkward], Choice()).content, parse_constant=lambda _: 1 / 0)
    for entry in entries:
        assert (
            {"name", "unit", "value"} <= set(entry) <= {"name", "unit", "value", "range", "extra"}
        )
        assert isinstance(entry["value"], (int, float))
        assert all(isinstance(entry[key], str) for key in entry.keys() - {"value"})
    assert len({entry["name"] for entry in entries}) == len(entries)
    by_name = {entry["name"]: entry for entry in entries}
    assert by_name["keep/libc time"] == {
        "name": "keep/libc time",
        "unit": "ns",
        "value": 20.0,
        "range": "19.6 to 20.4",
    }
    assert "interrupted 900 times" in by_name["keep/phase2 time"]["extra"]
    assert "extra" not in by_name["keep/phase2 p50"]

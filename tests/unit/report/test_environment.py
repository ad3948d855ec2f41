"""How a run was made, as the page tells it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from allocphase.report.page.environment import allocators
from tests.support.runs import write_run


def test_the_settings_of_an_arm_stand_with_the_variables_that_carry_them(tmp_path: Path) -> None:
    run = write_run(tmp_path, [])
    config, environment = {"narenas": "1"}, {"MALLOC_CONF": "narenas:1"}
    arms = [
        replace(entry, config=config, environment=environment) for entry in run.manifest.allocators
    ]
    run.manifest = replace(run.manifest, allocators=tuple(arms))
    assert [row["settings"] for row in allocators([run])] == [
        "narenas=1, MALLOC_CONF=narenas:1",
        "narenas=1, MALLOC_CONF=narenas:1",
    ]

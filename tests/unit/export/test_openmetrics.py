"""OpenMetrics, read by the parsers of prometheus_client, of this format and of the older one."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from allocphase.analysis.frames import Run
from allocphase.export.exported import Choice
from allocphase.export.openmetrics import write
from tests.conftest import Needs
from tests.support.exports import ALLOCATORS, NOTHING, SCENARIOS, cell_count

if TYPE_CHECKING:
    from prometheus_client import Metric


@pytest.fixture(scope="module")
def families(awkward: Run, needs: Needs) -> dict[str, Metric]:
    needs(find_spec("prometheus_client"), "prometheus_client", install="pip install -e '.[test]'")
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    text = write([awkward], Choice()).content.decode("utf-8")
    return {one.name: one for one in text_string_to_metric_families(text)}


def test_times_are_the_cells_in_seconds_under_names_that_come_back_whole(
    awkward: Run, families: dict[str, Metric]
) -> None:
    family = families["allocphase_time_per_op_seconds"]
    assert family.unit == "seconds"
    found = {(s.labels["allocator"], s.labels["scenario"]): s.value for s in family.samples}
    assert found == pytest.approx(
        {
            (cell.allocator, cell.scenario): cell.metrics["time_per_op_ns"] * 1e-9
            for cell in awkward.cell_list
            if cell.allocator != NOTHING
        }
    )
    assert len(found) == len(ALLOCATORS) * len(SCENARIOS)


def test_every_cell_has_its_status(families: dict[str, Metric]) -> None:
    samples = families["allocphase_cell_good"].samples
    assert len(samples) == cell_count()
    assert {s.labels["status"]: s.value for s in samples} == {
        "ok": 1.0,
        "crashed": 0.0,
        "not measured": 0.0,
    }


def test_the_older_text_format_is_read_alike(awkward: Run, families: dict[str, Metric]) -> None:
    """node_exporter's collector of text files reads that."""
    from prometheus_client.parser import text_string_to_metric_families

    text = write([awkward], Choice()).content.decode("utf-8")
    older = {one.name: one for one in text_string_to_metric_families(text)}
    assert older.keys() == families.keys()
    for name, family in older.items():
        assert len(family.samples) == len(families[name].samples)

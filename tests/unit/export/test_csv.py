"""The long table as CSV, read by pandas."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from allocphase.analysis.frames import Run
from allocphase.export.csv import write
from allocphase.export.exported import Choice
from allocphase.export.long_table import COLUMNS


@pytest.fixture(scope="module")
def table(awkward: Run) -> pd.DataFrame:
    return pd.read_csv(  # the floor's name is null
        io.BytesIO(write([awkward], Choice()).content),
        keep_default_na=False,
        na_values={"value": [""]},
    )


def test_every_process_of_the_journal_is_there_with_its_names(
    awkward: Run, table: pd.DataFrame
) -> None:
    assert tuple(table.columns) == COLUMNS
    told = set(zip(table["process"], table["allocator"], table["scenario"], strict=True))
    assert told == {(r.id, r.allocator, r.scenario) for r in awkward.records}


def test_medians_of_its_values_are_the_cells_times(awkward: Run, table: pd.DataFrame) -> None:
    times = table[table["metric"] == "time_per_op_ns"]
    medians = times.groupby(["allocator", "scenario"])["value"].median().to_dict()
    cells = {
        (cell.allocator, cell.scenario): value
        for cell in awkward.cell_list
        if np.isfinite(value := cell.metrics.get("time_per_op_ns", np.nan))
    }
    assert {key: medians[key] for key in cells} == pytest.approx(cells)
    assert len(medians) == len(cells) + len(awkward.scenarios)  # the floor has no cell
    assert set(times["unit"]) == {"ns"}


def test_a_process_that_failed_has_a_row_that_says_so_and_no_figure(table: pd.DataFrame) -> None:
    failed = table[table["status"] != "ok"]
    assert set(failed["status"]) == {"crashed"}
    assert set(failed["metric"]) == set(failed["unit"]) == {""}
    assert failed["value"].isna().all()
    assert len(failed) == 5


def test_every_figure_is_finite(table: pd.DataFrame) -> None:
    assert np.isfinite(table.loc[table["status"] == "ok", "value"]).all()

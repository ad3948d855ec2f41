"""Parquet, read by pandas through pyarrow: the rows of csv, with types."""

from __future__ import annotations

import io
from importlib.util import find_spec

import pandas as pd
import pytest

from allocphase.analysis.frames import Run
from allocphase.errors import UsageError
from allocphase.export import parquet
from allocphase.export.exported import Choice
from allocphase.export.long_table import COLUMNS, long_rows
from tests.conftest import Needs


@pytest.fixture
def pyarrow(needs: Needs) -> None:
    needs(find_spec("pyarrow"), "pyarrow", install="pip install -e '.[parquet]'")


@pytest.mark.usefixtures("pyarrow")
def test_every_row_comes_back_with_its_names_and_null_where_there_is_no_figure(
    awkward: Run,
) -> None:
    content = parquet.write([awkward, awkward], Choice()).content
    table = pd.read_parquet(io.BytesIO(content))
    assert tuple(table.columns) == COLUMNS
    rows = [*long_rows(awkward), *long_rows(awkward)]
    found = table.astype(object).where(table.notna(), None)
    assert [tuple(row) for row in found.itertuples(index=False)] == rows
    assert table["value"].dtype == float
    assert table["process"].dtype == int


def test_without_pyarrow_it_says_how_to_install_it(
    awkward: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'allocphase\[parquet\]'"):
        parquet.write([awkward], Choice())

"""Parquet of the long table (long_table.py), for notebooks and DuckDB: names as dictionaries, null
where a process has no figure. Needs pyarrow: pip install 'allocphase[parquet]'.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from allocphase.analysis.frames import Run
from allocphase.errors import UsageError
from allocphase.export.exported import Choice, Exported
from allocphase.export.long_table import COLUMNS, long_rows

__all__ = ["write"]

_INTEGERS = ("process", "round", "repeat")


def write(runs: Sequence[Run], _: Choice) -> Exported:
    """Of as many runs as are given: `run` and `started` tell them apart. Raises UsageError where
    pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UsageError(
            "parquet needs pyarrow, which is not installed: pip install 'allocphase[parquet]'"
        ) from None
    words = pa.dictionary(pa.int32(), pa.string())
    types = {**dict.fromkeys(COLUMNS, words), **dict.fromkeys(_INTEGERS, pa.int64())}
    types["value"] = pa.float64()
    columns = list(zip(*(row for run in runs for row in long_rows(run)), strict=True))
    arrays = [
        pa.array(columns[place] if columns else [], type=kind)
        for place, kind in enumerate(types.values())
    ]
    file = io.BytesIO()
    pq.write_table(pa.table(dict(zip(types, arrays, strict=True))), file)
    return Exported(file.getvalue())

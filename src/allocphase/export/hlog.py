"""HdrHistogram's log (.hlog, version 1.2): all latencies of a run, a line a cell and kind of call.

    Tag=SCENARIO/ALLOCATOR/KIND,start,length,max,BASE64

A tag has no comma, blank or letter beyond ASCII: they are written as in URLs. The interval is what
the latency processes of the cell took together, since their calls are pooled; max is in ms.

Format: HdrHistogram/HdrHistogram, HistogramLogWriter and HistogramLogReader.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import quote

from allocphase.analysis.frames import Run
from allocphase.export.exported import Choice, Exported
from allocphase.export.figures import lost_cells
from allocphase.export.hdr import HdrHistogram, warm_latencies
from allocphase.probe.probe import Probe
from allocphase.text.line import plain

__all__ = ["write"]

_LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"'
_NS_PER_MS = 1e6


def write(runs: Sequence[Run], _: Choice) -> Exported:
    """Of one run."""
    (run,) = runs
    without = [
        f"without latencies: {cell.allocator} on {cell.scenario}"
        for cell in run.cell_list
        if cell.ok and not warm_latencies(run, cell.allocator, cell.scenario)
    ]
    return Exported.of_text(
        "\n".join([*_head(run), *_lines(run)]) + "\n", [*lost_cells(run), *without]
    )


def _head(run: Run) -> Iterator[str]:
    yield f"#[Latencies of allocphase, {plain(run.manifest.label)}, in ns]"
    yield "#[Histogram log format version 1.2]"
    started = _seconds(run.manifest.started)
    if started is not None:
        yield f"#[StartTime: {started:.3f} (seconds since epoch), {plain(run.manifest.started)}]"
    yield _LEGEND


def _seconds(started: str) -> float | None:
    try:
        return datetime.fromisoformat(started).timestamp()
    except ValueError:
        return None


def _lines(run: Run) -> Iterator[str]:
    for cell in run.cell_list:
        kinds = warm_latencies(run, cell.allocator, cell.scenario)
        good = [r for r in run.records_of(cell.allocator, cell.scenario)
                if r.probe is Probe.LATENCY and r.ok]  # fmt: skip
        seconds = sum(record.wall_s for record in good)
        for kind, latencies in kinds.items():
            histogram = HdrHistogram.of(latencies)
            tag = "/".join(
                quote(name, safe="?=&") for name in (cell.scenario, cell.allocator, kind)
            )
            most = histogram.buckets()[1][-1] / _NS_PER_MS
            text = b64encode(histogram.encoded()).decode("ascii")
            yield f"Tag={tag},0.000,{seconds:.3f},{most:.3f},{text}"

"""Static figures: names, formats, and pictures that a person has looked at.

The golden pictures are a sixteenth of the size: text may be drawn a shade differently by another
release of matplotlib, a line that is missing may not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from allocphase.analysis.frames import Run
from allocphase.errors import UsageError
from allocphase.report.render import figure_names, render_figure
from tests.golden.conftest import HERE, UPDATE

FIGURES = ("time-per-op", "syscalls", "causes", "memory", "timeline-keep", "percentiles-keep")
SHRINK = 4
# Of 255: what differs by more than the first is a difference, and few pixels may differ so.
TOLERANCE, SHARE = 30, 0.002


def _thumbnail(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        size = (picture.width // SHRINK, picture.height // SHRINK)
        return picture.convert("RGB").resize(size, Image.Resampling.BOX)


def _compare(name: str, path: Path) -> None:
    golden, thumbnail = HERE / "figures" / f"{name}.png", _thumbnail(path)
    if UPDATE:
        golden.parent.mkdir(exist_ok=True)
        thumbnail.save(golden, optimize=True)
    with Image.open(golden) as expected:
        assert thumbnail.size == expected.size
        difference: npt.NDArray[np.int16] = np.abs(
            np.asarray(thumbnail, dtype=np.int16) - np.asarray(expected, dtype=np.int16)
        )
    assert (difference.max(axis=2) > TOLERANCE).mean() <= SHARE


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_as_before(run: Run, name: str) -> None:
    _compare(name, render_figure(run, name))


def test_the_growth_figure_is_as_before(swept: Run) -> None:
    _compare("growth", render_figure(swept, "growth-grow-by-live"))


def test_the_scaling_figure_is_as_before(scaled: Run) -> None:
    _compare("scaling", render_figure(scaled, "scaling-glibc-thread-by-threads"))


def test_a_program_s_memory_figure_is_as_before(programs: Run) -> None:
    names = figure_names(programs)
    assert [name for name in names if name.startswith("program-memory")] == [
        "program-memory-program-words",
        "program-memory-program--i-2",
    ]
    _compare("program-memory", render_figure(programs, "program-memory-program-words"))


def test_a_sweep_over_threads_is_no_growth(scaled: Run) -> None:
    names = figure_names(scaled)
    assert "scaling-glibc-thread-by-threads" in names
    assert not any(name.startswith("growth") for name in names)


def test_a_figure_comes_as_svg_with_its_text_as_text(run: Run) -> None:
    path = render_figure(run, "time-per-op", suffix="svg")
    text = path.read_text(encoding="utf-8")
    assert path.suffix == ".svg"
    assert "phase21" in text and "&lt;i&gt;markup" in text and "<i>" not in text


def test_the_same_figure_is_the_same_file(run: Run) -> None:
    first = render_figure(run, "memory").read_bytes()
    assert render_figure(run, "memory").read_bytes() == first


def test_an_unknown_figure_or_format_is_a_usage_error_that_names_the_nearest(run: Run) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'time-per-op'"):
        render_figure(run, "time-per")
    with pytest.raises(UsageError, match=r"figure format 'pdf'"):
        render_figure(run, "memory", suffix="pdf")


def test_every_name_that_is_offered_can_be_drawn(swept: Run) -> None:
    names = figure_names(swept)
    assert len(set(names)) == len(names) == 4 + 1 + 2 * 3
    assert all(render_figure(swept, name).exists() for name in names)

"""The labels that lie beside a trace: of that trace and no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from allocphase.errors import DataError
from allocphase.scenario import Recorded, resolve
from allocphase.trace.stored import summary
from allocphase.trace.validated import (
    Label,
    Validation,
    label_text,
    read_validation,
    write_validation,
)
from tests.support.traces import batch, write_trace

LABELS = (
    Label(metric="time", mode="asap", predicted=False, within=0.9, order=False),
    Label(metric="peak_rss", mode="asap", predicted=True, within=0.03),
    Label(metric="time", mode="paced"),
)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "app.trace", batch(5))


def validation(app: Path) -> Validation:
    return Validation(
        digest=summary(app).digest,
        touch="none",
        program="jq .",
        recorded="2026-11-28T10:00:00+00:00",
        allocators=("libc", "jemalloc"),
        rounds=10,
        labels=LABELS,
    )


def recorded(app: Path) -> Recorded:
    (found,) = resolve(str(app))
    assert isinstance(found, Recorded)
    return found


def test_what_was_written_is_read_and_told_by_the_scenario(app: Path) -> None:
    assert recorded(app).labels == ()
    path = write_validation(app, validation(app))
    assert path.name == "app.trace.validation.json"
    assert read_validation(app, summary(app).digest) == validation(app)
    assert recorded(app).labels == (
        "time: not predicted, off by up to 90%, in another order",
        "peak rss: predicted within 3%",
    )


def test_of_another_trace_it_says_nothing(app: Path) -> None:
    write_validation(app, replace(validation(app), digest="0" * 64))
    assert recorded(app).labels == ()


def test_a_file_that_is_none_is_refused(app: Path) -> None:
    app.with_name("app.trace.validation.json").write_text('{"schema": 1, "labels": 3}')
    with pytest.raises(DataError, match=r"app\.trace\.validation\.json"):
        recorded(app)


def test_nor_of_a_replay_that_touches_more(app: Path) -> None:
    write_validation(app, validation(app))
    (found,) = resolve(f"{app}?touch=pages")
    assert isinstance(found, Recorded)
    assert found.labels == ()


def test_a_program_without_a_difference_is_told_as_that() -> None:
    assert label_text(LABELS[2]) == "time: no difference told by the program, beyond its own spread"
    wide = label_text(replace(LABELS[0], predicted=None, order=None))
    assert wide == "time: cannot tell, the program's own interval is wide (off by up to 90%)"


@pytest.mark.parametrize(
    ("within", "text"),
    [
        (0.0, "live bytes: exact"),
        (0.0003, "live bytes: not exact, off by up to 0.03%"),
        (1e-9, "live bytes: not exact, off by up to less than 0.01%"),
    ],
)
def test_what_is_to_be_exact_is_told_as_that(within: float, text: str) -> None:
    label = Label(metric="live_bytes", mode="asap", predicted=within == 0, within=within)
    assert label_text(label) == text

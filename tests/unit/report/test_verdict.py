"""The verdict: a question each, and no more than the figures hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase.analysis.frames import load
from allocphase.report.content.causes import lifts
from allocphase.report.content.sentences import Answer, verdict
from allocphase.report.content.source import Source
from tests.golden.synthetic import MARKUP, write_near, write_programs, write_run
from tests.support.cells import cell_of


def _answers(path: Path) -> dict[str, Answer]:
    return {answer.question: answer for answer in verdict(Source.of(load(path)))}


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    return _answers(write_run(tmp_path_factory.mktemp("verdict") / "run"))


def test_each_answer_names_its_question_and_says_whether_it_is_sure(tmp_path: Path) -> None:
    near = _answers(write_near(tmp_path / "near"))
    assert list(near) == ["Fastest", "Leanest", "Quietest", "What it costs"]
    assert near["Fastest"].sure is True
    assert near["Fastest"].text.startswith(
        "jemalloc takes 0.72x (0.72 to 0.72x) of the time of libc"
    )
    assert "no difference in peak RSS" in near["Leanest"].text
    assert near["Leanest"].sure is None


def test_who_is_not_told_from_another_is_not_sure(golden: dict[str, Answer]) -> None:
    assert golden["Fastest"].sure is False
    assert "not sure against every other" in golden["Fastest"].text


def test_the_share_of_a_cause_stands_beside_its_share_of_all_calls(
    golden: dict[str, Answer],
) -> None:
    """phase2 makes a system call in every call: that all of its slowest do says nothing."""
    assert (
        "of its slowest thousandth of calls, 100% made a system call "
        "(of all its calls 100%: 1.00x as often)" in golden["Quietest"].text
    )


def test_a_cause_that_is_rare_among_all_calls_has_its_lift(tmp_path: Path) -> None:
    """libc faults in one call of 97, and in most of the slowest hundredth."""
    source = Source.of(load(write_run(tmp_path / "run", scenarios={"one": 400, "two": 240})))
    cells = [cell for cell in source.all_cells if cell.allocator == "libc"]
    found = lifts(cells, "p99")
    assert found is not None
    counts = [cell.metrics["cause_calls"] for cell in cells]
    every = sum(one["page_fault"] for one in counts) / sum(sum(one.values()) for one in counts)
    lift = found["page fault"]
    assert lift.every == pytest.approx(every) and 0.005 < every < 0.02
    assert 0.5 < lift.slowest < 1
    assert lift.ratio == pytest.approx(lift.slowest / every)
    assert sum(one.slowest for one in found.values()) == pytest.approx(1)
    assert sum(one.every for one in found.values()) == pytest.approx(1)
    assert found["waited"].ratio is None


def test_without_causes_there_is_no_lift() -> None:
    assert lifts([cell_of("libc", {})], "p99_9") is None


def test_who_failed_somewhere_is_recommended_for_nothing(golden: dict[str, Answer]) -> None:
    told = (golden[question].text for question in ("Leanest", "Quietest", "What it costs"))
    assert not any(MARKUP in text for text in told)


def test_programs_count_for_the_fastest_and_the_leanest(tmp_path: Path) -> None:
    found = _answers(write_programs(tmp_path / "run"))
    assert "over 3 scenarios (geometric mean)" in found["Fastest"].text
    assert "over 3 scenarios (geometric mean)" in found["Leanest"].text
    assert "the most takes fast, 4.00x" in found["Leanest"].text

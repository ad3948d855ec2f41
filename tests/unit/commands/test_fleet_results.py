"""compare, gate --again and report on a fleet's folder, from the command line."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tests.support.made_fleets import MadeHost, made_gates, made_runs

main: click.Group = importlib.import_module("allocphase.cli").main


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """On b the candidate is slower."""
    slow = MadeHost("b", factor=lambda arm, _: 1.05 if arm == "candidate" else 1.0)
    return made_gates(tmp_path_factory.mktemp("gated"), [MadeHost("a"), slow])


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_runs(tmp_path_factory.mktemp("ran"), [MadeHost("a"), MadeHost("b")])


def test_an_old_gate_of_a_fleet_is_shown_with_its_exit_code(gated: Path) -> None:
    result = invoke("gate", "--again", gated)
    assert result.exit_code == 3
    assert "worse on b" in result.output
    assert result.output.rstrip().endswith("2 of 2 hosts judged.")


def test_its_json_goes_to_stdout_alone(gated: Path) -> None:
    result = invoke("gate", "--again", gated, "--json", "-")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["verdict"] == "worse"


def test_a_fleets_run_is_compared_and_never_fails_for_what_it_finds(ran: Path) -> None:
    result = invoke("compare", ran, "--export-markdown", "-")
    assert result.exit_code == 0
    assert result.stdout.startswith("### allocphase fleet: none of ")


def test_a_fleets_report_links_its_hosts(ran: Path) -> None:
    result = invoke("report", ran)
    assert result.exit_code == 0, result.output
    assert f"report: {ran / 'fleet.html'}" in result.output
    assert (ran / "hosts" / "b" / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("gate", "--again", "GATE", "--explain", "x"), "--explain is of one host: take "),
        (("gate", "--again", "GATE", "--junit", "x.xml"), "--junit is of one host"),
        (("gate", "--again", "RUN"), "is a fleet's run: `allocphase compare` shows it"),
        (("compare", "GATE"), "is a fleet's gate: `allocphase gate --again` shows it"),
        (("compare", "RUN", "--csv", "x.csv"), "--csv is of one host"),
        (("compare", "RUN", "RUN"), "a second run is of one host"),
        (("report", "RUN", "--figure", "x"), "--figure is of one host"),
    ],
)
def test_what_is_of_one_host_is_refused_in_one_line_that_says_where_to_look(
    gated: Path, ran: Path, words: tuple[str, ...], error: str
) -> None:
    folders = {"GATE": gated, "RUN": ran}
    result = invoke(*(folders.get(word, word) for word in words))
    assert result.exit_code == 2
    assert error in " ".join(result.output.split())

"""A job is data: what a host makes of it is a command line of ours, and of nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest

from allocphase import __version__
from allocphase.commands.gate import gate
from allocphase.commands.run import run
from allocphase.errors import UsageError
from allocphase.hosts.document import Option, SentFile, SentObject
from allocphase.hosts.job import FLAGS, HostResult, Job, read_job, read_result, written

JOB = Job(
    fleet="f00d",
    version=__version__,
    kind="run",
    host="epyc",
    options=(
        Option(flag="--allocator", value="mine=", sent=0, rest="?pool=64"),
        Option(flag="--scenario", value="random-churn"),
        Option(flag="--quick"),
    ),
    objects=(
        SentObject(main="m.so", files=(SentFile(path="m.so", sha256="ab" * 32, size_bytes=1),)),
    ),
)
# Of this machine alone: what is printed and where files go, saved baselines, repositories.
NOT_SENT = {
    "run": "--out --resume --strict --json --report --label --quiet",
    "gate": "--out --again --json --junit --export-markdown --label --quiet --explain --all-rows "
    "--saved --baseline-dir --allow-machine-mismatch --repo --build --object --bisect "
    "--bisect-exit",
}


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(written(JOB)), **values})


def test_a_host_reads_what_was_written_and_makes_a_command_line_of_it() -> None:
    job = read_job(written(JOB), host="epyc")
    assert job == JOB
    assert job.arguments([Path("/o/m.so")]) == [
        "run",
        "--allocator=mine=/o/m.so?pool=64",
        "--scenario=random-churn",
        "--quick",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (changed(version="0.0.9"), r"is of allocphase '0.0.9', and epyc has"),
        (changed(version="0.0.9", unheard_of=1), r"is of allocphase '0.0.9', and epyc has"),
        (changed(host="xeon"), "for host xeon, and this is epyc"),
        (changed(options=[{"flag": "--out", "value": "/etc"}]), r"flag: is no option for a host"),
        (changed(options=[{"flag": "--resume", "value": "/x"}]), r"is no option for a host"),
        (changed(options=[{"flag": "--allocator", "sent": 1}]), r"sent: there is no such object"),
        (changed(fleet="../.."), r"fleet: must be a host's name"),
        (changed(shell="rm"), r"key 'shell' does not exist"),
        ("[]", "is of allocphase None"),
        ("{", "no job of allocphase"),
    ],
)
def test_what_is_no_job_of_this_host_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_job(text, host="epyc")


@pytest.mark.parametrize(("kind", "command"), [("run", run), ("gate", gate)])
def test_each_option_of_a_command_is_sent_or_is_not_by_decision(
    kind: str, command: click.Command
) -> None:
    flags = {next(flag for flag in one.opts if flag.startswith("--")) for one in command.params}
    assert flags - FLAGS[kind] == set(NOT_SENT[kind].split())
    assert FLAGS[kind] <= flags


def test_a_result_is_read_as_it_was_written() -> None:
    result = HostResult(exit_code=3, archive="cd" * 32, size_bytes=7)
    assert read_result(written(result)) == result
    with pytest.raises(UsageError, match="no result"):
        read_result('{"archive": null}')

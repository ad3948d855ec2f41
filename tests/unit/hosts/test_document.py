"""fleet.json: what is written is read again, and nothing in it leads out of its folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from allocphase.errors import DataError, UsageError
from allocphase.hosts.document import (
    Fleet,
    HostEntry,
    HostStatus,
    Option,
    SentFile,
    SentObject,
    read_fleet,
    write_fleet,
)

DIGEST = "ab" * 32
FLEET = Fleet(
    id="f00d",
    version="0.1.0",
    kind="run",
    label="trial",
    started="2026-11-28T10:00:00+00:00",
    command=("allocphase", "fleet", "run"),
    scheduler="tls://10.0.0.1:8786",
    options=(Option(flag="--allocator", value="mine=", sent=0, rest="?pool=64"),),
    objects=(
        SentObject(
            main="libmine.so", files=(SentFile(path="libmine.so", sha256=DIGEST, size_bytes=9),)
        ),
    ),
    hosts=(
        HostEntry(name="epyc-1", status=HostStatus.DONE, facts={"cpu": "EPYC"}, archive=DIGEST),
        HostEntry(name="arm-1", status=HostStatus.LOST, reason="its worker is away"),
    ),
)


def test_a_fleet_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_fleet(tmp_path, FLEET)
    assert read_fleet(tmp_path) == FLEET


def test_a_folder_without_a_fleet_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no fleet ran there"):
        read_fleet(tmp_path)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("hosts", 0, "name"), "../x", r"hosts\[0\].name: must be a host's name"),
        (("objects", 0, "files", 0, "path"), "a/../../x", r"path: must be a path within"),
        (("objects", 0, "main"), "/etc/passwd", r"main: must be a path within"),
        (("hosts", 1, "status"), "gone", r"hosts\[1\].status: must be one of"),
        (("hosts", 0, "archive"), "xyz", r"archive: must be a SHA-256"),
    ],
)
def test_what_is_not_as_it_must_be_is_named(
    tmp_path: Path, place: tuple[str | int, ...], value: str, words: str
) -> None:
    write_fleet(tmp_path, FLEET)
    file = tmp_path / "fleet.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    inner = document
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_fleet(tmp_path)


def test_one_host_is_changed_and_the_others_stay() -> None:
    changed = FLEET.with_host(HostEntry(name="arm-1", status=HostStatus.RUNNING))
    assert changed.host("arm-1").status is HostStatus.RUNNING
    assert changed.host("epyc-1") == FLEET.host("epyc-1")

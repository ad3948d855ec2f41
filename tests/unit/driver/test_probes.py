"""The driver's one list of probes, and the one of the Python around it."""

from __future__ import annotations

import re

import pytest

from allocphase.probe.probe import Probe
from tests.support.plugins import ROOT

FOLDER = ROOT / "driver" / "probes"
LIST = re.search(r"#define PROBES\(probe\)((?:.*\\\n)*.*)\n", (FOLDER / "probes.h").read_text())
assert LIST is not None
NAMES = re.findall(r"\bprobe\((\w+)\)", LIST[1])


def test_the_driver_and_python_have_the_same_probes() -> None:
    assert sorted(NAMES) == sorted(probe.value for probe in Probe if not probe.of_programs)


@pytest.mark.parametrize("name", NAMES)
def test_a_probe_stands_in_the_file_of_its_name(name: str) -> None:
    text = (FOLDER / f"{name}.c").read_text(encoding="utf-8")
    assert f"\nvoid probe_{name}(struct session *session) {{\n" in text

"""The verdict as JUnit XML: a suite for each scenario, a case for each row.

A regression is a failure; what was not measured or cannot be relied upon is an error; what was
left open without failing the gate is skipped, with its reason.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from allocphase.judge.outcome import Outcome
from allocphase.judge.render.words import reason
from allocphase.judge.verdict import Failure, GateRow, GateVerdict, candidates_own

__all__ = ["junit"]

# XML 1.0 has no way to write these, not even escaped; a crashed allocator may print them.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_OPEN = frozenset({Outcome.UNDECIDED, Outcome.INCONCLUSIVE})


def junit(verdict: GateVerdict) -> str:
    """The whole file, with its XML declaration; ends with a newline."""
    seconds = sum(session.seconds for session in verdict.sessions)
    root = ET.Element("testsuites", name="allocphase gate", time=f"{seconds:.1f}")
    scenarios = [row.row.scenario for row in verdict.rows]
    scenarios += [failure.scenario for failure in verdict.failures]
    for scenario in dict.fromkeys(scenarios):
        _suite(root, verdict, scenario)
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(root: ET.Element, verdict: GateVerdict, scenario: str) -> None:
    suite = ET.SubElement(root, "testsuite", name=_clean(scenario))
    for row in verdict.rows:
        if row.row.scenario == scenario:
            _case(suite, row, verdict)
    for failure in verdict.failures:
        if failure.scenario == scenario:
            _failed(suite, failure, own=failure in candidates_own(verdict.failures))
    for tag in ("failure", "error", "skipped"):
        count = sum(case.find(tag) is not None for case in suite)
        suite.set({"failure": "failures", "error": "errors"}.get(tag, tag), str(count))
    suite.set("tests", str(len(suite)))


def _case(suite: ET.Element, row: GateRow, verdict: GateVerdict) -> None:
    case = _new_case(suite, row.row.scenario, row.row.measure.name)
    fails = row.fails
    if row.outcome is Outcome.INCONCLUSIVE:
        too_many = not row.advisory and verdict.openness.too_many
        fails = verdict.fail_inconclusive and (row.fails or too_many)
    text = f"{row.outcome}: {reason(row)}"
    if fails:
        tag = "failure" if row.outcome is Outcome.REGRESSED else "error"
        ET.SubElement(case, tag, message=_clean(text), type=row.outcome.value)
    elif row.outcome in _OPEN or row.advisory:
        ET.SubElement(case, "skipped", message=_clean(text))


def _failed(suite: ET.Element, failure: Failure, *, own: bool) -> None:
    case = _new_case(suite, failure.scenario, f"{failure.arm} under {failure.probe}")
    text = f"{failure.status}: {failure.message}"
    tag = "failure" if own else "error"
    ET.SubElement(case, tag, message=_clean(text), type=_clean(failure.status))


def _new_case(suite: ET.Element, scenario: str, name: str) -> ET.Element:
    classname = _clean(f"allocphase.{scenario}")
    return ET.SubElement(suite, "testcase", classname=classname, name=_clean(name))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)

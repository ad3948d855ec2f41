"""The verdict for GitHub Actions: annotations as workflow commands, and the step summary.

Both are written only where the environment says that they are wanted: GITHUB_ACTIONS is "true",
GITHUB_STEP_SUMMARY names a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from allocphase.files.durable import append_text, require_appendable
from allocphase.judge.outcome import Outcome
from allocphase.judge.render.markdown import markdown
from allocphase.judge.render.words import failure_text, headline, open_text, reason
from allocphase.judge.verdict import GateVerdict

__all__ = ["report_to_github", "require_summary", "workflow_commands"]

SUMMARY = "GITHUB_STEP_SUMMARY"

# GitHub shows ten annotations of a kind for a step and drops the others.
MAX_ANNOTATIONS = 10


def workflow_commands(verdict: GateVerdict) -> list[str]:
    """Workflow commands, one a line: an error or a warning for what fails, a notice otherwise."""
    found = list(_commands(verdict))
    shown = found[: MAX_ANNOTATIONS - 1]
    if len(found) > len(shown):
        rest = f"{len(found) - len(shown)} more: see the step summary"
        shown.append(_command("warning", "allocphase gate", rest))
    return shown or [_command("notice", "allocphase gate", headline(verdict))]


def require_summary(environment: Mapping[str, str]) -> None:
    """Raises UsageError where the step summary is wanted and could not be appended to."""
    if summary := environment.get(SUMMARY):
        require_appendable(Path(summary))


def report_to_github(verdict: GateVerdict, environment: Mapping[str, str]) -> list[str]:
    """Appends the step summary where one is wanted; returns the annotations to print.

    Raises AllocphaseError when the summary cannot be written.
    """
    summary = environment.get(SUMMARY)
    if summary:
        append_text(Path(summary), markdown(verdict))
    return workflow_commands(verdict) if environment.get("GITHUB_ACTIONS") == "true" else []


def _commands(verdict: GateVerdict) -> Iterator[str]:
    for failure in verdict.failures:
        yield _command("error", failure.scenario, failure_text(failure))
    for row in verdict.rows:
        if row.fails:
            level = "warning" if row.outcome is Outcome.INCONCLUSIVE else "error"
            yield _command(level, row.row.id, f"{row.outcome}: {reason(row)}")
    if verdict.openness.too_many:
        yield _command("warning", "inconclusive", open_text(verdict.openness))
    for line in verdict.machine_mismatch:
        yield _command("warning", "another machine", line)


def _command(level: str, title: str, text: str) -> str:
    return f"::{level} title={_property(title)}::{_data(text)}"


def _data(text: str) -> str:
    """Escaped as the runner reads it: actions/toolkit, docs/commands.md."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

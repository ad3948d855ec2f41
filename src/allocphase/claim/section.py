"""Judging: from a claims file and a run to a section that can be printed, kept and rendered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from allocphase.analysis.frames import Run
from allocphase.claim.evidence import Evidence, Missing
from allocphase.claim.file import Claim, ClaimsFile
from allocphase.claim.finding import Check, Finding
from allocphase.claim.verdict import Verdict, combine

__all__ = ["Judged", "Section", "exit_code", "judge"]

_OWN_FIGURES = (Verdict.CONSISTENT, Verdict.INCONSISTENT)


@dataclass(frozen=True, slots=True)
class Judged:
    """One claim with its evidence: a finding for each check, in their order."""

    id: str
    text: str
    source: str
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The claim's: see Verdict for the order of precedence."""
        return combine([finding.verdict for finding in self.findings])

    @property
    def own_figures(self) -> Verdict | None:
        """Whether the source's own figures agree; None where the claim has none to compare."""
        own = [f.verdict for f in self.findings if f.verdict in _OWN_FIGURES]
        return combine(own) if own else None


@dataclass(frozen=True, slots=True)
class Section:
    """Everything that a reader sees of one claims file on one run.

    run: its label and start, "none" without one. machine: the processor. thesis: sentences, none
    or two.
    """

    title: str
    source: str
    run: str
    machine: str
    claims: tuple[Judged, ...]
    thesis: tuple[str, ...]

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many claims have each verdict; those that none has are left out."""
        found = Counter(claim.verdict for claim in self.claims)
        return {verdict: found[verdict] for verdict in Verdict if verdict in found}


def judge(file: ClaimsFile, run: Run | None) -> Section:
    """Judges every claim from the run's files alone; without a run, only their arithmetic."""
    evidence = Evidence(run)
    return Section(
        title=file.title,
        source=file.source,
        run="none" if run is None else f"{run.manifest.label}, {run.manifest.started}",
        machine="" if run is None else evidence.machine,
        claims=tuple(_judged(claim, evidence) for claim in file.claims),
        thesis=() if file.thesis is None else file.thesis.sentences(evidence),
    )


def exit_code(section: Section, *, measured_now: bool) -> int:
    """3 when a measurement contradicts a claim, whatever else is said of that claim; 5 when
    nothing was measured, or when the run was made for these claims and yet left one unmeasured;
    else 0. Figures that contradict each other are the source's fault and no failure.
    """
    found = {finding.verdict for claim in section.claims for finding in claim.findings}
    if Verdict.CONTRADICTED in found:
        return 3
    nothing = not found - {Verdict.NOT_MEASURED, *_OWN_FIGURES}
    return 5 if Verdict.NOT_MEASURED in found and (nothing or measured_now) else 0


def _judged(claim: Claim, evidence: Evidence) -> Judged:
    findings = tuple(_finding(check, evidence) for check in claim.checks)
    return Judged(claim.id, claim.text, claim.source, findings)


def _finding(check: Check, evidence: Evidence) -> Finding:
    try:
        return check.judge(evidence)
    except Missing as missing:
        return Finding(
            form=check.form,
            subject=check.subject,
            verdict=Verdict.NOT_MEASURED,
            expected=check.expected,
            measured=str(missing),
        )

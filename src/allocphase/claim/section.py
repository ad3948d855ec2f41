"""Judging: from a claims file and a run to a section that can be printed, kept and rendered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from allocphase.analysis.frames import Run
from allocphase.claim.evidence import Evidence
from allocphase.claim.file import Claim, ClaimsFile, Part
from allocphase.claim.finding import Finding
from allocphase.claim.missing import Missing
from allocphase.claim.verdict import Verdict, combine
from allocphase.files.typed import length

__all__ = ["Judged", "Section", "exit_code", "judge"]

_OWN_FIGURES = (Verdict.CONSISTENT, Verdict.INCONSISTENT)


@dataclass(frozen=True, slots=True)
class Judged:
    """One claim with its evidence. `checks`: a finding for each, in their order.

    verdict: the claim's; see Verdict for the order of precedence. own_figures: whether the
    source's own figures agree; None where the claim has none to compare.
    """

    id: str
    text: str
    source: str
    verdict: Verdict = field(init=False)
    own_figures: Verdict | None = field(init=False)
    checks: Annotated[tuple[Finding, ...], length(least=1)]

    def __post_init__(self) -> None:
        found = [finding.verdict for finding in self.checks]
        own = [verdict for verdict in found if verdict in _OWN_FIGURES]
        object.__setattr__(self, "verdict", combine(found))
        object.__setattr__(self, "own_figures", combine(own) if own else None)


@dataclass(frozen=True, slots=True)
class Section:
    """Everything that a reader sees of one claims file on one run.

    run: its label and start, "none" without one. machine: the processor. counts: how many claims
    have each verdict; those that none has are left out. thesis: sentences, none or two.
    """

    title: str
    source: str
    run: str
    machine: str
    counts: Mapping[Verdict, int] = field(init=False)
    claims: tuple[Judged, ...]
    thesis: tuple[str, ...]

    def __post_init__(self) -> None:
        found = Counter(claim.verdict for claim in self.claims)
        counts = {verdict: found[verdict] for verdict in Verdict if verdict in found}
        object.__setattr__(self, "counts", counts)


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


def exit_code(section: Section, *, measured_now: bool, fail_inconclusive: bool = True) -> int:
    """What CI is told; the first that holds, as of a gate.

    3 when a measurement contradicts a claim, whatever else is said of that claim; 5 when nothing
    was measured, or when the run was made for these claims and yet left one unmeasured; 4 when a
    measurement cannot tell, unless that is waived; else 0. Figures that contradict each other are
    the source's fault and no failure. What need not travel fails nothing, told or not.
    """
    findings = [finding for claim in section.claims for finding in claim.checks]
    found = {finding.verdict for finding in findings}
    if Verdict.CONTRADICTED in found:
        return 3
    nothing = not found - {Verdict.NOT_MEASURED, Verdict.NOTED, *_OWN_FIGURES}
    if Verdict.NOT_MEASURED in found and (nothing or measured_now):
        return 5
    open_ = any(f.verdict is Verdict.INCONCLUSIVE and not f.tied_to for f in findings)
    return 4 if open_ and fail_inconclusive else 0


def _judged(claim: Claim, evidence: Evidence) -> Judged:
    checks = tuple(_finding(part, evidence) for part in claim.parts)
    return Judged(claim.id, claim.text, claim.source, checks)


def _finding(part: Part, evidence: Evidence) -> Finding:
    check = part.check
    try:
        found = check.judge(evidence)
    except Missing as missing:
        found = Finding(
            form=check.form,
            subject=check.subject,
            verdict=Verdict.NOT_MEASURED,
            expected=check.expected,
            measured=str(missing),
        )
    return replace(found, part=part.words)

"""Claims: a file of published claims or of promises, judged from the files of a run.

    load(spec) -> ClaimsFile              reads and validates (file, forms, metric, relation)
    requirements(file) -> Requirements    what must be run for it
    judge(file, run) -> Section           every claim with its verdict and evidence, and the thesis
    exit_code(section, ...)               what CI is told
    print_section, section_markdown, section_document
    write_section, read_section           claims.json in the run directory

Place in the pipeline: after analysis and stats, beside judge and report; starts no process.
"""

from __future__ import annotations

from allocphase.claim.document import read_section, section_document, write_section
from allocphase.claim.file import Claim, ClaimsFile, load
from allocphase.claim.finding import Finding
from allocphase.claim.needs import Requirements, requirements
from allocphase.claim.render.console import print_section
from allocphase.claim.render.markdown import section_markdown
from allocphase.claim.section import Judged, Section, exit_code, judge
from allocphase.claim.verdict import Verdict

__all__ = [
    "Claim",
    "ClaimsFile",
    "Finding",
    "Judged",
    "Requirements",
    "Section",
    "Verdict",
    "exit_code",
    "judge",
    "load",
    "print_section",
    "read_section",
    "requirements",
    "section_document",
    "section_markdown",
    "write_section",
]

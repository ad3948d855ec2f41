"""Runs the sessions that a gate judges: three arms, interleaved, until every row is decided.

Place in the pipeline: above both run, which starts processes, and judge, which never does.

    arms        the baseline, its twin and the candidate, each a fresh copy of its object
    request     what is asked of a gate; planned: the rows that it will judge
    rounds      one session: rounds of what the judge still wants, within a budget
    sessions    the first session, the confirming one, and their verdict
    baseline    a baseline that was saved; baseline_text: how it is shown
    saved       saving one, and a gate against it
    repository  a git repository, read; builds: its revisions, built once each
    revisions   arms that are revisions; bisection: the first of them that is worse
    commits     of which commit a run's objects are; confirmation: a history's changes, gated
"""

from __future__ import annotations

from allocphase.gate.arms import Arms, baseline_arm, candidate_arm, describe_arm
from allocphase.gate.request import GateRequest
from allocphase.gate.sessions import require_decidable, run_gate

__all__ = [
    "Arms",
    "GateRequest",
    "baseline_arm",
    "candidate_arm",
    "describe_arm",
    "require_decidable",
    "run_gate",
]

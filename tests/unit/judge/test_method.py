"""docs/method.md states what the gate's rule does: the same figures, computed."""

from __future__ import annotations

import math
import re
from statistics import NormalDist

import numpy as np

from allocphase.judge.counted import AGREEING
from allocphase.judge.judge import ALPHA, CONFIRM_ALPHA
from allocphase.judge.openness import ERROR
from allocphase.stats import SequentialRank
from tests.support.plugins import ROOT

CASES = ((0.02, 0.05), (0.02, 0.01), (0.01, 0.03))


def rule(theta: float, *, others: int = 2, alpha: float = ALPHA) -> SequentialRank:
    return SequentialRank(theta=theta, alpha=alpha, max_rounds=40, others=others)


def scores(lead: float, sd: float, others: int) -> list[float]:
    """How likely each score is of a normal candidate `lead` above normal arms.

    sd: of the log ratio of two arms. By the midpoint rule over the candidate's own noise.
    """
    normal = NormalDist(0.0, sd / math.sqrt(2))
    places = (np.arange(20_000) + 0.5) / 20_000
    below = np.array([normal.cdf(normal.inv_cdf(p) + lead) for p in places[::20]])
    return [
        float(np.mean(math.comb(others, k) * below**k * (1 - below) ** (others - k)))
        for k in range(others + 1)
    ]


def stated() -> str:
    return (ROOT / "docs" / "method.md").read_text(encoding="utf-8")


def test_the_table_of_power_is_what_the_rule_gives() -> None:
    rows = re.findall(r"^\| (\d\.\d)% \| (.*) \|$", stated(), flags=re.MULTILINE)
    assert len(rows) == 4
    for sd, cells in rows:
        expected = []
        for theta, effect in CASES:
            lead = math.log1p(effect) - math.log1p(theta)
            for others in (1, 2):
                shares = scores(lead, float(sd) / 100, others)
                found = rule(theta, others=others).chances(shares)
                expected.append(f"{found.regressed:.1%}, {found.mean_rounds:.0f}")
        assert cells.split(" | ") == expected, expected


def test_the_errors_that_are_stated_are_the_rules() -> None:
    text = " ".join(stated().split())
    assert f"at most {ALPHA:.0%} of sessions" in text
    assert f"at most {rule(0.02).pass_error:.0%} for each row" in text
    assert f"at {CONFIRM_ALPHA:.0%}" in text
    assert f"1 gate in {1 / (ALPHA * CONFIRM_ALPHA):,.0f}" in text
    assert f"at most {ERROR:.0%} of sessions in which nothing changed" in text
    first, again = rule(0.02), rule(0.02, others=1, alpha=CONFIRM_ALPHA)
    assert f"after {first.least_rounds} rounds at the earliest" in text
    assert f"after {again.least_rounds} in the second" in text


def test_the_chance_that_arms_which_do_not_differ_lie_apart_is_as_stated() -> None:
    apart = math.comb(3 * 2 * AGREEING, 2 * AGREEING)
    assert f"1 in {apart:,}" in " ".join(stated().split())

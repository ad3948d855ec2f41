"""docs/method.md states what the gate's rule does: the same figures, computed."""

from __future__ import annotations

import math
import re
from statistics import NormalDist

from allocphase.judge.counted import COUNT_ROUNDS
from allocphase.judge.judge import ALPHA
from allocphase.stats import SequentialSign
from tests.support.plugins import ROOT

CASES = ((0.02, 0.05), (0.02, 0.01), (0.01, 0.03))


def rule(theta: float) -> SequentialSign:
    return SequentialSign(theta=theta, alpha=ALPHA, max_rounds=40)


def test_the_table_of_power_is_what_the_rule_gives() -> None:
    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d\.\d)% \| (.*) \|$", text, flags=re.MULTILINE)
    assert len(rows) == 4
    for sd, cells in rows:
        expected = []
        for theta, effect in CASES:
            normal = NormalDist(math.log1p(effect), float(sd) / 100)
            found = rule(theta).chances(1 - normal.cdf(math.log1p(theta)))
            expected.append(f"{found.regressed:.1%}, {found.mean_rounds:.0f} rounds")
        assert cells.split(" | ") == expected


def test_the_errors_that_are_stated_are_the_rules() -> None:
    text = " ".join((ROOT / "docs" / "method.md").read_text(encoding="utf-8").split())
    assert f"at most {ALPHA:.0%} of sessions" in text
    assert f"at most {rule(0.02).pass_error:.0%} for each row" in text
    up = rule(0.02).up
    bounded = next(n for n, count in enumerate(up, start=1) if count <= n)
    assert f"takes {bounded} rounds for one row" in text
    chance = math.comb(3 * COUNT_ROUNDS, COUNT_ROUNDS)
    assert f"is 1 in {chance} at most" in text

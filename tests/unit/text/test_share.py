"""Shares: read only where it is certain what was meant."""

from __future__ import annotations

import pytest

from allocphase.text.share import parse_share


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ("2%", 0.02),
        ("0.02", 0.02),
        (0.02, 0.02),
        (" 10 %", 0.1),
        ("0%", 0.0),
        ("0", 0.0),
        (0, 0.0),
        ("0.999", 0.999),
        ("150%", 1.5),
        ("0.5%", 0.005),
    ],
)
def test_a_share_has_a_percent_sign_or_is_below_one(given: str | float, share: float) -> None:
    assert parse_share(given) == pytest.approx(share)


@pytest.mark.parametrize(
    "given", ["", "%", "two", "-1%", "-0.5", "nan", "nan%", "inf", "2000%", "2%%", -1, 1e308]
)
def test_what_is_no_share_is_refused(given: str | float) -> None:
    with pytest.raises(ValueError, match="must be a share between 0% and 1000%, such as 2% or"):
        parse_share(given)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("3", "3% or 0.03?"),
        (3, "3% or 0.03?"),
        ("1", "1% or 0.01?"),
        ("1.0", "1% or 0.01?"),
        ("2.5", "2.5% or 0.025?"),
        ("99", "99% or 0.99?"),
        ("100", "100%?"),
        ("250", "250%?"),
    ],
)
def test_a_number_without_its_sign_is_refused_with_what_was_meant(
    given: str | float, meant: str
) -> None:
    with pytest.raises(ValueError, match="with a % or below 1") as caught:
        parse_share(given)
    assert str(caught.value).endswith(f": {meant}")

"""What a test needs and does not find: a skip with its reason, or a failure where none may be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Needs = Callable[..., None]


def test_what_is_there_is_no_reason_to_skip(needs: Needs) -> None:
    needs("/usr/bin/true", "true", install="apt-get install coreutils")


def test_what_is_missing_skips_and_says_how_to_install_it(
    needs: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALLOCPHASE_STRICT", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs strace: apt-get install strace"):
        needs(None, "strace", install="apt-get install strace")


def test_where_nothing_may_be_skipped_it_fails(
    needs: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOCPHASE_STRICT", "1")
    with pytest.raises(pytest.fail.Exception, match="needs strace: apt-get install strace"):
        needs(None, "strace", install="apt-get install strace")

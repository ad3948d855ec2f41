"""How many inconclusive hosts are too many, the words of a row, and what separates hosts."""

from __future__ import annotations

import pytest

from allocphase.fleet.agreeing import Count, disagreements
from allocphase.fleet.hosts import separating
from allocphase.fleet.standing import FleetRow, HostStanding, Pooled, Standing, listed
from allocphase.fleet.verdict import FleetVerdict, HostResult, told_once, too_many_open
from allocphase.hosts.document import HostStatus
from allocphase.stats import Interval

SOME = Interval(1.0, 0.9, 1.1, 0.95)


def a_row(*standings: Standing, pooled: Standing | None = None) -> FleetRow:
    hosts = [
        HostStanding(
            host=name,
            standing=standing,
            base=1.0,
            candidate=1.0,
            ratio=SOME,
            rounds=9,
            dropped=0,
            p=1.0,
        )
        for name, standing in zip("abcdefg", standings, strict=False)
    ]
    together = Pooled(standing=pooled, ratio=SOME, hosts=2, rounds=18) if pooled else None
    return FleetRow(
        metric="time",
        scenario="churn",
        allocator="",
        unit="ns",
        theta=0.02,
        exact=False,
        hosts=tuple(hosts),
        pooled=together,
    )


W, B, N, X, U, A, F = (
    Standing.WORSE,
    Standing.BETTER,
    Standing.NOT_WORSE,
    Standing.OPEN,
    Standing.UNSTEADY,
    Standing.ABSENT,
    Standing.FLAGGED,
)


@pytest.mark.parametrize(
    ("standings", "pooled", "finding", "decided"),
    [
        ((W, W, W), None, "worse on all", 3),
        ((W, W, A), None, "worse on all", 2),
        ((W, U, A), None, "worse on a", 1),
        ((W, N, W), None, "worse on a, c", 3),
        ((W, B, N), W, "hosts disagree: worse on a; better on b", 3),
        ((N, N, X), W, "worse over all rounds", 2),
        ((B, B, X), None, "better on a, b", 2),
        ((N, X, N), B, "better over all rounds", 2),
        ((N, F, X), N, "not worse", 1),
        ((X, X, A), None, "not decided", 0),
    ],
)
def test_a_row_is_told_in_the_words_of_the_hosts(
    standings: tuple[Standing, ...], pooled: Standing | None, finding: str, decided: int
) -> None:
    row = a_row(*standings, pooled=pooled)
    assert row.finding == finding
    assert row.decided_text == f"decided on {decided} of 3"


def test_a_note_is_told_once_with_its_hosts_and_of_many_the_first() -> None:
    assert told_once({"a": ["x", "y"], "b": ["x"]}) == ("x", "a: y")
    many = told_once({f"h{n}": [f"note {n}"] for n in range(25)})
    assert many[0] == "h0: note 0"
    assert many[-1] == "and 5 more notes of single hosts"


@pytest.mark.parametrize(("unsteady", "is_open"), [(1, False), (2, True)])
def test_a_fleet_of_which_too_few_hosts_were_steady_cannot_tell(
    unsteady: int, is_open: bool
) -> None:
    hosts = [
        HostResult(name=name, status=HostStatus.DONE, unsteady="it drifts" * (n < unsteady))
        for n, name in enumerate("abcd")
    ]
    verdict = FleetVerdict(
        kind="gate",
        label="trial",
        against="old",
        candidate="new",
        rows=(a_row(N, N, N, N),),
        hosts=tuple(hosts),
        counts=(),
        notes=(),
        waiting=False,
    )
    assert verdict.exit_code == (4 if is_open else 0)


def test_of_many_hosts_the_first_are_named() -> None:
    assert listed(["a", "b", "c", "d"]) == "a, b, c, d"
    assert listed(list("abcdef")) == "6 hosts (a, b, c, d, ...)"


@pytest.mark.parametrize(
    ("found", "hosts", "too_many"),
    [(0, 3, False), (1, 3, False), (2, 3, True), (6, 100, False), (11, 100, True)],
)
def test_as_many_hosts_may_be_open_as_chance_leaves(found: int, hosts: int, too_many: bool) -> None:
    assert too_many_open(found, hosts) is too_many


def test_only_hosts_of_one_instruction_set_libc_and_page_size_must_count_alike() -> None:
    alike = {"machine": "x86_64", "libc": "glibc 2.36", "page_bytes": 4096, "cpus": 4}
    facts = {"a": alike, "b": {**alike, "cpus": 8}, "c": {**alike, "page_bytes": 65536}}
    counts = [Count("mine", "syscalls", "churn", host, n) for n, host in enumerate("abc", start=1)]
    (found,) = disagreements(counts, facts)
    assert found.text == (
        "syscalls:churn of mine: 1 on a; 2 on b: they differ in cpus (4 on a, 8 on b)"
    )


def test_the_facts_that_separate_hosts_are_marked_and_those_of_the_minute_left_out() -> None:
    facts = {
        "a": {"cpu": "X", "load_average": 0.1, "aslr": "2", "memory_bytes": 1 << 30},
        "b": {"cpu": "Y", "load_average": 7.0, "aslr": "2", "memory_bytes": 1 << 30},
    }
    found = {one.fact: one for one in separating(facts)}
    assert found["cpu"].differs
    assert not found["memory_bytes"].differs
    assert found["memory_bytes"].texts == {"a": "1.00 GiB", "b": "1.00 GiB"}
    assert "load_average" not in found
    assert "aslr" not in found
    assert found["memory_bytes"].texts["a"] == "1.00 GiB"


def test_what_a_lost_host_never_said_is_no_difference() -> None:
    found = separating({"a": {"cpu": "X", "cores": 4}, "lost": {"cpu": "X"}})
    assert not any(one.differs for one in found)


def test_of_a_digest_the_beginning_will_do() -> None:
    found = separating({"a": {"libc_sha256": "ab" * 32}, "b": {"libc_sha256": "cd" * 32}})
    assert [one.texts["a"] for one in found if one.fact == "libc_sha256"] == ["abababababab"]

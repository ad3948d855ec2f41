"""Which hosts are chosen, and who may be connected to how."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from allocphase import __version__
from allocphase.errors import UsageError
from allocphase.hosts.certificates import ROLES, Certificates, make_certificates
from allocphase.hosts.dask_executor import require_secure
from allocphase.hosts.inventory import Announced, announce, announced, chosen


def host(name: str, version: str = __version__) -> Announced:
    return Announced(host=name, version=version, facts={})


THERE = [host("epyc-2"), host("arm"), host("epyc-1")]


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ((), ["arm", "epyc-1", "epyc-2"]),
        (("epyc-*",), ["epyc-1", "epyc-2"]),
        (("arm", "a*"), ["arm"]),
    ],
)
def test_hosts_are_chosen_by_name_and_glob(patterns: tuple[str, ...], names: list[str]) -> None:
    assert [one.host for one in chosen(THERE, patterns)] == names


def test_a_host_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"'xeon': no worker is there.*arm, epyc-1, epyc-2"):
        chosen(THERE, ["xeon"])


def test_a_host_of_another_version_is_refused_unless_it_is_left_out() -> None:
    old = [*THERE, host("old", "0.0.9")]
    with pytest.raises(UsageError, match=r"host old: it has allocphase 0.0.9"):
        chosen(old, [])
    assert [one.host for one in chosen(old, ["arm"])] == ["arm"]


def test_what_a_worker_announces_is_read_again() -> None:
    found = announced(announce("epyc"), address="tls://10.0.0.2:1")
    assert found is not None
    assert (found.host, found.version, found.address) == ("epyc", __version__, "tls://10.0.0.2:1")
    assert len(str(found.facts["driver"])) == 64


def test_a_worker_of_something_else_is_no_host() -> None:
    assert announced(None, address="tls://10.0.0.2:1") is None
    assert announced({"host": "../x", "version": "1", "facts": {}}, address="") is None


@pytest.mark.parametrize(
    ("scheduler", "secured", "words"),
    [
        ("tcp://10.0.0.1:8786", False, "without TLS anybody"),
        ("tcp://fleet.example:8786", False, "without TLS anybody"),
        ("tls://10.0.0.1:8786", False, "add --certificates DIR"),
        ("tcp://127.0.0.1:8786", True, "certificates are for tls://"),
        ("10.0.0.1", False, "is written tls://HOST:PORT"),
        ("ucx://10.0.0.1:1", True, "is written tls://HOST:PORT"),
    ],
)
def test_nobody_connects_without_tls_but_to_this_machine(
    scheduler: str, secured: bool, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        require_secure(scheduler, secured=secured)


@pytest.mark.parametrize("address", ["127.0.0.1:8786", "localhost:1", "[::1]:8786"])
def test_this_machine_needs_no_certificates(address: str) -> None:
    require_secure(f"tcp://{address}", secured=False)


def test_certificates_are_of_one_authority_and_keys_are_their_owners(tmp_path: Path) -> None:
    made = tmp_path / "certs"
    make_certificates(made)
    for role in ROLES:
        found = Certificates.of(made / role)
        context = ssl.create_default_context(cafile=str(found.authority))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        context.load_cert_chain(found.own, found.key)
        assert found.key.stat().st_mode & 0o077 == 0
        assert found.security().require_encryption
    with pytest.raises(UsageError, match="is there already"):
        make_certificates(made)
    with pytest.raises(UsageError, match=r"no cert\.pem in it"):
        Certificates.of(made / "authority")

"""A small certificate authority for a trial: one folder for each role, as TLS between all of a
fleet needs them.

    DIR/scheduler/  DIR/worker/  DIR/controller/
        ca.pem      the authority's certificate, the same in all of them
        cert.pem    the role's own, signed by it
        key.pem     its key: whoever has it, has the fleet's machines
    DIR/authority/  the authority's own key, to sign more

dask asks for nothing but a certificate of the same authority: roles are for people.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allocphase.errors import UsageError
from allocphase.files.durable import named_errors

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = ["ROLES", "Certificates", "make_certificates"]

ROLES = ("scheduler", "worker", "controller")
DAYS = 365


@dataclass(frozen=True, slots=True)
class Certificates:
    """The three files of a role."""

    folder: Path

    @classmethod
    def of(cls, folder: Path) -> Certificates:
        """Raises UsageError where one of them is missing."""
        found = cls(folder)
        for path in (found.authority, found.own, found.key):
            if not path.is_file():
                raise UsageError(
                    f"--certificates {folder}: there is no {path.name} in it: it is the folder of "
                    "one role, such as DIR/worker of `allocphase fleet certificates DIR`"
                )
        return found

    @property
    def authority(self) -> Path:
        """Of the authority that signed all of the fleet's."""
        return self.folder / "ca.pem"

    @property
    def own(self) -> Path:
        """What one shows to others."""
        return self.folder / "cert.pem"

    @property
    def key(self) -> Path:
        """Of one's own."""
        return self.folder / "key.pem"

    def security(self) -> Any:
        """As dask has it: all links are encrypted, and both sides show their certificates."""
        from distributed.security import Security

        own, key = str(self.own), str(self.key)
        return Security(
            require_encryption=True,
            tls_ca_file=str(self.authority),
            tls_client_cert=own,
            tls_client_key=key,
            tls_worker_cert=own,
            tls_worker_key=key,
            tls_scheduler_cert=own,
            tls_scheduler_key=key,
        )


def make_certificates(folder: Path) -> None:
    """Raises UsageError where the folder is there already, AllocphaseError."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if folder.exists():
        raise UsageError(f"{folder}: is there already: certificates go into a folder of their own")

    def pem(key: EllipticCurvePrivateKey) -> bytes:
        return key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("allocphase fleet authority", authority_key.public_key(), None).sign(
        authority_key, hashes.SHA256()
    )
    ca = authority.public_bytes(serialization.Encoding.PEM)
    with named_errors(folder):
        _write(folder / "authority", {"ca.pem": ca, "key.pem": pem(authority_key)})
        for role in ROLES:
            key = ec.generate_private_key(ec.SECP256R1())
            own = _certificate(f"allocphase fleet {role}", key.public_key(), authority).sign(
                authority_key, hashes.SHA256()
            )
            shown = own.public_bytes(serialization.Encoding.PEM)
            _write(folder / role, {"ca.pem": ca, "cert.pem": shown, "key.pem": pem(key)})


def _certificate(name: str, key: Any, issuer: x509.Certificate | None) -> x509.CertificateBuilder:
    """Of the authority itself without an issuer."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(tz=datetime.UTC)
    signer: Any = key if issuer is None else issuer.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks of hosts differ
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(
            x509.BasicConstraints(ca=issuer is None, path_length=0 if issuer is None else None),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
        .add_extension(_usage(signs=issuer is None), critical=True)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, mode=0o700)
    for name, content in files.items():
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as written:
            written.write(content)

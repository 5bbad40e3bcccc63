"""A certificate authority for one session, and what it issues.

Invariant: its key never leaves this object, so nobody can issue more once the
session is deployed; nothing here outlives the lifetime that it was made for.
"""

from __future__ import annotations

import ipaddress
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nshell.lifetime import LONGEST_SECONDS
from nshell.roles import Role
from nshell.tls import Credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

LIFETIME = timedelta(seconds=LONGEST_SECONDS)
_CLOCK_SKEW = timedelta(minutes=10)
"""Certificates hold from so long ago: a node's clock may be behind ours."""
_THIS_HOST = ("localhost", "127.0.0.1")
"""What the collector is called at the near end of a port-forward."""


class Authority:
    """Issues for one session, from now for its lifetime."""

    def __init__(self, *, lifetime: timedelta = LIFETIME) -> None:
        now = datetime.now(UTC)
        self._valid = (now - _CLOCK_SKEW, now + lifetime)
        self._key = ec.generate_private_key(ec.SECP256R1())
        # Authorities of different sessions are told apart by name too.
        self._name = _name(f"netobserv session {secrets.token_hex(8)}")
        self._certificate = self._signed(
            self._name, self._key.public_key(), _authority_extensions(self._key.public_key())
        )

    @property
    def ca(self) -> bytes:
        """Its own certificate, in PEM."""
        return self._certificate.public_bytes(Encoding.PEM)

    def collector(self, *hosts: str) -> Credentials:
        """For the server under these names and addresses, and those of a port-forward."""
        names = [_host(text) for text in dict.fromkeys((*hosts, *_THIS_HOST))]
        return self._issue("netobserv-collector", names, ExtendedKeyUsageOID.SERVER_AUTH)

    def agents(self) -> Credentials:
        """For every agent of the session."""
        return self._client("netobserv-agent", Role.AGENT)

    def shells(self) -> Credentials:
        """For every shell of the session."""
        return self._client("netobserv-shell", Role.SHELL)

    def _client(self, name: str, role: Role) -> Credentials:
        names = [x509.UniformResourceIdentifier(role)]
        return self._issue(name, names, ExtendedKeyUsageOID.CLIENT_AUTH)

    def _issue(
        self, name: str, names: Iterable[x509.GeneralName], usage: x509.ObjectIdentifier
    ) -> Credentials:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(
            _name(name),
            key.public_key(),
            [
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (_key_usage(signs_certificates=False), True),
                (x509.ExtendedKeyUsage([usage]), False),
                (x509.SubjectAlternativeName(names), False),
                (
                    x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                    False,
                ),
            ],
        )
        return Credentials(
            ca=self.ca,
            certificate=certificate.public_bytes(Encoding.PEM),
            key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        extensions: Iterable[tuple[x509.ExtensionType, bool]],
    ) -> x509.Certificate:
        begin, end = self._valid
        builder = (
            x509.CertificateBuilder()
            .issuer_name(self._name)
            .subject_name(subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())


def _authority_extensions(
    key: ec.EllipticCurvePublicKey,
) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_key_usage(signs_certificates=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
    ]


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)

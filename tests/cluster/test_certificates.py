"""What the authority of a session issues: to whom, for what, for how long."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

from nshell.cluster.certificates import LIFETIME, Authority
from nshell.roles import Role
from nshell.tls import Credentials, TlsError, is_open_to_others, read_client, read_server

if TYPE_CHECKING:
    from pathlib import Path


def certificate(credentials: Credentials) -> x509.Certificate:
    return x509.load_pem_x509_certificate(credentials.certificate)


def names(credentials: Credentials) -> x509.SubjectAlternativeName:
    return certificate(credentials).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value  # fmt: skip


def usages(credentials: Credentials) -> list[x509.ObjectIdentifier]:
    extensions = certificate(credentials).extensions
    return list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_the_collector_is_a_server_under_the_names_it_is_given() -> None:
    made = Authority().collector("collector.netobserv-cli.svc", "10.96.0.7", "fd00::7")
    assert usages(made) == [Usage.SERVER_AUTH]
    assert names(made).get_values_for_type(x509.DNSName) == [
        "collector.netobserv-cli.svc", "localhost",
    ]  # fmt: skip
    assert names(made).get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address(text) for text in ("10.96.0.7", "fd00::7", "127.0.0.1")
    ]
    assert names(made).get_values_for_type(x509.UniformResourceIdentifier) == []


def test_a_name_that_is_given_twice_is_there_once() -> None:
    made = Authority().collector("localhost", "localhost", "127.0.0.1")
    assert len(list(names(made))) == 2


def test_agents_and_shells_are_clients_with_one_role_each() -> None:
    authority = Authority()
    for made, role in ((authority.agents(), Role.AGENT), (authority.shells(), Role.SHELL)):
        assert usages(made) == [Usage.CLIENT_AUTH]
        assert list(names(made)) == [x509.UniformResourceIdentifier(role)]


def test_everything_ends_with_the_lifetime_and_began_before_a_slow_clock() -> None:
    authority, now = Authority(lifetime=timedelta(hours=2)), datetime.now(UTC)
    issued = [authority.collector("a"), authority.agents(), authority.shells()]
    made = [certificate(each) for each in issued] + [x509.load_pem_x509_certificate(authority.ca)]
    for each in made:
        assert abs(each.not_valid_after_utc - now - timedelta(hours=2)) < timedelta(minutes=1)
        assert timedelta(minutes=5) < now - each.not_valid_before_utc < timedelta(minutes=15)
    assert timedelta(hours=1) <= LIFETIME <= timedelta(hours=24)


def test_leaves_are_signed_by_the_authority_and_can_sign_nothing() -> None:
    authority = Authority()
    ca = x509.load_pem_x509_certificate(authority.ca)
    for made in (authority.collector("a"), authority.agents(), authority.shells()):
        leaf = certificate(made)
        leaf.verify_directly_issued_by(ca)
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert made.ca == authority.ca


def test_keys_are_p256_and_each_is_another() -> None:
    authority = Authority()
    keys = []
    for made in (authority.collector("a"), authority.agents(), authority.shells()):
        key = load_pem_private_key(made.key, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        assert isinstance(key.curve, ec.SECP256R1)
        assert key.public_key() == certificate(made).public_key()
        keys.append(key.public_key().public_numbers())
    ca = x509.load_pem_x509_certificate(authority.ca).public_key()
    assert isinstance(ca, ec.EllipticCurvePublicKey)
    assert len({*keys, ca.public_numbers()}) == 4


def test_two_sessions_have_authorities_of_different_names() -> None:
    first, second = (x509.load_pem_x509_certificate(Authority().ca) for _ in range(2))
    assert first.subject != second.subject


def test_openssl_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    authority = Authority()
    for made, purpose in (
        (authority.collector("a"), "sslserver"),
        (authority.agents(), "sslclient"),
    ):
        made.write(tmp_path)
        subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", purpose,
             "-CAfile", "ca.crt", "tls.crt"],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip


def test_files_are_for_the_user_alone_whatever_lay_there(tmp_path: Path) -> None:
    directory, readable = tmp_path / "new" / "tls", tmp_path / "readable"
    readable.write_text("theirs")
    readable.chmod(0o644)
    made = Authority().shells()
    made.write(directory)
    (directory / "tls.key").unlink()
    (directory / "tls.key").symlink_to(readable)
    made.write(directory)
    assert {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()} == {
        "ca.crt": 0o600, "tls.crt": 0o600, "tls.key": 0o600,
    }  # fmt: skip
    assert directory.stat().st_mode & 0o777 == 0o700
    assert readable.read_text() == "theirs"
    assert read_client(directory) == made


def test_a_key_is_in_no_message() -> None:
    made = Authority().shells()
    assert made.key.decode().splitlines()[1] not in repr(made)


def test_a_certificate_is_read_for_its_own_side_only(tmp_path: Path) -> None:
    authority = Authority()
    server, client = tmp_path / "server", tmp_path / "client"
    authority.collector("a").write(server)
    authority.agents().write(client)
    assert read_server(server).key != read_client(client).key
    for read, directory in ((read_client, server), (read_server, client)):
        with pytest.raises(TlsError, match=r"tls\.crt is of no use: unsuitable certificate purpo"):
            read(directory)


def test_a_certificate_of_another_authority_than_the_one_beside_it_is_told(tmp_path: Path) -> None:
    Authority().shells().write(tmp_path)
    (tmp_path / "ca.crt").write_bytes(Authority().ca)
    with pytest.raises(TlsError, match=r"tls\.crt is of no use: .*issuer"):
        read_client(tmp_path)


@pytest.mark.parametrize(
    ("address", "open_to_others"),
    [
        ("unix:/run/s", False), ("127.0.0.1:1", False), ("127.8.8.8:1", False), ("[::1]:1", False),
        ("localhost:1", False), ("0.0.0.0:1", True), ("[::]:1", True), ("10.0.0.1:1", True),
        ("collector:1", True),
    ],
)  # fmt: skip
def test_what_can_be_reached_from_elsewhere(address: str, *, open_to_others: bool) -> None:
    assert is_open_to_others(address) is open_to_others


def test_those_who_only_use_certificates_do_without_the_library() -> None:
    code = (
        "import sys, nshell.collector.serving, nshell.collector.main, nshell.shell.secure, "
        "nshell.tls, agent.link; print('cryptography' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )  # fmt: skip
    assert done.stdout == "False\n"

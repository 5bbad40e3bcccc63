"""Mutual TLS from one side: what it shows, whom it trusts, why a handshake fails.

Invariant: what is wrong with certificates is a TlsError of one line, and no key
is ever in it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import grpc

CA_FILE, CERTIFICATE_FILE, KEY_FILE = "ca.crt", "tls.crt", "tls.key"
"""As a Secret of type kubernetes.io/tls names them."""
_HANDSHAKE_SECONDS = 3.0
_VALIDITY = re.compile(rb"\x17\r\d{12}Z\x17\r(\d{12})Z")
"""Two UTCTimes in a row, as a certificate up to the year 2049 has them (RFC 5280)."""
_UNIX = "unix:"
NAME_ON_UNIX = "localhost"
"""What the collector's certificate must say where a Unix socket leads to it."""


class TlsError(Exception):
    """Certificates that cannot be used; str() is the line for the user."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM texts of one side."""

    ca: bytes
    """Whose certificates the other side must show."""
    certificate: bytes
    key: bytes = field(repr=False)

    def files(self) -> dict[str, bytes]:
        """By name, as they lie in a directory or a Secret."""
        return {CA_FILE: self.ca, CERTIFICATE_FILE: self.certificate, KEY_FILE: self.key}

    def write(self, directory: Path) -> None:
        """For the user alone; what lay there under these names is replaced."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in self.files().items():
            path = directory / name
            path.unlink(missing_ok=True)
            # A new file, never one that somebody put there and can read.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor
                file.write(text)

    def of_client(self) -> grpc.ChannelCredentials:
        """For a channel."""
        import grpc  # noqa: PLC0415  not before the prompt

        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)

    def of_server(self) -> grpc.ServerCredentials:
        """For a port where every client must show a certificate."""
        import grpc  # noqa: PLC0415  not before options are known to be right

        return grpc.ssl_server_credentials(
            [(self.key, self.certificate)], root_certificates=self.ca, require_client_auth=True
        )


def is_open_to_others(address: str) -> bool:
    """Whether what goes to this address can leave the host."""
    if address.startswith("unix"):
        return False
    host, _ = _host_and_port(address)
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def read_client(directory: Path) -> Credentials:
    """Of an agent or a shell; TlsError where a server would refuse them."""
    return _read(directory, of_server=False)


def read_server(directory: Path) -> Credentials:
    """Of a collector; TlsError where a client would refuse them."""
    return _read(directory, of_server=True)


def _read(directory: Path, *, of_server: bool) -> Credentials:
    try:
        texts = [(directory / name).read_bytes() for name in (CA_FILE, CERTIFICATE_FILE, KEY_FILE)]
    except OSError as error:
        raise TlsError(f"{error.filename}: {error.strerror}") from error
    client = _context(directory, ssl.PROTOCOL_TLS_CLIENT)
    server = _context(directory, ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname = False
    (server if of_server else client).verify_mode = ssl.CERT_NONE
    try:
        _rehearse(client, server)
    except ssl.SSLCertVerificationError as error:
        path = directory / CERTIFICATE_FILE
        raise TlsError(f"{path} is of no use: {error.verify_message}") from error
    return Credentials(*texts)


def _context(directory: Path, protocol: ssl._SSLMethod) -> ssl.SSLContext:
    """One that shows these certificates and wants to see one of the same authority."""
    context = ssl.SSLContext(protocol)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(directory / CA_FILE)
    except ssl.SSLError as error:
        raise TlsError(f"{directory / CA_FILE} holds no certificate in PEM") from error
    except OSError as error:
        raise TlsError(f"{directory / CA_FILE}: {error.strerror}") from error
    try:
        # An encrypted key must not make OpenSSL ask at the terminal.
        context.load_cert_chain(directory / CERTIFICATE_FILE, directory / KEY_FILE, password="")
    except ssl.SSLError as error:
        raise TlsError(
            f"{directory}: {CERTIFICATE_FILE} and {KEY_FILE} are not a pair in PEM"
        ) from error
    except OSError as error:
        raise TlsError(f"{directory}: {error.strerror}") from error
    return context


def _rehearse(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """A handshake of both in memory: the same checks as later, but with a reason.

    A gRPC server closes the connection of a client that it refuses without a word.
    """
    upwards, downwards = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(downwards, upwards),
        server.wrap_bio(upwards, downwards, server_side=True),
    ]
    while ends:
        for end in tuple(ends):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
                ends.remove(end)


def expires_at(certificate: bytes) -> float:
    """Seconds since 1970 until which a certificate in PEM holds, 0 where that cannot be read."""
    try:
        found = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(certificate.decode("ascii").strip()))
    except ValueError:
        return 0
    return _utc(found[1].decode()) if found else 0


def _utc(text: str) -> float:
    return datetime.strptime(text, "%y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()


async def refusal(address: str, directory: Path) -> str:
    """Why a connection from here is refused; empty where nobody answers, or all is well.

    gRPC tells its client no more than that it could not connect.
    """
    try:
        context = _context(directory, ssl.PROTOCOL_TLS_CLIENT)
        async with asyncio.timeout(_HANDSHAKE_SECONDS):
            greeting = await _greeting(address, context)
    except TlsError as error:
        return str(error)
    except ssl.SSLCertVerificationError as error:
        return f"the collector's certificate is refused: {error.verify_message.rstrip('.')}"
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return ""
    except ssl.SSLError as error:
        return f"no TLS with the collector: {(error.reason or '').replace('_', ' ').lower()}"
    except OSError:
        return ""
    return "" if greeting else "the collector refuses this side's certificate"


async def _greeting(address: str, context: ssl.SSLContext) -> bytes:
    """The first byte that the server sends after the handshake: none where it refuses us."""
    if address.startswith(_UNIX):
        reader, writer = await asyncio.open_unix_connection(
            address.removeprefix(_UNIX), ssl=context, server_hostname=NAME_ON_UNIX
        )
    else:
        host, port = _host_and_port(address)
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        return await reader.read(1)
    except ConnectionResetError:
        return b""
    finally:
        writer.transport.abort()


def _host_and_port(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), port

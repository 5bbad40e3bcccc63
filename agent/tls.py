"""What the agent shows the collector, and whom it takes for one: files in a directory.

Invariant: read once, at the start; certificates that cannot be used are one line,
and no key is in it.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

if TYPE_CHECKING:
    from pathlib import Path

CA_FILE, CERTIFICATE_FILE, KEY_FILE = "ca.crt", "tls.crt", "tls.key"
"""As a Secret of type kubernetes.io/tls names them."""


class TlsError(Exception):
    """Certificates that cannot be used; str() is one line."""


def read(directory: Path) -> grpc.ChannelCredentials:
    """The agent's side of mutual TLS."""
    try:
        ca, certificate, key = (
            (directory / name).read_bytes() for name in (CA_FILE, CERTIFICATE_FILE, KEY_FILE)
        )
    except OSError as error:
        raise TlsError(f"{error.filename}: {error.strerror}") from error
    # gRPC would take anything and fail at every connection.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(directory / CA_FILE)
        context.load_cert_chain(directory / CERTIFICATE_FILE, directory / KEY_FILE, password="")
    except ssl.SSLError as error:
        raise TlsError(f"{directory} holds no certificate with its key and authority") from error
    return grpc.ssl_channel_credentials(ca, key, certificate)


async def last_error(call: grpc.aio.StreamStreamCall[Any, Any]) -> str:
    """Why a call's channel cannot connect, in gRPC's words; empty where it can't be said."""
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        words = " ".join((error.details() or "").rpartition("last error: ")[2].split())
        # So a server ends a handshake that it refuses: without a word.
        hint = ", as by a collector that refuses the certificate"
        return words + hint if words.endswith("Socket closed") else words
    return ""

"""Mutual TLS against the real server: who gets in, who does not, what the wire shows."""

from __future__ import annotations

import asyncio
import copy
import socket
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from agent.proto.agentlink_pb2_grpc import AgentLinkStub
from nshell.cluster.certificates import Authority
from nshell.collector.options import Options
from nshell.collector.serving import opened, prepare_directory, served
from nshell.collector.session import Session, Settings
from nshell.proto import session_pb2 as pb
from nshell.proto.session_pb2_grpc import SessionStub
from nshell.shell.client import Client
from nshell.shell.errors import SessionLost
from nshell.tasks import Tasks
from tests.collector.probe import PATIENCE, connected_agent, connected_shell
from tests.collector.test_process import run_refused
from tests.collector.wiretap import Packet, packet_batch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from nshell.collector.capture import Capture
    from nshell.tls import Credentials

MARKER = b"the-words-of-this-payload"
NODE = "the-name-of-this-node"


def authority() -> Authority:
    return Authority()


def long_ago() -> Authority:
    """One whose certificates have all run out."""
    return Authority(lifetime=timedelta(minutes=-1))


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


@dataclass(frozen=True, slots=True)
class Serving:
    """A collector in this process."""

    capture: Capture
    target: str


@asynccontextmanager
async def serving(
    directory: Path, credentials: Credentials | None, target: str = ""
) -> AsyncIterator[Serving]:
    """On a port of the loopback, with TLS if there are credentials."""
    target = target or free_address()
    options = Options(target, directory / "data", "test", lease_seconds=0, tls=credentials)
    prepare_directory(options.directory)
    session = Session(Settings(packets=True), [])
    async with (
        opened(options, session) as capture,
        served(capture, target, tls=options.tls),
    ):
        yield Serving(capture, target)


@asynccontextmanager
async def client(target: str, directory: Path | None) -> AsyncIterator[Client]:
    """The shell's own, connected."""
    made = Client()
    try:
        async with asyncio.timeout(PATIENCE):
            await made.connect(target, tls=directory)
        yield made
    finally:
        await made.close()


async def lost(target: str, directory: Path) -> str:
    """The line that a user sees who cannot get in."""
    with pytest.raises(SessionLost) as caught:
        async with client(target, directory):
            pass
    return str(caught.value)


def written(credentials: Credentials, directory: Path) -> Path:
    credentials.write(directory)
    return directory


async def test_an_agent_and_a_shell_of_the_session_work(tmp_path: Path) -> None:
    issuer = authority()
    agents, shells = issuer.agents(), written(issuer.shells(), tmp_path / "shell")
    async with (
        serving(tmp_path, issuer.collector()) as collector,
        client(collector.target, shells) as shell,
        connected_agent(collector.target, node=NODE, credentials=agents.of_client()) as agent,
    ):
        reply = await shell.add_filter(["port", "443"])
        assert [(ack.node, ack.applied) for ack in reply.nodes] == [(NODE, True)]
        await agent.state(lambda state: len(state.rules) == 1)
        await agent.send(packets=packet_batch([Packet()]))
        async with connected_shell(collector.target, issuer.shells().of_client()) as other:
            await other.until("SELECT count(*) FROM packet", 1)
            exported, summary = await other.export("pcap")
            assert summary.packets == 1
            assert len(exported) > len(Packet().data)
        assert (await shell.stop()).packet_rows == 1


async def call(channel: grpc.aio.Channel, service: str) -> grpc.StatusCode:
    """How the first message of a service comes back."""
    try:
        async with asyncio.timeout(PATIENCE):
            if service == "AgentLink":
                await AgentLinkStub(channel).Connect().read()
            else:
                await SessionStub(channel).Describe(pb.DescribeRequest())
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def credentials_of(who: str, issuer: Authority) -> grpc.ChannelCredentials:
    """Of somebody who trusts the right collector, whatever else is wrong."""
    shown = {
        "nobody": None,
        "another session": authority().agents(),
        "another session, as a shell": authority().shells(),
        "expired": expired(issuer).agents(),
        "the collector": issuer.collector(),
    }[who]
    if shown is None:
        return grpc.ssl_channel_credentials(issuer.ca)
    return grpc.ssl_channel_credentials(issuer.ca, shown.key, shown.certificate)


def expired(issuer: Authority) -> Authority:
    """The same authority, when it issued what has run out by now."""
    past = copy.copy(issuer)
    past._valid = long_ago()._valid
    return past


@pytest.mark.parametrize("service", ["AgentLink", "Session"])
@pytest.mark.parametrize(
    "who",
    ["nobody", "another session", "another session, as a shell", "expired", "the collector"],
)
async def test_without_the_right_certificate_nobody_connects(
    tmp_path: Path, who: str, service: str
) -> None:
    issuer = authority()
    async with serving(tmp_path, issuer.collector()) as collector:
        credentials = credentials_of(who, issuer)
        async with grpc.aio.secure_channel(collector.target, credentials) as channel:
            assert await call(channel, service) is grpc.StatusCode.UNAVAILABLE
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(channel.channel_ready(), 0.3)
        assert collector.capture.fleet.nodes == {}


@pytest.mark.parametrize("service", ["AgentLink", "Session"])
async def test_without_tls_nobody_connects(tmp_path: Path, service: str) -> None:
    async with (
        serving(tmp_path, authority().collector()) as collector,
        grpc.aio.insecure_channel(collector.target) as channel,
    ):
        assert await call(channel, service) is grpc.StatusCode.UNAVAILABLE


METHODS = ("Watch", "Change", "Overlay", "Query", "Export", "Describe", "Explain", "Stop", "Detach")


def test_every_method_of_the_session_is_tried_below() -> None:
    service = pb.DESCRIPTOR.services_by_name["Session"]
    assert {method.name for method in service.methods} == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
async def test_an_agent_may_ask_nothing_of_the_session(tmp_path: Path, method: str) -> None:
    issuer = authority()
    async with (
        serving(tmp_path, issuer.collector()) as collector,
        connected_shell(collector.target, issuer.agents().of_client()) as agent,
    ):
        request = {"Watch": pb.WatchRequest, "Change": pb.ChangeRequest, "Query": pb.QueryRequest,
                   "Export": pb.ExportRequest, "Describe": pb.DescribeRequest,
                   "Explain": pb.ExplainRequest, "Stop": pb.StopRequest,
                   "Detach": pb.DetachRequest}.get(method)  # fmt: skip
        asked = getattr(agent.stub, method)(*([request()] if request else []))
        error = await agent.refusal(asked)
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert error.details() == "Session takes a shell's certificate, and this is an agent's"
        assert not collector.capture.stopping.is_set()


async def test_a_shell_is_no_agent(tmp_path: Path) -> None:
    issuer = authority()
    async with (
        serving(tmp_path, issuer.collector()) as collector,
        grpc.aio.secure_channel(collector.target, issuer.shells().of_client()) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await AgentLinkStub(channel).Connect().read()
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert caught.value.details() == (
            "AgentLink takes an agent's certificate, and this is a shell's"
        )
        assert collector.capture.fleet.nodes == {}


async def test_a_user_with_an_agents_certificate_is_told_so(tmp_path: Path) -> None:
    issuer = authority()
    agents = written(issuer.agents(), tmp_path / "agent")
    async with serving(tmp_path, issuer.collector()) as collector:
        assert await lost(collector.target, agents) == (
            "refused by the collector: Session takes a shell's certificate, and this is an agent's"
        )


async def test_a_user_of_another_session_is_told_so(tmp_path: Path) -> None:
    others = written(authority().shells(), tmp_path / "shell")
    async with serving(tmp_path, authority().collector()) as collector:
        line = await lost(collector.target, others)
    assert line.startswith("the collector's certificate is refused: ")
    assert "issuer" in line


async def test_a_user_whom_the_collector_does_not_take_is_told_so(tmp_path: Path) -> None:
    # Each half is right by itself: only the collector can see that they differ.
    issuer, other = authority(), authority()
    directory = written(other.shells(), tmp_path / "shell")
    both = directory / "ca.crt"
    both.write_bytes(other.ca + issuer.ca)
    async with serving(tmp_path, issuer.collector()) as collector:
        assert await lost(collector.target, directory) == (
            "the collector refuses this side's certificate"
        )


async def test_a_user_whose_certificate_has_expired_is_told_so(tmp_path: Path) -> None:
    issuer = authority()
    directory = written(expired(issuer).shells(), tmp_path / "shell")
    async with serving(tmp_path, issuer.collector()) as collector:
        assert await lost(collector.target, directory) == (
            f"{directory}/tls.crt is of no use: certificate has expired"
        )


async def test_a_collector_whose_certificate_has_expired_is_not_trusted(tmp_path: Path) -> None:
    issuer = authority()
    shells = written(issuer.shells(), tmp_path / "shell")
    async with serving(tmp_path, expired(issuer).collector()) as collector:
        assert await lost(collector.target, shells) == (
            "the collector's certificate is refused: certificate has expired"
        )


async def test_an_agents_certificate_makes_no_collector(tmp_path: Path) -> None:
    issuer = authority()
    shells = written(issuer.shells(), tmp_path / "shell")
    async with serving(tmp_path, issuer.agents()) as collector:
        line = await lost(collector.target, shells)
    assert line == "the collector's certificate is refused: unsuitable certificate purpose"


async def test_a_server_without_tls_is_not_spoken_to(tmp_path: Path) -> None:
    shells = written(authority().shells(), tmp_path / "shell")
    async with serving(tmp_path, None) as collector:
        assert await lost(collector.target, shells) == (
            "no TLS with the collector: wrong version number"
        )


_CONNECT = """
import asyncio, pathlib, sys
from nshell.shell.client import Client
try:
    asyncio.run(Client().connect(sys.argv[1], tls=pathlib.Path(sys.argv[2])))
except Exception as error:
    print(error, file=sys.stderr)
"""


async def test_the_line_is_all_that_is_written(tmp_path: Path) -> None:
    others = written(authority().shells(), tmp_path / "shell")
    async with serving(tmp_path, authority().collector()) as collector:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _CONNECT, collector.target, str(others),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert out == b""
    (line,) = err.decode().splitlines()
    assert line.startswith("the collector's certificate is refused: ")


async def test_a_collector_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    issuer, target = authority(), free_address()
    shells = written(issuer.shells(), tmp_path / "shell")
    made = Client()
    async with Tasks("test", on_error=_fail) as tasks:
        connecting = tasks.start(made.connect(target, tls=shells), name="connect")
        await asyncio.sleep(1.5)
        assert not connecting.done()
        async with serving(tmp_path, issuer.collector(), target):
            await asyncio.wait_for(connecting, PATIENCE)
            assert (await made.status()).session == "test"
            await made.close()


async def test_a_forwarded_port_on_a_unix_socket_carries_tls(short_path: Path) -> None:
    issuer = authority()
    shells = written(issuer.shells(), short_path / "shell")
    strangers = written(authority().shells(), short_path / "stranger")
    async with (
        serving(short_path, issuer.collector()) as collector,
        relay(collector.target, f"unix:{short_path / 'forward'}") as forward,
        client(forward.address, shells) as shell,
    ):
        assert (await shell.status()).session == "test"
        line = await lost(forward.address, strangers)
        assert line.startswith("the collector's certificate is refused: ")


def _fail(error: BaseException) -> None:
    raise error


@dataclass(slots=True)
class Relay:
    """A wire that can be read."""

    address: str
    seen: bytearray


@asynccontextmanager
async def relay(target: str, address: str = "") -> AsyncIterator[Relay]:
    """Passes everything on, and keeps what it saw in both directions."""
    host, _, port = target.rpartition(":")
    made = Relay(address or free_address(), bytearray())
    writers: list[asyncio.StreamWriter] = []
    async with Tasks("relay", on_error=_fail) as tasks:

        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                while data := await reader.read(1 << 16):
                    made.seen += data
                    writer.write(data)
                    await writer.drain()
            writer.close()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
            writers.extend((writer, far_writer))
            tasks.start(pump(reader, far_writer), name="up")
            tasks.start(pump(far_reader, writer), name="down")

        if made.address.startswith("unix:"):
            server = await asyncio.start_unix_server(accept, made.address.removeprefix("unix:"))
        else:
            own_host, _, own_port = made.address.rpartition(":")
            server = await asyncio.start_server(accept, own_host, int(own_port))
        try:
            yield made
        finally:
            server.close()
            for writer in writers:
                writer.transport.abort()
            await asyncio.sleep(0)


@pytest.mark.parametrize("secure", [True, False])
async def test_what_goes_over_the_wire_can_be_read_only_without_tls(
    tmp_path: Path, *, secure: bool
) -> None:
    issuer = authority()
    data = b"\x02" * 12 + b"\x08\x00" + b"E" + bytes(40) + MARKER
    async with (
        serving(tmp_path, issuer.collector() if secure else None) as collector,
        relay(collector.target) as wire,
        connected_agent(
            wire.address, node=NODE, credentials=issuer.agents().of_client() if secure else None
        ) as agent,
        connected_shell(
            wire.address, issuer.shells().of_client() if secure else None
        ) as shell,
    ):  # fmt: skip
        await agent.send(packets=packet_batch([Packet(data=data)]))
        await shell.until("SELECT count(*) FROM packet", 1)
        exported, _ = await shell.export("pcap")
    assert MARKER in exported
    assert len(wire.seen) > 1000
    clear = not secure
    # Up from the agent, and down to the shell once more.
    assert wire.seen.count(MARKER) == (2 if clear else 0)
    assert (NODE.encode() in wire.seen) is clear
    assert (b"AgentLink/Connect" in wire.seen) is clear
    assert (b"SELECT count" in wire.seen) is clear


NETWORK = "0.0.0.0:0"


def test_a_collector_serves_no_network_in_clear(short_path: Path) -> None:
    for listen in (NETWORK, "[::]:0", "collector.example:7700"):
        assert run_refused(short_path, "--listen", listen) == (
            f"netobserv-collector: --listen {listen} can be reached from elsewhere: "
            "it needs --tls DIR"
        )
    assert list(short_path.iterdir()) == []


def test_a_unix_socket_takes_no_certificates(short_path: Path) -> None:
    directory = written(authority().collector(), short_path / "tls")
    assert run_refused(short_path, "--tls", str(directory)) == (
        f"netobserv-collector: --tls is for HOST:PORT: unix:{short_path}/s is guarded "
        "by its directory's mode"
    )


def unusable(directory: Path, how: str) -> str:
    """Certificates of a collector with something wrong; what is said of it."""
    issuer = authority()
    written(issuer.collector(), directory)
    match how:
        case "no file":
            (directory / "tls.key").unlink()
            return f"{directory}/tls.key: No such file or directory"
        case "no pair":
            (directory / "tls.key").write_bytes(issuer.agents().key)
            return f"{directory}: tls.crt and tls.key are not a pair in PEM"
        case "an encrypted key":
            key = load_pem_private_key(issuer.collector().key, password=None)
            secret = BestAvailableEncryption(b"secret")
            (directory / "tls.key").write_bytes(
                key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)
            )
            return f"{directory}: tls.crt and tls.key are not a pair in PEM"
        case "no PEM":
            (directory / "ca.crt").write_bytes(b"nonsense")
            return f"{directory}/ca.crt holds no certificate in PEM"
        case "an agent's":
            written(issuer.agents(), directory)
            return f"{directory}/tls.crt is of no use: unsuitable certificate purpose"
        case _:
            written(long_ago().collector(), directory)
            return f"{directory}/tls.crt is of no use: certificate has expired"


@pytest.mark.parametrize(
    "how", ["no file", "no pair", "an encrypted key", "no PEM", "an agent's", "expired"]
)
def test_certificates_that_cannot_be_used_are_one_line(short_path: Path, how: str) -> None:
    directory = short_path / "tls"
    wrong = unusable(directory, how)
    line = run_refused(short_path, "--listen", NETWORK, "--tls", str(directory))
    assert line == f"netobserv-collector: --tls: {wrong}"
    assert list(short_path.iterdir()) == [directory]

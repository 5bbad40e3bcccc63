"""`why` on a real path: each verdict from a cause of its own.

Watching begins when the session says so; what the stack and the rules counted
meanwhile is what the verdict has to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from nshell.shell.why.verdict import SLUGS
from tests import network
from tests.scenarios.why import (
    CLOSED,
    DELAY_MS,
    ECHO,
    FAR,
    IGNORED,
    LOSSY,
    NAMED,
    NO_ENTRY,
    OURS4,
    OURS6,
    PEER4,
    PEER6,
    RESETTING,
    SWALLOWED,
    TCP_SAY,
    TO_FAR,
    TO_LOSSY,
    UNHEARD,
    Scene,
    counted,
    scene,
    why,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.kernel

NETFILTER = r"NETFILTER_DROP in \w+\+0x[0-9a-f]+"
SLOW_NAME, QUICK_NAME = "wait150ms.a1.test", "a1.test"
PING = ("ping", "-q", "-c", "3", "-i", "0.05")


@dataclass(frozen=True, slots=True)
class Cause:
    """What happens between two ends, and what is to be said of it."""

    name: str
    ends: str
    make: Callable[[Scene], object]
    slug: str
    summary: str
    """A regular expression; its group `n` is what the oracle counts."""
    rows: dict[str, dict[str, Any]]
    """Cells of a row of each table that is there; a table that is not listed is not."""
    seconds: float = 0
    oracle: Callable[[Scene], int] | None = None
    least_ms: int = 0
    caveats: tuple[str, ...] = ()


def retransmitted(where: Scene) -> int:
    return where.ours.counter("TcpRetransSegs")


OURS_TO_PEER = f"{OURS4} to {PEER4}"
PEER_TO_OURS = f"{PEER4} to {OURS4}"
BOTH = {"flow": {"SrcAddr": PEER4, "DstAddr": OURS4}}

CAUSES = [
    Cause(
        "a name that does not exist", f"{OURS4} nxdomain.test:443",
        lambda s: s.ask("nxdomain", "test"), "name-resolution-failed",
        f"{OURS4} asks {PEER4} for nxdomain.test A: NXDomain",
        {"flow": {"DstPort": 53}, "dns": {"Name": "nxdomain.test", "Rcode": "NXDomain"}},
    ),
    Cause(
        "a resolver that fails", f"{OURS4} servfail.test",
        lambda s: s.ask("servfail", "test"), "name-resolution-failed",
        f"{OURS4} asks {PEER4} for servfail.test A: ServFail",
        {"flow": {"DstPort": 53}, "dns": {"Name": "servfail.test", "Rcode": "ServFail"}},
    ),
    Cause(
        "a name without an address", f"{OURS4} nothing.test",
        lambda s: s.ask("nothing", "test"), "name-resolution-failed",
        f"{OURS4} asks {PEER4} for nothing.test A: NoError, but no address",
        {"flow": {"DstPort": 53}, "dns": {"Name": "nothing.test", "Rcode": "NoError"}},
    ),
    Cause(
        "a silent resolver", f"{OURS4} silent.test:443",
        lambda s: s.ask("silent", "test", times=3, wait=0), "name-resolution-failed",
        f"{OURS4} asks {PEER4} for silent.test A: no answer, asked 3 times",
        {"flow": {"DstPort": 53, "Packets": 3},
         "dns": {"Name": "silent.test", "Status": "unanswered", "Retries": 2}},
        seconds=8,
    ),
    Cause(
        "a resolver that is silent so far", f"{OURS4} silent.test:443",
        lambda s: s.ask("silent", "test", wait=0), "name-resolution-failed",
        f"{OURS4} gets no answer from DNS server {PEER4}",
        {"flow": {"DstPort": 53, "Packets": 1}},
    ),
    Cause(
        "questions that a rule drops here", f"{TO_FAR} {QUICK_NAME}",
        lambda s: s.ask("a1", "test", to=FAR, wait=0), "name-resolution-failed",
        rf"{TO_FAR} gets no answer from DNS server {FAR} \(dropped on \S+ with NETFILTER_DROP\)",
        {"flow": {"DstPort": 53, "Packets": 0},
         "packet_drop": {"DstPort": 53, "Reason": "NETFILTER_DROP"}},
    ),
    Cause(
        "nothing at all", f"{OURS4} {PEER4}:{ECHO}", lambda _: None, "nothing-sent",
        f"{OURS4} sent nothing to {PEER4} port {ECHO} in 1 s", {}, seconds=1,
        caveats=("what does not pass eth0, eth2, eth3 is not seen",),
    ),
    Cause(
        "talk with others", f"{OURS4} {PEER4}:{CLOSED}", lambda s: s.talk(PEER4), "nothing-sent",
        rf"{OURS4} sent nothing to {PEER4} port {CLOSED} in \S+ s", {},
        caveats=("what does not pass eth0, eth2, eth3 is not seen",),
    ),
    Cause(
        "a rule here drops the SYN", f"{OURS4} {PEER4}:{SWALLOWED}",
        lambda s: s.connect(PEER4, SWALLOWED), "dropped-here",
        rf"{OURS_TO_PEER} TCP port {SWALLOWED}: packets from {OURS_TO_PEER} are dropped on \S+ "
        rf"with {NETFILTER} \((?P<n>\d+) packets\)",
        {"flow": {"Packets": 0, "DstPort": SWALLOWED},
         "packet_drop": {"Reason": "NETFILTER_DROP", "TcpState": "TCP_SYN_SENT"},
         "tcp_event": {"Event": "retransmit", "State": "TCP_SYN_SENT"}},
        oracle=lambda s: counted(s.ours, f"tcp dport {SWALLOWED}"),
    ),
    Cause(
        "a rule here drops the SYN+ACK", f"{OURS4} {PEER4}:{UNHEARD}",
        lambda s: s.connect(PEER4, UNHEARD), "dropped-here",
        rf"{OURS_TO_PEER} TCP port {UNHEARD}: packets from {PEER_TO_OURS} are dropped on \S+ "
        rf"with {NETFILTER} \(\d+ packets\)",
        {"flow": {"SrcAddr": PEER4, "SrcPort": UNHEARD},
         "packet_drop": {"SrcAddr": PEER4, "Reason": "NETFILTER_DROP"},
         "tcp_event": {"Event": "retransmit", "DstPort": UNHEARD}},
    ),
    Cause(
        "a rule here drops what comes in", f"{PEER4} {OURS4}:{NO_ENTRY}",
        lambda s: s.peer.python(network.UDP_TRY, OURS4, NO_ENTRY, 5, 100), "dropped-here",
        rf"{PEER_TO_OURS} UDP port {NO_ENTRY}: packets from {PEER_TO_OURS} are dropped on \S+ "
        rf"with {NETFILTER} \((?P<n>\d+) packets\)",
        {"flow": {"Packets": 5}, "packet_drop": {"Reason": "NETFILTER_DROP", "Packets": 5}},
        oracle=lambda s: counted(s.ours, f"udp dport {NO_ENTRY}"),
    ),
    Cause(
        "a next hop that is not there", f"{OURS4} 10.77.1.99:80",
        lambda s: s.connect("10.77.1.99", 80, seconds=3.5), "dropped-here",
        rf"{OURS4} to 10.77.1.99 TCP port 80: packets from {OURS4} to 10.77.1.99 are dropped on "
        rf"\S+ with NEIGH_FAILED in \w+\+0x[0-9a-f]+ \(\d+ packets?\)",
        {"flow": {"Packets": 0}, "packet_drop": {"Reason": "NEIGH_FAILED"},
         "tcp_event": {"Event": "retransmit"}},
    ),
    Cause(
        "a peer that drops the SYN", f"{OURS4} {PEER4}:{IGNORED}",
        lambda s: s.connect(PEER4, IGNORED), "no-answer",
        rf"{OURS_TO_PEER} TCP port {IGNORED}: 2 SYNs sent and nothing comes back, "
        r"(?P<n>\d+) retransmit seen",
        {"flow": {"Packets": 2, "TcpRetransmits": 1},
         "tcp_event": {"Event": "retransmit", "Count": 1}},
        oracle=retransmitted,
    ),
    Cause(
        "a closed port at the peer", f"{OURS4} {PEER4}:{CLOSED}",
        lambda s: s.connect(PEER4, CLOSED), "refused",
        f"{OURS_TO_PEER} TCP port {CLOSED} is refused: RST from {PEER4}",
        {**BOTH, "tcp_event": {"Event": "reset_received", "State": "TCP_SYN_SENT"}},
    ),
    Cause(
        "a closed port here", f"{PEER4} {OURS4}:{CLOSED}",
        lambda s: s.peer.python(network.TCP_TRY, OURS4, CLOSED, 1.5), "refused",
        rf"{PEER_TO_OURS} TCP port {CLOSED} is refused: RST from {OURS4} "
        r"\(dropped on \S+ with NO_SOCKET\)",
        {**BOTH, "packet_drop": {"Reason": "NO_SOCKET"},
         "tcp_event": {"Event": "reset_sent", "Reason": "NO_SOCKET"}},
    ),
    Cause(
        "a closed UDP port at the peer", f"{OURS4} {PEER4}:{CLOSED}",
        lambda s: s.ours.python(network.UDP_TRY, PEER4, CLOSED, 1, 100), "refused",
        f"{OURS_TO_PEER} UDP port {CLOSED} is refused: port unreachable, says {PEER4}",
        {"flow": {"Proto": 1, "IcmpType": 3, "IcmpCode": 3}},
    ),
    Cause(
        "a closed UDP port over IPv6", f"{OURS6} [{PEER6}]:{CLOSED}",
        lambda s: s.ours.python(network.UDP_TRY, PEER6, CLOSED, 1, 100), "refused",
        f"{OURS6} to {PEER6} UDP port {CLOSED} is refused: port unreachable, says {PEER6}",
        {"flow": {"Proto": 58, "IcmpType": 1, "IcmpCode": 4}},
    ),
    Cause(
        "a closed UDP port here", f"{PEER4} {OURS4}:{CLOSED}",
        lambda s: s.peer.python(network.UDP_TRY, OURS4, CLOSED, 3, 100), "refused",
        rf"{PEER_TO_OURS} UDP port {CLOSED} is refused: port unreachable, says {OURS4} "
        r"\(dropped on \S+ with NO_SOCKET\)",
        {"flow": {"Proto": 1, "IcmpType": 3, "IcmpCode": 3},
         "packet_drop": {"Reason": "NO_SOCKET", "Packets": 3}},
    ),
    Cause(
        "a server that resets", f"{OURS4} {PEER4}:{RESETTING}",
        lambda s: s.ours.python(TCP_SAY, PEER4, RESETTING), "reset-after-connect",
        f"{OURS_TO_PEER} TCP port {RESETTING} was connected, then {PEER4} reset it",
        {**BOTH, "tcp_event": {"Event": "reset_received", "State": "TCP_ESTABLISHED"}},
    ),
    Cause(
        "a long way", f"{TO_FAR} {FAR}:{ECHO}", lambda s: s.talk(FAR), "connected-but-slow",
        rf"{TO_FAR} to {FAR} TCP port {ECHO} is connected, but slow because of its round-trip "
        r"time of (?P<ms>\d+) ms",
        {"flow": {"SrcAddr": TO_FAR, "TcpRetransmits": 0}}, least_ms=2 * DELAY_MS,
    ),
    Cause(
        "a wire that loses", f"{TO_LOSSY} {LOSSY}:{ECHO}", lambda s: s.talk(LOSSY, size=100_000),
        "connected-but-slow",
        rf"{TO_LOSSY} to {LOSSY} TCP port {ECHO} is connected, but slow because of retransmits "
        rf"of {TO_LOSSY} \((?P<n>\d+) of \d+ packets\)",
        {"flow": {"SrcAddr": TO_LOSSY}, "tcp_event": {"Event": "retransmit", "SrcAddr": TO_LOSSY}},
        oracle=retransmitted,
    ),
    Cause(
        "a slow resolver", f"{OURS4} {SLOW_NAME}:{ECHO}",
        lambda s: s.resolve_and_talk(SLOW_NAME, NAMED), "connected-but-slow",
        rf"{OURS4} to {SLOW_NAME} \({NAMED}\) TCP port {ECHO} is connected, but slow because of "
        rf"DNS: {PEER4} took (?P<ms>\d+) ms for {SLOW_NAME}",
        {"flow": {"DstAddr": NAMED}, "dns": {"Name": SLOW_NAME, "Addresses": f'["{NAMED}"]'}},
        least_ms=150,
    ),
    Cause(
        "TCP", f"{OURS4} {PEER4}:{ECHO}", lambda s: s.talk(PEER4, size=100_000), "healthy",
        rf"{OURS_TO_PEER} TCP port {ECHO} works, round-trip time [\d.]+ ms", BOTH,
    ),
    Cause(
        "TCP from the peer", f"{PEER4} {OURS4}:{ECHO}",
        lambda s: s.peer.python(network.TCP_TALK, OURS4, ECHO, 3, 1000), "healthy",
        rf"{PEER_TO_OURS} TCP port {ECHO} works, round-trip time [\d.]+ ms; 3 of 3 such "
        "connections", BOTH,
    ),
    Cause(
        "TCP over IPv6", f"{OURS6} [{PEER6}]:{ECHO}", lambda s: s.talk(PEER6), "healthy",
        rf"{OURS6} to {PEER6} TCP port {ECHO} works, round-trip time [\d.]+ ms",
        {"flow": {"SrcAddr": PEER6}},
    ),
    Cause(
        "TCP to a name", f"{OURS4} {QUICK_NAME}:{ECHO}",
        lambda s: s.resolve_and_talk(QUICK_NAME, NAMED), "healthy",
        rf"{OURS4} to {QUICK_NAME} \({NAMED}\) TCP port {ECHO} works, round-trip time [\d.]+ ms",
        {"flow": {"DstAddr": NAMED}, "dns": {"Name": QUICK_NAME, "Rcode": "NoError"}},
    ),
    Cause(
        "UDP", f"{OURS4} {PEER4}:{ECHO}",
        lambda s: s.ours.python(network.UDP_TALK, PEER4, ECHO, 5, 100, 0), "healthy",
        f"{OURS_TO_PEER} UDP port {ECHO} works", {"flow": {"SrcAddr": PEER4, "Packets": 5}},
    ),
    Cause(
        "ping", f"{OURS4} {PEER4}", lambda s: s.ours.run(*PING, PEER4), "healthy",
        f"{OURS_TO_PEER} ICMP echo works", {"flow": {"IcmpType": 0, "Packets": 3}},
    ),
    Cause(
        "ping over IPv6", f"{OURS6} {PEER6}", lambda s: s.ours.run(*PING, PEER6), "healthy",
        f"{OURS6} to {PEER6} ICMPv6 echo works", {"flow": {"IcmpType": 129, "Packets": 3}},
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def where() -> Iterator[Scene]:
    with scene() as made:
        yield made


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_a_real_cause_comes_to_its_verdict(where: Scene, cause: Cause) -> None:
    before = cause.oracle(where) if cause.oracle else 0
    found = why(where.live, cause.ends, lambda: cause.make(where), seconds=cause.seconds)
    assert found["verdict"] == cause.slug, found["summary"]
    said = re.fullmatch(cause.summary, found["summary"])
    assert said, found["summary"]
    assert found["caveats"] == list(cause.caveats)
    assert found["evidence"].keys() == cause.rows.keys()
    for table, cells in cause.rows.items():
        assert any(cells.items() <= row.items() for row in found["evidence"][table]), table
    if cause.oracle:
        assert int(said["n"]) == cause.oracle(where) - before
    if "ms" in said.groupdict():
        assert int(said["ms"]) >= cause.least_ms


def test_every_verdict_has_a_cause() -> None:
    assert {cause.slug for cause in CAUSES} == set(SLUGS)

"""The verdict of `why` as a table: what was seen, and what it comes to."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from nshell.shell.why.evidence import (
    ACK,
    FIN,
    PSH,
    RST,
    SYN,
    SYN_ACK,
    Drop,
    Event,
    Evidence,
    Exchange,
    Flow,
)
from nshell.shell.why.question import Question, Target
from nshell.shell.why.verdict import SLUGS, decide

A, B, ROUTER, DNS = "10.0.0.1", "10.0.0.2", "10.0.0.254", "10.0.0.53"
NAME = "api.example"
OPEN = SYN | ACK | PSH
OPENED = SYN | ACK | PSH | SYN_ACK


def out(flags: int = 0, packets: int = 5, **how: Any) -> Flow:
    """From A to port 443 of B."""
    given: dict[str, Any] = {
        "node": "n1", "src": A, "src_port": 40000, "dst": B, "dst_port": 443, "proto": 6,
        "icmp_type": None, "icmp_code": None, "packets": packets, "bytes": packets * 60,
        "flags": flags, "rtt_ns": None, "handshake_ns": None, "retransmits": None,
    }  # fmt: skip
    return Flow(**(given | how))


def back(flags: int = 0, packets: int = 5, **how: Any) -> Flow:
    """From port 443 of B to A."""
    return out(flags, packets, **({"src": B, "src_port": 443, "dst": A, "dst_port": 40000} | how))


def error(sender: str, type_: int, code: int, proto: int = 1) -> Flow:
    """An ICMP error to A."""
    return out(
        0, 1, src=sender, src_port=None, dst=A, dst_port=None, proto=proto, icmp_type=type_,
        icmp_code=code,
    )  # fmt: skip


def echo(type_: int, *, src: str, dst: str) -> Flow:
    return out(0, 3, src=src, src_port=None, dst=dst, dst_port=None, proto=1, icmp_type=type_,
               icmp_code=0)  # fmt: skip


def drop(reason: str = "NETFILTER_DROP", packets: int = 3, **how: Any) -> Drop:
    """Of packets from A to port 443 of B."""
    given: dict[str, Any] = {
        "node": "n1", "reason": reason, "function": "nf_hook_slow+0xb6", "tcp_state": None,
        "src": A, "src_port": 40000, "dst": B, "dst_port": 443, "proto": 6, "packets": packets,
    }  # fmt: skip
    return Drop(**(given | how))


def back_drop(**how: Any) -> Drop:
    """Of packets from port 443 of B to A."""
    turned: dict[str, Any] = {"src": B, "src_port": 443, "dst": A, "dst_port": 40000}
    return drop(**(turned | how))


def retransmits(count: int, **how: Any) -> Event:
    given: dict[str, Any] = {
        "node": "n1", "event": "retransmit", "src": A, "src_port": 40000, "dst": B,
        "dst_port": 443, "state": "TCP_SYN_SENT", "reason": None, "count": count,
    }  # fmt: skip
    return Event(**(given | how))


def asked(
    name: str = NAME, rcode: str | None = "NoError", *, addresses: tuple[str, ...] = (),
    latency_ms: float | None = 1.5, **how: Any,
) -> Exchange:  # fmt: skip
    given: dict[str, Any] = {
        "server": DNS, "name": name, "type": "A", "rcode": rcode, "latency_ms": latency_ms,
        "addresses": addresses, "retries": 0, "status": "answered" if rcode else "unanswered",
    }  # fmt: skip
    return Exchange(**(given | how))


def udp(flow: Flow, **how: Any) -> Flow:
    values = {name: getattr(flow, name) for name in Flow.__slots__}
    return Flow(**(values | {"proto": 17, "flags": 0} | how))


def seen(*rows: object, name: str = "", port: int | None = 443, **how: Any) -> Evidence:
    """Evidence that holds these."""
    target = Target(name=name, port=port) if name else Target(address=ip_address(B), port=port)
    kinds: dict[str, Any] = {
        "flows": tuple(row for row in rows if isinstance(row, Flow)),
        "drops": tuple(row for row in rows if isinstance(row, Drop)),
        "exchanges": tuple(row for row in rows if isinstance(row, Exchange)),
        "events": tuple(row for row in rows if isinstance(row, Event)),
        "addresses": (B,),
    }
    return Evidence(Question(ip_address(A), target), 10.0, **(kinds | how))


DNS_OUT = udp(out(src_port=5000, dst=DNS, dst_port=53, packets=2))
DNS_BACK = udp(out(src=DNS, src_port=53, dst=A, dst_port=5000, packets=2))
TCP443 = f"{A} to {B} TCP port 443"
UDP443 = f"{A} to {B} UDP port 443"

CASES: dict[str, tuple[Evidence, str, str]] = {
    "nothing at all": (
        seen(), "nothing-sent", f"{A} sent nothing to {B} port 443 in 10 s",
    ),
    "only others' traffic": (
        seen(DNS_OUT, DNS_BACK, asked("other", "NXDomain")), "nothing-sent",
        f"{A} sent nothing to {B} port 443 in 10 s; its question for other failed: NXDomain",
    ),
    "only what the peer opened": (
        seen(back(SYN, src_port=5555, dst_port=22), port=None), "nothing-sent",
        f"{A} sent nothing to {B} in 10 s",
    ),
    "the peer's connection, answered": (
        seen(out(OPENED, src_port=22, dst_port=5555), back(OPEN, src_port=5555, dst_port=22),
             port=None),
        "nothing-sent", f"{A} sent nothing to {B} in 10 s",
    ),
    "SYN dropped before any interface": (
        seen(out(0, 0), drop(), retransmits(2)), "dropped-here",
        f"{TCP443}: packets from {A} to {B} are dropped on n1 with NETFILTER_DROP in "
        "nf_hook_slow+0xb6 (3 packets)",
    ),
    "dropped, and no flow row told of it": (
        seen(drop(function=None)), "dropped-here",
        f"{TCP443}: packets from {A} to {B} are dropped on n1 with NETFILTER_DROP (3 packets)",
    ),
    "SYN seen coming in, then dropped": (
        seen(out(SYN, 3), drop("TCP_LISTEN_OVERFLOW", 2, function=None), drop(packets=1)),
        "dropped-here",
        f"{TCP443}: packets from {A} to {B} are dropped on n1 with TCP_LISTEN_OVERFLOW "
        "and 1 other cause (3 packets)",
    ),
    "SYN+ACK dropped on its way in": (
        seen(out(SYN, 4), back(SYN_ACK | SYN | ACK, 4), back_drop(packets=4)), "dropped-here",
        f"{TCP443}: packets from {B} to {A} are dropped on n1 with NETFILTER_DROP in "
        "nf_hook_slow+0xb6 (4 packets)",
    ),
    "data of an open connection dropped": (
        seen(out(OPEN, 20), back(OPENED, 20), drop(packets=5)), "dropped-here",
        f"{TCP443}: packets from {A} to {B} are dropped on n1 with NETFILTER_DROP in "
        "nf_hook_slow+0xb6 (5 packets)",
    ),
    "SYN without any answer": (
        seen(out(SYN, 4), retransmits(3)), "no-answer",
        f"{TCP443}: 4 SYNs sent and nothing comes back, 3 retransmits seen",
    ),
    "SYN+ACK that is never taken up": (
        seen(out(SYN, 1), back(SYN_ACK | SYN | ACK, 5)), "no-answer",
        f"{TCP443}: SYN+ACK comes from {B}, and {A} never answers it",
    ),
    "data into a connection whose peer is gone": (
        seen(out(ACK | PSH, 6), retransmits(5)), "no-answer",
        f"{TCP443}: 6 packets sent and nothing comes back, 5 retransmits seen",
    ),
    "closed port": (
        seen(out(SYN, 1), back(RST | ACK, 1)), "refused",
        f"{TCP443} is refused: RST from {B}",
    ),
    "closed port on this node": (
        seen(out(SYN, 1), back(RST | ACK, 1), drop("NO_SOCKET", 1)), "refused",
        f"{TCP443} is refused: RST from {B} (dropped on n1 with NO_SOCKET)",
    ),
    "a router knows no way": (
        seen(out(SYN, 3), error(ROUTER, 3, 1)), "refused",
        f"{TCP443} is refused: host unreachable, says {ROUTER}",
    ),
    "a router's filter says so": (
        seen(out(SYN, 3), error(ROUTER, 3, 13)), "refused",
        f"{TCP443} is refused: prohibited, says {ROUTER}",
    ),
    "TTL runs out": (
        seen(out(SYN, 3), error(ROUTER, 11, 0)), "refused",
        f"{TCP443} is refused: TTL exceeded, says {ROUTER}",
    ),
    "an error of an unknown code": (
        seen(out(SYN, 3), error(ROUTER, 3, 7)), "refused",
        f"{TCP443} is refused: unreachable, says {ROUTER}",
    ),
    "a hint about packet sizes is no refusal": (
        seen(out(SYN, 3), error(ROUTER, 3, 4)), "no-answer",
        f"{TCP443}: 3 SYNs sent and nothing comes back",
    ),
    "a drop here explains more than an error from elsewhere": (
        seen(out(SYN, 3), drop(), error(ROUTER, 3, 1)), "dropped-here",
        f"{TCP443}: packets from {A} to {B} are dropped on n1 with NETFILTER_DROP in "
        "nf_hook_slow+0xb6 (3 packets)",
    ),
    "closed UDP port": (
        seen(udp(out()), error(B, 3, 3)), "refused",
        f"{UDP443} is refused: port unreachable, says {B}",
    ),
    "closed UDP port on this node": (
        seen(udp(out()), error(B, 3, 3), drop("NO_SOCKET", proto=17)), "refused",
        f"{UDP443} is refused: port unreachable, says {B} (dropped on n1 with NO_SOCKET)",
    ),
    "closed UDP port, IPv6's words": (
        seen(udp(out()), error(B, 1, 4, proto=58)), "refused",
        f"{UDP443} is refused: port unreachable, says {B}",
    ),
    "UDP without an answer": (
        seen(udp(out())), "no-answer", f"{UDP443}: 5 packets sent and nothing comes back",
    ),
    "UDP that is dropped": (
        seen(udp(out()), drop("SOCKET_RCVBUFF", proto=17, function=None)), "dropped-here",
        f"{UDP443}: packets from {A} to {B} are dropped on n1 with SOCKET_RCVBUFF (3 packets)",
    ),
    "UDP with answers": (seen(udp(out()), udp(back())), "healthy", f"{UDP443} works"),
    "UDP whose answers are dropped": (
        seen(udp(out()), udp(back()), back_drop(proto=17, packets=5)), "dropped-here",
        f"{UDP443}: packets from {B} to {A} are dropped on n1 with NETFILTER_DROP in "
        "nf_hook_slow+0xb6 (5 packets)",
    ),
    "echo with replies": (
        seen(echo(8, src=A, dst=B), echo(0, src=B, dst=A), port=None), "healthy",
        f"{A} to {B} ICMP echo works",
    ),
    "echo without replies": (
        seen(echo(8, src=A, dst=B), port=None), "no-answer",
        f"{A} to {B} ICMP echo: 3 packets sent and nothing comes back",
    ),
    "echo that a router turns away": (
        seen(echo(8, src=A, dst=B), error(ROUTER, 3, 0), port=None), "refused",
        f"{A} to {B} ICMP echo is refused: network unreachable, says {ROUTER}",
    ),
    "the peer's echo is not ours": (
        seen(echo(8, src=B, dst=A), echo(0, src=A, dst=B), port=None), "nothing-sent",
        f"{A} sent nothing to {B} in 10 s",
    ),
    "reset by the peer in the middle": (
        seen(out(OPEN), back(OPENED | RST)), "reset-after-connect",
        f"{TCP443} was connected, then {B} reset it",
    ),
    "reset by the source in the middle": (
        seen(out(OPEN | RST), back(OPENED)), "reset-after-connect",
        f"{TCP443} was connected, then {A} reset it",
    ),
    "a connection from before, reset": (
        seen(out(ACK | PSH), back(RST, 1)), "reset-after-connect",
        f"{TCP443} was connected, then {B} reset it",
    ),
    "an end by FIN and RST is an end": (
        seen(out(OPEN | FIN), back(OPENED | RST)), "healthy", f"{TCP443} works",
    ),
    "slow by its round-trip time": (
        seen(out(OPEN, handshake_ns=180_000_000), back(OPENED, rtt_ns=123_000_000)),
        "connected-but-slow",
        f"{TCP443} is connected, but slow because of its round-trip time of 180 ms",
    ),
    "slow by retransmits of the source": (
        seen(out(OPEN, 100), back(OPENED, 90), retransmits(3)), "connected-but-slow",
        f"{TCP443} is connected, but slow because of retransmits of {A} (3 of 100 packets)",
    ),
    "slow by retransmits of the peer": (
        seen(out(OPEN, 90), back(OPENED, 50),
             retransmits(3, src=B, src_port=443, dst=A, dst_port=40000)),
        "connected-but-slow",
        f"{TCP443} is connected, but slow because of retransmits of {B} (3 of 50 packets)",
    ),
    "two retransmits may be chance": (
        seen(out(OPEN), back(OPENED), retransmits(2)), "healthy", f"{TCP443} works",
    ),
    "slow by DNS": (
        seen(out(OPEN), back(OPENED), asked(addresses=(B,), latency_ms=312.4)),
        "connected-but-slow",
        f"{TCP443} is connected, but slow because of DNS: {DNS} took 312 ms for {NAME}",
    ),
    "slow answers over UDP": (
        seen(udp(out()), udp(back()), asked(addresses=(B,), latency_ms=312.4)),
        "connected-but-slow",
        f"{UDP443} gets answers, but slow because of DNS: {DNS} took 312 ms for {NAME}",
    ),
    "slow by two causes": (
        seen(out(OPEN), back(OPENED, rtt_ns=250_000_000), retransmits(3)), "connected-but-slow",
        f"{TCP443} is connected, but slow because of its round-trip time of 250 ms and "
        f"retransmits of {A} (3 of 5 packets)",
    ),
    "another name's slow DNS is no cause": (
        seen(out(OPEN), back(OPENED), asked("other", addresses=("1.1.1.1",), latency_ms=900.0)),
        "healthy", f"{TCP443} works",
    ),
    "healthy, with its time": (
        seen(out(OPEN), back(OPENED, rtt_ns=1_500_000), retransmits(0)), "healthy",
        f"{TCP443} works, round-trip time 1.5 ms",
    ),
    "few retransmits and drops are not the cause": (
        seen(out(OPEN, 1000), back(OPENED, 1000), retransmits(29), drop(packets=20)), "healthy",
        f"{TCP443} works, 20 packets dropped on the way",
    ),
    "one of several connections is refused": (
        seen(out(OPEN), back(OPENED), out(SYN, 1, src_port=40001),
             back(RST | ACK, 1, dst_port=40001)),
        "refused", f"{TCP443} is refused: RST from {B}; 1 of 2 such connections",
    ),
    "the worst of several ports": (
        seen(out(OPEN), back(OPENED), udp(out(dst_port=4000)), port=None), "no-answer",
        f"{A} to {B} UDP port 4000: 5 packets sent and nothing comes back",
    ),
    "a SYN that is just on its way is no sign": (
        seen(out(OPEN), back(OPENED), out(SYN, 1, src_port=40001)), "healthy", f"{TCP443} works",
    ),
    "two nodes that see the same packets": (
        seen(out(SYN, 4), out(SYN, 4, node="n2")), "no-answer",
        f"{TCP443}: 4 SYNs sent and nothing comes back",
    ),
    "a name that does not exist": (
        seen(asked(rcode="NXDomain"), name=NAME, addresses=()), "name-resolution-failed",
        f"{A} asks {DNS} for {NAME} A: NXDomain",
    ),
    "a server that fails": (
        seen(asked(rcode="NXDomain", name=f"{NAME}.local"), asked(rcode="ServFail"), name=NAME,
             addresses=()),
        "name-resolution-failed", f"{A} asks {DNS} for {NAME} A: ServFail",
    ),
    "search domains alone were tried": (
        seen(asked(rcode="NXDomain", name=f"{NAME}.local"), name=NAME, addresses=()),
        "name-resolution-failed", f"{A} asks {DNS} for {NAME}.local A: NXDomain",
    ),
    "a name without an address": (
        seen(asked(), asked(type="AAAA"), name=NAME, addresses=()), "name-resolution-failed",
        f"{A} asks {DNS} for {NAME} AAAA: NoError, but no address",
    ),
    "a name that nobody answers": (
        seen(asked(rcode=None, latency_ms=None, retries=2), DNS_OUT, name=NAME, addresses=()),
        "name-resolution-failed", f"{A} asks {DNS} for {NAME} A: no answer, asked 3 times",
    ),
    "a question that is still open": (
        seen(DNS_OUT, name=NAME, addresses=()), "name-resolution-failed",
        f"{A} gets no answer from DNS server {DNS}",
    ),
    "a question that is dropped here": (
        seen(DNS_OUT, drop(src_port=5000, dst=DNS, dst_port=53, proto=17), name=NAME,
             addresses=()),
        "name-resolution-failed",
        f"{A} gets no answer from DNS server {DNS} (dropped on n1 with NETFILTER_DROP)",
    ),
    "a question just on its way to a server that answers others": (
        seen(DNS_OUT, DNS_BACK, udp(out(src_port=5001, dst=DNS, dst_port=53, packets=1)), name=NAME,
             addresses=()),
        "nothing-sent",
        f"{A} asked for no address of {NAME} and sent nothing to {NAME} port 443 in 10 s; its "
        f"question to DNS server {DNS} is not answered yet",
    ),
    "a question asked again and again of a server that answers others": (
        seen(DNS_OUT, DNS_BACK, udp(out(src_port=5001, dst=DNS, dst_port=53, packets=4)), name=NAME,
             addresses=()),
        "name-resolution-failed", f"{A} gets no answer from DNS server {DNS}",
    ),
    "an address of one kind is enough": (
        seen(asked(addresses=(B,)), asked(type="AAAA", rcode="ServFail"), out(OPEN), back(OPENED),
             name=NAME),
        "healthy", f"{A} to {NAME} ({B}) TCP port 443 works",
    ),
    "other records of the name do not count": (
        seen(asked(type="HTTPS"), asked(addresses=(B,)), out(SYN, 2), name=NAME), "no-answer",
        f"{A} to {NAME} ({B}) TCP port 443: 2 SYNs sent and nothing comes back",
    ),
    "a name that is known and not used": (
        seen(asked(addresses=(B,)), name=NAME), "nothing-sent",
        f"{A} knows {NAME} and sent nothing to {NAME} port 443 ({B}) in 10 s",
    ),
    "a name that nobody asks for": (
        seen(name=NAME, addresses=(), port=None), "nothing-sent",
        f"{A} asked for no address of {NAME} and sent nothing to {NAME} in 10 s",
    ),
    "a name from before": (
        seen(out(OPEN), back(OPENED), name=NAME), "healthy",
        f"{A} to {NAME} ({B}) TCP port 443 works",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_was_seen_comes_to_one_verdict(case: str) -> None:
    evidence, slug, summary = CASES[case]
    verdict = decide(evidence)
    assert (verdict.slug, verdict.summary) == (slug, summary)


def test_every_verdict_has_a_case() -> None:
    assert {slug for _, slug, _ in CASES.values()} == set(SLUGS)

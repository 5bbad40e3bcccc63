"""The session's state as the messages that agents understand.

Invariant: a pure translation; a paused session asks for no capture at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.proto import agentlink_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nshell.collector.session import Generation, NumberedRule
    from nshell.filters import Prefix, Range

_DIRECTIONS = (pb.INGRESS, pb.EGRESS)


def desired_state(generation: Generation) -> pb.DesiredState:
    """What every agent is to converge to."""
    settings = generation.settings
    return pb.DesiredState(
        generation=generation.number,
        rules=[_rule(each) for each in generation.rules],
        flows=settings.flows and not settings.paused,
        packets=settings.packets and not settings.paused,
        snaplen=settings.snaplen,
        sampling=settings.sampling,
        features=() if settings.paused else settings.features,
        dns_ports=settings.dns_ports,
    )


def _rule(numbered: NumberedRule) -> pb.Rule:
    rule = numbered.rule
    return pb.Rule(
        id=numbered.id,
        reject=rule.reject,
        flows=rule.flows,
        packets=rule.packets,
        src=_prefixes(rule.src),
        dst=_prefixes(rule.dst),
        either=_prefixes(rule.either),
        peer=_prefixes(rule.peer),
        sport=_ranges(rule.sport),
        dport=_ranges(rule.dport),
        port=_ranges(rule.port),
        protocol=_ranges(rule.protocol),
        icmp_type=_ranges(rule.icmp_type),
        icmp_code=_ranges(rule.icmp_code),
        tcp_flags=[pb.FlagMatch(mask=each.mask, value=each.value) for each in rule.tcp_flags],
        direction=[_DIRECTIONS[each] for each in rule.direction],
        interface=rule.interface,
    )


def _prefixes(prefixes: Iterable[Prefix]) -> list[pb.Prefix]:
    return [pb.Prefix(address=each.address, length=each.length) for each in prefixes]


def _ranges(ranges: Iterable[Range]) -> list[pb.Range]:
    return [pb.Range(first=each.first, last=each.last) for each in ranges]

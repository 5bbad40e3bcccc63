"""From the words after ``filter`` to a rule with its canonical text.

Parsing the text of a rule gives that same rule again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from nshell.filters import selectorvalues, values
from nshell.filters.addresses import Network, parse_host, parse_network
from nshell.filters.contradictions import check, families
from nshell.filters.predicates import PREDICATES
from nshell.filters.rule import Prefix, Rule
from nshell.filters.selectors import Selectors
from nshell.filters.words import Clauses, read_clauses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_T = TypeVar("_T")


def parse_rule(words: Sequence[str]) -> Rule:
    """The rule that these words stand for; FilterError says what is wrong with them."""
    clauses = read_clauses(words)
    networks = _networks(clauses)
    rule = Rule(
        reject=clauses.reject,
        flows=clauses.flows,
        packets=clauses.packets,
        src=_prefixes(networks["src_cidr"]),
        dst=_prefixes(networks["dst_cidr"]),
        either=_prefixes(networks["cidr"]),
        peer=_prefixes(networks["peer_ip"] + networks["peer_cidr"]),
        sport=_each(values.parse_port, clauses.of("sport")),
        dport=_each(values.parse_port, clauses.of("dport")),
        port=_each(values.parse_port, clauses.of("port")),
        protocol=_each(values.parse_protocol, clauses.of("protocol")),
        icmp_code=_each(values.parse_icmp_code, clauses.of("icmp_code")),
        tcp_flags=_each(values.parse_tcp_flags, clauses.of("tcp_flags")),
        direction=_each(values.parse_direction, clauses.of("direction")),
        interface=_each(values.parse_interface, clauses.of("interface")),
        selectors=_selectors(clauses),
        name=clauses.name,
    )
    known = families(rule)
    types = _each(lambda word: values.parse_icmp_type(word, known), clauses.of("icmp_type"))
    rule = replace(rule, icmp_type=types)
    check(rule)
    return replace(rule, text=_text(rule, networks))


def _networks(clauses: Clauses) -> dict[str, tuple[Network, ...]]:
    """By predicate; single addresses of ``peer_cidr`` stand under ``peer_ip``."""
    found = {
        name: _unique(parse_network(word) for word in clauses.of(name))
        for name in ("cidr", "src_cidr", "dst_cidr")
    }
    peers = _unique(
        (
            *(parse_host(word) for word in clauses.of("peer_ip")),
            *(parse_network(word) for word in clauses.of("peer_cidr")),
        )
    )
    found["peer_ip"] = tuple(peer for peer in peers if peer.is_host)
    found["peer_cidr"] = tuple(peer for peer in peers if not peer.is_host)
    return found


def _selectors(clauses: Clauses) -> Selectors:
    return Selectors(
        pod=_each(selectorvalues.parse_pod, clauses.of("pod")),
        namespace=_each(selectorvalues.parse_namespace, clauses.of("namespace")),
        service=_each(selectorvalues.parse_service, clauses.of("service")),
        owner=_each(selectorvalues.parse_owner, clauses.of("owner")),
        label=_each(selectorvalues.parse_label, clauses.of("label")),
        node=_each(selectorvalues.parse_node, clauses.of("node")),
    )


def _prefixes(networks: Iterable[Network]) -> tuple[Prefix, ...]:
    return _unique(prefix for network in networks for prefix in network.prefixes)


def _each(parse: Callable[[str], Iterable[_T]], words: Iterable[str]) -> tuple[_T, ...]:
    return _unique(value for word in words for value in parse(word))


def _unique(found: Iterable[_T]) -> tuple[_T, ...]:
    """Without repetitions, in order."""
    return tuple(dict.fromkeys(found))


def _text(rule: Rule, networks: dict[str, tuple[Network, ...]]) -> str:
    ports, flags = values.spell_range, values.spell_flag_match
    spelled: dict[str, Iterable[str]] = {
        name: (network.text for network in found) for name, found in networks.items()
    }
    spelled |= {
        "pod": map(selectorvalues.spell_named, rule.selectors.pod),
        "namespace": rule.selectors.namespace,
        "service": map(selectorvalues.spell_named, rule.selectors.service),
        "owner": map(selectorvalues.spell_owner, rule.selectors.owner),
        "label": map(selectorvalues.spell_label, rule.selectors.label),
        "node": rule.selectors.node,
        "port": map(ports, rule.port),
        "sport": map(ports, rule.sport),
        "dport": map(ports, rule.dport),
        "protocol": map(values.spell_protocol, rule.protocol),
        "icmp_type": map(values.spell_range, rule.icmp_type),
        "icmp_code": map(values.spell_range, rule.icmp_code),
        "tcp_flags": map(flags, rule.tcp_flags),
        "direction": map(values.spell_direction, rule.direction),
        "interface": map(_quoted, rule.interface),
    }
    words = ["reject"] if rule.reject else []
    for name in PREDICATES:
        listed = ",".join(spelled[name])
        words += [name, listed] if listed else []
    if rule.flows != rule.packets:
        words += ["for", "flows" if rule.flows else "packets"]
    if rule.name:
        words += ["as", rule.name]
    return " ".join(words)


def _quoted(name: str) -> str:
    """So that a shell-like split gives the name back."""
    special = set(name) & set("'\"\\")
    return "'" + name.replace("'", "'\"'\"'") + "'" if special else name

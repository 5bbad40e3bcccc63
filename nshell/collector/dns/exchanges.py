"""DNS events to rows of the dns table, and what flow rows say of DNS.

Invariant: lives in the writer's thread; a row is made when its exchange ends,
of what was seen by then, and each message is read once.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent import wire
from nshell.collector.decode.events import interface_names
from nshell.collector.decode.rows import MS_DIGITS, NS_PER_MS, Rows, filter_ids_of
from nshell.collector.decode.texts import byte_keys
from nshell.collector.dns.codes import rcode_name, type_name
from nshell.collector.dns.message import (
    CUT_SHORT,
    HEADER_BYTES,
    NO_HEADER,
    RESPONSE,
    parse_message,
)
from nshell.collector.dns.queries import DnsMessage, WaitingQueries
from nshell.collector.dns.recent import Recent
from nshell.collector.schema import DNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from nshell.collector.decode.events import Events
    from nshell.collector.decode.rows import Cell, GenerationKey, NodeContext
    from nshell.collector.decode.texts import Texts
    from nshell.collector.dns.message import Message
    from nshell.collector.dns.names import DnsNames
    from nshell.collector.dns.queries import Exchange

TICK_SECONDS = 0.5
"""How often to look for queries that nobody answers."""
CHANGED = "filters or features changed while it waited"
_RESPONSES_KEPT = 1 << 15
_NAMES = tuple(name for name in DNS.names if "K8S_" not in name)
_KEY_AT = wire.EVENT_HEAD.offset("src")
_FLOW_KEY = slice(_KEY_AT, _KEY_AT + wire.FLOW_KEY.size)
"""Of an event's head, which has the members of a flow_key in a row."""
_ENDS = np.dtype(
    [
        ("client", "u1", (16,)),
        ("server", "u1", (16,)),
        ("client_port", ">u2"),
        ("server_port", ">u2"),
        ("proto", "u1"),
    ]
)
_UNPACK_ENDS = struct.Struct(">16s16sHHB").unpack


@dataclass(frozen=True, slots=True)
class Answered:
    """What a response said, for the flow that it belongs to."""

    name: str | None
    rcode: str


class DnsExchanges:
    """Takes events of all nodes and keeps what waits."""

    def __init__(
        self, texts: Texts, names: DnsNames, *, generations: dict[int, GenerationKey]
    ) -> None:
        self._texts = texts
        self._names = names
        self._generations = generations
        self._waiting = WaitingQueries()
        self._tick_due: float | None = None
        self._responses: Recent[tuple[str, bytes, int], Answered] = Recent(limit=_RESPONSES_KEPT)

    def take(
        self, events: Events, context: NodeContext, *, offset_ns: int, now: float
    ) -> list[Rows]:
        """Rows of the exchanges that end with these events; now is monotonic."""
        if not len(events.dns):
            return []
        messages = _messages(
            events, context, offset_ns=offset_ns, generations=self._generations, now=now
        )
        octets = events.dns.view(np.uint8).reshape(len(messages), -1)
        ended = []
        for message, flow_key in zip(messages, byte_keys(octets[:, _FLOW_KEY]), strict=True):
            for exchange in self._waiting.take(message):
                row, answered = self._row(exchange)
                ended.append(row)
                if answered is not None:
                    self._responses.put((context.node, flow_key, message.key[2]), answered)
        return _rows(ended)

    def answered(self, node: str, flow_key: bytes, dns_id: int) -> Answered | None:
        """What the newest response of a flow with this id said."""
        return self._responses.get((node, flow_key, dns_id))

    def seconds_until_due(self, now: float) -> float | None:
        """Until the next tick; None while nothing waits."""
        if not len(self._waiting):
            self._tick_due = None
            return None
        if self._tick_due is None:
            self._tick_due = now + TICK_SECONDS
        return max(0.0, self._tick_due - now)

    def tick(self, now: float) -> list[Rows]:
        """Rows of queries that have waited for too long."""
        self._tick_due = None
        return _rows(self._row(each)[0] for each in self._waiting.expire(now))

    def end(self) -> list[Rows]:
        """Rows of what still waits; nothing more will come."""
        return _rows(self._row(each)[0] for each in self._waiting.end())

    def _row(self, exchange: Exchange) -> tuple[tuple[Cell, ...], Answered | None]:
        """In the order of the table; and what it says of the response's flow."""
        query, response = exchange.query, exchange.response
        first, last = query or response, response or query
        assert first is not None
        assert last is not None
        message = parse_message(last.data)
        asked = message
        if not asked.questions and query is not None:
            asked = parse_message(query.data)
        name = ", ".join(each.name for each in asked.questions) or None
        whole = len(last.data) >= HEADER_BYTES
        rcode = rcode_name(message.rcode if whole else last.flags & 0xF)
        addresses = self._addresses(exchange, message, name)
        node, ends, dns_id = last.key
        client, server, client_port, server_port, proto = _UNPACK_ENDS(ends)
        row = (
            query.time_ns if query else last.query_ns or last.time_ns,
            node,
            first.interface,
            self._texts.addresses[client],
            client_port,
            self._texts.addresses[server],
            server_port,
            proto,
            dns_id,
            name,
            ", ".join(type_name(each.type) for each in asked.questions) or None,
            asked.question_count if whole else None,
            rcode if response else None,
            _latency_ms(query, response),
            message.answer_count if response and whole else None,
            json.dumps(addresses) if addresses else None,
            max(first.retries, last.retries),
            exchange.status,
            last.length,
            self._problem(exchange, message),
            first.generation,
            first.filter_id,
        )
        return row, Answered(name, rcode) if response else None

    def _addresses(self, exchange: Exchange, message: Message, name: str | None) -> list[str]:
        """Of a response; they are noted under the name, if anybody asked for it."""
        response = exchange.response
        if response is None:
            return []
        addresses = self._texts.addresses.texts(list(message.addresses))
        if name is not None and len(message.questions) <= 1 and exchange.status != "unasked":
            for address in addresses:
                self._names.add(address, name, response.time_ns // NS_PER_MS)
        return addresses

    def _problem(self, exchange: Exchange, message: Message) -> str | None:
        """What is wrong with the message read last, or why a response may not have been seen."""
        query, response = exchange.query, exchange.response
        last = response or query
        problems = [exchange.problem, message.problem]
        if last and len(last.data) < last.length and message.problem in (CUT_SHORT, NO_HEADER):
            problems[1] = f"{len(last.data)} of its {last.length} bytes were seen"
        if response is None and query is not None:
            generation = self._generations.get(query.generation)
            if generation is not None and generation.sampling > 1:
                problems.append(f"1 of {generation.sampling} packets was looked at")
            # They are told in the order of their numbers.
            if query.generation < next(reversed(self._generations), 0):
                problems.append(CHANGED)
        return "; ".join(filter(None, problems)) or None


def _messages(
    events: Events,
    context: NodeContext,
    *,
    offset_ns: int,
    generations: Mapping[int, GenerationKey],
    now: float,
) -> list[DnsMessage]:
    heads = events.dns
    times = heads["time_ns"].astype(np.int64)
    # The newest event has just come, the others are older by the kernel's clock.
    ages = (events.newest_ns - times) / 1e9
    columns = (
        _ends(heads),
        heads["id"].tolist(),
        (times + offset_ns).tolist(),
        np.where(heads["query_ns"], heads["query_ns"].astype(np.int64) + offset_ns, 0).tolist(),
        heads["latency_ns"].tolist(),
        heads["retries"].tolist(),
        heads["flags2"].tolist(),
        heads["message_len"].tolist(),
        events.messages,
        interface_names(heads, context),
        heads["generation"].tolist(),
        filter_ids_of(heads, generations),
        (now - ages).tolist(),
    )
    return [
        DnsMessage((context.node, ends, dns_id), *others)
        for ends, dns_id, *others in zip(*columns, strict=True)
    ]


def _ends(heads: NDArray[Any]) -> list[bytes]:
    """Client and server of each message, the same for a query and its response."""
    made = np.zeros(len(heads), _ENDS)
    back = (heads["flags2"] & RESPONSE) != 0
    for client, server, source, target in (
        ("client", "server", "src", "dst"),
        ("client_port", "server_port", "sport", "dport"),
    ):
        swapped = back[:, None] if heads[source].ndim > 1 else back
        made[client] = np.where(swapped, heads[target], heads[source])
        made[server] = np.where(swapped, heads[source], heads[target])
    made["proto"] = heads["proto"]
    keys: list[bytes] = made.view(f"V{_ENDS.itemsize}").tolist()
    return keys


def _latency_ms(query: DnsMessage | None, response: DnsMessage | None) -> float | None:
    if response is None or not (response.latency_ns or query):
        return None
    latency_ns = response.latency_ns
    if not latency_ns and query is not None:
        latency_ns = response.time_ns - query.time_ns
    return round(latency_ns / NS_PER_MS, MS_DIGITS)


def _rows(made: Iterable[tuple[Cell, ...]]) -> list[Rows]:
    """Rows by node, as the account of losses needs them."""
    node = _NAMES.index("Node")
    by_node: dict[Cell, list[tuple[Cell, ...]]] = {}
    for row in made:
        by_node.setdefault(row[node], []).append(row)
    return [
        Rows(DNS.name, len(rows), dict(zip(_NAMES, zip(*rows, strict=True), strict=True)), {})
        for rows in by_node.values()
    ]

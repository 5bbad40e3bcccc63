"""The queries that come with the program.

Invariant: each runs on any capture, with or without a cluster; what several
nodes saw of the same traffic counts once.
"""

from __future__ import annotations

import textwrap

# Flags & 258 = 2: a SYN and no SYN+ACK (256), so the row of who opens a connection.


def _who(end: str) -> str:
    """Who an end is: namespace/name, else the address."""
    name = f"coalesce({end}K8S_Namespace || '/', '') || {end}K8S_Name"
    return f"coalesce({name}, {end}Addr)"


_PRIVATE = (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8",
    "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "fc00::/7", "fe80::/10",
    "ff00::/8", "::1/128",
)  # fmt: skip
_FILLED = {
    **{f"{{{end}}}": _who(end) for end in ("Src", "Dst", "Client", "Server")},
    "{not_private}": "\n        ".join(
        f"AND NOT in_cidr(DstAddr, '{network}')" for network in _PRIVATE
    ),
    "{clear_text}": "21, 23, 25, 80, 110, 143, 389, 1883, 2049, 5672, 6379, 8080, 9200, 11211",
}

_TEXTS = {
    "top_talkers": """
        -- addresses with the most bytes, and who they are
        -- :rows = 20
        SELECT Address, coalesce(Name, Names) AS Name, Bytes, BytesSent, BytesReceived, Peers
        FROM top_talkers LIMIT :rows
    """,
    "conversations": """
        -- pairs of ends with the most bytes, both ways
        -- :rows = 20
        SELECT coalesce(ClientName, ClientAddr) AS Client,
            coalesce(ServerName, ServerAddr) AS Server,
            ServerPort, proto_name(Proto) AS Proto, count(*) AS Conversations,
            sum(BytesOut) AS BytesOut, sum(BytesIn) AS BytesIn
        FROM conversation GROUP BY 1, 2, 3, 4
        ORDER BY sum(BytesOut) + sum(BytesIn) DESC LIMIT :rows
    """,
    "busiest_ports": """
        -- ports of servers with the most bytes
        -- :rows = 20
        SELECT ServerPort, proto_name(Proto) AS Proto, port_name(ServerPort, Proto) AS Service,
            sum(BytesOut + BytesIn) AS Bytes, count(*) AS Conversations,
            count(DISTINCT ClientAddr) AS Clients, count(DISTINCT ServerAddr) AS Servers
        FROM conversation WHERE ServerPort IS NOT NULL GROUP BY 1, 2
        ORDER BY Bytes DESC LIMIT :rows
    """,
    "new_connections": """
        -- TCP connections of the last seconds, newest first
        -- :seconds = 60
        SELECT min(TimeFlowStartMs) AS TimeStartMs, {Src} AS Client,
            {Dst} AS Server, DstPort, port_name(DstPort, 6) AS Service
        FROM flow
        WHERE TimeFlowEndMs > (SELECT max(TimeFlowEndMs) FROM flow) - 1000 * :seconds
            AND Proto = 6 AND Flags & 258 = 2
        GROUP BY SrcAddr, SrcPort, DstAddr, DstPort
        ORDER BY TimeStartMs DESC LIMIT 100
    """,
    "unanswered_syns": """
        -- TCP connections that nobody answered or refused
        SELECT {Src} AS Client, {Dst} AS Server, DstPort,
            count(DISTINCT SrcPort) AS Attempts, max(TimeFlowEndMs) AS TimeLastMs
        FROM flow
        WHERE Proto = 6 AND Flags & 258 = 2 AND (DstAddr, DstPort, SrcAddr, SrcPort) NOT IN (
            SELECT SrcAddr, SrcPort, DstAddr, DstPort FROM flow
            WHERE Proto = 6 AND SrcPort IS NOT NULL AND DstPort IS NOT NULL
        )
        GROUP BY SrcAddr, DstAddr, DstPort ORDER BY Attempts DESC LIMIT 100
    """,
    "resets": """
        -- who resets or refuses whose TCP connections
        SELECT {Src} AS Sender, {Dst} AS Other,
            min(SrcPort, DstPort) AS Port, count(DISTINCT max(SrcPort, DstPort)) AS Connections,
            max(TimeFlowEndMs) AS TimeLastMs
        FROM flow WHERE Proto = 6 AND Flags & 1028
        GROUP BY SrcAddr, DstAddr, Port ORDER BY Connections DESC LIMIT 100
    """,
    "scans": """
        -- who tries many ports and addresses over TCP
        -- :targets = 30
        SELECT {Src} AS Client, count(DISTINCT DstAddr) AS Addresses,
            count(DISTINCT DstPort) AS Ports,
            count(DISTINCT DstAddr || ' ' || DstPort) AS Targets,
            min(TimeFlowStartMs) AS TimeFirstMs, max(TimeFlowEndMs) AS TimeLastMs
        FROM flow WHERE Proto = 6 AND Flags & 258 = 2
        GROUP BY SrcAddr HAVING Targets >= :targets ORDER BY Targets DESC LIMIT 100
    """,
    "clear_text": """
        -- traffic on ports that are usually not encrypted
        SELECT ServerPort, port_name(ServerPort, Proto) AS Service,
            coalesce(ClientName, ClientAddr) AS Client, coalesce(ServerName, ServerAddr) AS Server,
            sum(BytesOut + BytesIn) AS Bytes, max(TimeEndMs) AS TimeLastMs
        FROM conversation
        WHERE Proto = 6 AND ServerPort IN ({clear_text})
        GROUP BY ServerPort, Client, Server ORDER BY Bytes DESC LIMIT 100
    """,
    "icmp_errors": """
        -- ICMP: unreachable, too big, too many hops
        SELECT {Src} AS Sender, {Dst} AS Receiver,
            CASE WHEN Proto = 1 THEN 'ICMP' ELSE 'ICMPv6' END AS Proto, IcmpType, IcmpCode,
            CASE
                WHEN Proto = 58 AND IcmpType = 2 OR Proto = 1 AND IcmpType = 3 AND IcmpCode = 4
                    THEN 'too big'
                WHEN Proto = 1 AND IcmpType = 11 OR Proto = 58 AND IcmpType = 3
                    THEN 'time exceeded'
                ELSE 'unreachable'
            END AS Meaning,
            sum(Packets) AS Packets, max(TimeFlowEndMs) AS TimeLastMs
        FROM flow
        WHERE Proto = 1 AND IcmpType IN (3, 11) OR Proto = 58 AND IcmpType IN (1, 2, 3)
        GROUP BY SrcAddr, DstAddr, Proto, IcmpType, IcmpCode ORDER BY Packets DESC LIMIT 100
    """,
    "slow_rtt": """
        -- TCP conversations with the longest round trips
        -- needs `enable rtt`
        -- :rows = 20
        SELECT coalesce(ClientName, ClientAddr) AS Client,
            coalesce(ServerName, ServerAddr) AS Server,
            ServerPort, max(RttMs) AS RttMs, max(HandshakeRttMs) AS HandshakeRttMs,
            count(*) AS Conversations
        FROM conversation WHERE Proto = 6 AND coalesce(RttMs, HandshakeRttMs) IS NOT NULL
        GROUP BY 1, 2, 3 ORDER BY coalesce(max(RttMs), 0) DESC, HandshakeRttMs DESC LIMIT :rows
    """,
    "slow_dns": """
        -- DNS answers that took this many ms or longer
        -- needs `enable dns`
        -- :ms = 100
        SELECT TimeNs, {Client} AS Client, {Server} AS Server,
            Name, Type, Rcode, LatencyMs, Retries
        FROM dns WHERE LatencyMs >= :ms ORDER BY LatencyMs DESC LIMIT 100
    """,
    "failed_dns": """
        -- DNS names not resolved, queries not answered
        -- needs `enable dns`
        SELECT Name, Type, coalesce(Rcode, Status) AS Outcome, {Server} AS Server,
            count(*) AS Queries, count(DISTINCT ClientAddr) AS Clients, max(TimeNs) AS TimeLastNs
        FROM dns WHERE Rcode <> 'NoError' OR Status = 'unanswered'
        GROUP BY Name, Type, Outcome, ServerAddr ORDER BY Queries DESC LIMIT 100
    """,
    "dns_names": """
        -- DNS names asked for most often
        -- needs `enable dns`
        -- :rows = 20
        SELECT Name, count(*) AS Queries, count(DISTINCT ClientAddr) AS Clients,
            group_concat(DISTINCT Type) AS Types, sum(Rcode <> 'NoError') AS Errors,
            round(avg(LatencyMs), 3) AS MeanLatencyMs
        FROM dns WHERE Status <> 'late' GROUP BY Name ORDER BY Queries DESC LIMIT :rows
    """,
    "drops_by_cause": """
        -- packets that kernels dropped, by cause
        -- needs `enable drops`
        SELECT Reason, CASE Loss WHEN 1 THEN 'loss' ELSE 'housekeeping' END AS Kind,
            proto_name(Proto) AS Proto, sum(Drops) AS Drops, sum(Bytes) AS Bytes,
            count(DISTINCT Node) AS Nodes, max(TimeLastNs) AS TimeLastNs
        FROM drop_summary GROUP BY Reason, Loss, Proto ORDER BY Loss DESC, Drops DESC LIMIT 100
    """,
    "drops_by_pod": """
        -- whose packets kernels dropped, and why
        -- needs `enable drops`
        SELECT {Src} AS Sender, {Dst} AS Receiver, DstPort, Reason,
            count(*) AS Drops, max(TimeNs) AS TimeLastNs
        FROM packet_drop WHERE Loss
        GROUP BY 1, 2, 3, 4 ORDER BY Drops DESC LIMIT 100
    """,
    "retransmits_by_pod": """
        -- who sends TCP segments again, and to whom
        -- needs `enable tcp`
        SELECT {Src} AS Sender, {Dst} AS Receiver,
            sum(Segments) AS Segments, count(DISTINCT SrcPort || ' ' || DstPort) AS Connections,
            max(TimeNs) AS TimeLastNs
        FROM tcp_event WHERE Event = 'retransmit'
        GROUP BY 1, 2 ORDER BY Segments DESC LIMIT 100
    """,
    "namespaces": """
        -- bytes from namespace to namespace; NULL: outside
        WITH at_node AS (
            SELECT SrcK8S_Namespace AS Source, DstK8S_Namespace AS Destination, SrcAddr, DstAddr,
                sum(Bytes) AS Bytes, sum(Packets) AS Packets
            FROM flow WHERE SrcAddr IS NOT NULL
            GROUP BY Source, Destination, SrcAddr, DstAddr, Node
        ), pair AS (
            SELECT Source, Destination, max(Bytes) AS Bytes, max(Packets) AS Packets
            FROM at_node GROUP BY Source, Destination, SrcAddr, DstAddr
        )
        SELECT Source, Destination, sum(Bytes) AS Bytes, sum(Packets) AS Packets
        FROM pair GROUP BY Source, Destination ORDER BY sum(Bytes) DESC LIMIT 100
    """,
    "cross_node": """
        -- traffic from one node of the cluster to another
        WITH at_node AS (
            SELECT {Src} AS Sender, SrcK8S_HostName AS FromNode,
                {Dst} AS Receiver, DstK8S_HostName AS ToNode, sum(Bytes) AS Bytes
            FROM flow WHERE SrcK8S_HostName <> DstK8S_HostName
            GROUP BY Sender, FromNode, Receiver, ToNode, Node
        )
        SELECT Sender, FromNode, Receiver, ToNode, max(Bytes) AS Bytes
        FROM at_node GROUP BY Sender, FromNode, Receiver, ToNode ORDER BY max(Bytes) DESC LIMIT 100
    """,
    "cross_zone": """
        -- traffic between zones, by who owns the pods
        WITH at_node AS (
            SELECT SrcK8S_OwnerName AS Sender, SrcK8S_Zone AS FromZone,
                DstK8S_OwnerName AS Receiver, DstK8S_Zone AS ToZone, SrcAddr, DstAddr,
                sum(Bytes) AS Bytes
            FROM flow WHERE SrcK8S_Zone <> DstK8S_Zone
            GROUP BY Sender, FromZone, Receiver, ToZone, SrcAddr, DstAddr, Node
        ), pair AS (
            SELECT Sender, FromZone, Receiver, ToZone, max(Bytes) AS Bytes
            FROM at_node GROUP BY Sender, FromZone, Receiver, ToZone, SrcAddr, DstAddr
        )
        SELECT Sender, FromZone, Receiver, ToZone, sum(Bytes) AS Bytes
        FROM pair GROUP BY Sender, FromZone, Receiver, ToZone ORDER BY sum(Bytes) DESC LIMIT 100
    """,
    "to_outside": """
        -- what is sent to public addresses, and by whom
        WITH at_node AS (
            SELECT {Src} AS Sender, DstAddr, DstPort, sum(Bytes) AS Bytes,
                max(TimeFlowEndMs) AS EndMs
            FROM flow WHERE DstAddr IS NOT NULL AND DstK8S_Name IS NULL
                {not_private}
            GROUP BY Sender, DstAddr, DstPort, Node
        )
        SELECT Sender, DstAddr,
            (SELECT group_concat(Name, ', ') FROM dns_name WHERE Address = DstAddr) AS Names,
            DstPort, max(Bytes) AS Bytes, max(EndMs) AS TimeLastMs
        FROM at_node GROUP BY Sender, DstAddr, DstPort ORDER BY max(Bytes) DESC LIMIT 100
    """,
    "by_filter": """
        -- what each filter has captured, and what none decided
        SELECT FilterId, filter_name(FilterId) AS Name,
            (SELECT Filter FROM filter_log WHERE filter_log.FilterId = flow.FilterId
                ORDER BY Generation DESC LIMIT 1) AS Filter,
            count(*) AS Flows, sum(Packets) AS Packets, sum(Bytes) AS Bytes,
            min(TimeFlowStartMs) AS TimeFirstMs, max(TimeFlowEndMs) AS TimeLastMs
        FROM flow GROUP BY FilterId ORDER BY FilterId LIMIT 100
    """,
    "lost": """
        -- what the capture itself lost, where and when
        SELECT Node, Stage, sum(Count) AS Count, sum(Bytes) AS Bytes,
            min(TimeFromMs) AS TimeFirstMs, max(TimeToMs) AS TimeLastMs
        FROM loss GROUP BY Node, Stage ORDER BY Count DESC LIMIT 100
    """,
}


def _filled(text: str) -> str:
    text = textwrap.dedent(text).strip()
    for place, sql in _FILLED.items():
        text = text.replace(place, sql)
    return text


BUILT_IN = {name: _filled(text) for name, text in _TEXTS.items()}

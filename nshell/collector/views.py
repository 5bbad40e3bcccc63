"""The views of a capture: questions that come up again and again, as SQL.

Invariant: they use nothing but SQLite's own functions, so that an exported
database answers too; what several nodes saw of the same traffic counts once.
"""

from __future__ import annotations

from nshell.collector.relations import View, columns

# An end has the higher port, or at equal ports the higher address: `Up` is set
# on rows that it sends. 2 is SYN, 256 SYN+ACK: a SYN that the node dropped
# itself passed no interface, so it stands in the drop's flags alone.
_CONVERSATION = """
WITH seen AS (
    SELECT Node, SrcAddr, SrcPort, DstAddr, DstPort, Proto, Bytes, Packets,
        coalesce(SrcPort, 0) > coalesce(DstPort, 0)
            OR (SrcPort IS DstPort AND SrcAddr > DstAddr) AS Up,
        (coalesce(Flags, 0) | coalesce(PktDropLatestFlags, 0)) & 258 AS Opening,
        TimeFlowRttNs, TimeHandshakeRttNs, TcpRetransmits, PktDropPackets,
        PktDropLatestDropCause, TimeFlowStartMs, TimeFlowEndMs,
        coalesce(SrcK8S_Namespace || '/', '') || SrcK8S_Name AS SrcName,
        coalesce(DstK8S_Namespace || '/', '') || DstK8S_Name AS DstName
    FROM flow WHERE SrcAddr IS NOT NULL
), at_node AS (
    SELECT
        CASE WHEN Up THEN SrcAddr ELSE DstAddr END AS HighAddr,
        CASE WHEN Up THEN SrcPort ELSE DstPort END AS HighPort,
        CASE WHEN Up THEN DstAddr ELSE SrcAddr END AS LowAddr,
        CASE WHEN Up THEN DstPort ELSE SrcPort END AS LowPort,
        Proto,
        sum(Bytes * Up) AS HighBytes, sum(Bytes * (1 - Up)) AS LowBytes,
        sum(Packets * Up) AS HighPackets, sum(Packets * (1 - Up)) AS LowPackets,
        max(Opening * Up) AS HighOpening, max(Opening * (1 - Up)) AS LowOpening,
        max(TimeFlowRttNs) AS RttNs, max(TimeHandshakeRttNs) AS HandshakeNs,
        sum(TcpRetransmits) AS Retransmits, sum(PktDropPackets) AS Drops,
        group_concat(DISTINCT PktDropLatestDropCause) AS DropCauses,
        min(TimeFlowStartMs) AS StartMs, max(TimeFlowEndMs) AS EndMs,
        max(CASE WHEN Up THEN SrcName ELSE DstName END) AS HighName,
        max(CASE WHEN Up THEN DstName ELSE SrcName END) AS LowName
    FROM seen GROUP BY HighAddr, HighPort, LowAddr, LowPort, Proto, Node
), pair AS (
    SELECT HighAddr, HighPort, LowAddr, LowPort, Proto,
        max(HighBytes) AS HighBytes, max(LowBytes) AS LowBytes,
        max(HighPackets) AS HighPackets, max(LowPackets) AS LowPackets,
        CASE
            WHEN max(HighOpening) & 256 <> max(LowOpening) & 256 THEN max(HighOpening) & 256
            WHEN max(HighOpening) & 2 <> max(LowOpening) & 2 THEN max(LowOpening) & 2
        END > 0 AS Swapped,
        max(RttNs) AS RttNs, max(HandshakeNs) AS HandshakeNs,
        max(Retransmits) AS Retransmits, sum(Drops) AS Drops,
        group_concat(DropCauses) AS DropCauses,
        min(StartMs) AS StartMs, max(EndMs) AS EndMs, count(*) AS Nodes,
        max(HighName) AS HighName, max(LowName) AS LowName
    FROM at_node GROUP BY HighAddr, HighPort, LowAddr, LowPort, Proto
), told AS (
    SELECT
        CASE WHEN Swapped THEN LowAddr ELSE HighAddr END AS ClientAddr,
        CASE WHEN Swapped THEN LowPort ELSE HighPort END AS ClientPort,
        CASE WHEN Swapped THEN HighAddr ELSE LowAddr END AS ServerAddr,
        CASE WHEN Swapped THEN HighPort ELSE LowPort END AS ServerPort,
        Proto,
        CASE WHEN Swapped THEN LowBytes ELSE HighBytes END AS BytesOut,
        CASE WHEN Swapped THEN HighBytes ELSE LowBytes END AS BytesIn,
        CASE WHEN Swapped THEN LowPackets ELSE HighPackets END AS PacketsOut,
        CASE WHEN Swapped THEN HighPackets ELSE LowPackets END AS PacketsIn,
        CASE WHEN Swapped THEN LowName ELSE HighName END AS ClientName,
        CASE WHEN Swapped THEN HighName ELSE LowName END AS ServerName,
        RttNs, HandshakeNs, Retransmits, Drops, DropCauses, StartMs, EndMs, Nodes
    FROM pair
)
SELECT ClientAddr, ClientPort, ServerAddr, ServerPort, Proto,
    BytesOut, BytesIn, PacketsOut, PacketsIn,
    round(RttNs / 1e6, 3) AS RttMs, round(HandshakeNs / 1e6, 3) AS HandshakeRttMs,
    Retransmits, Drops, DropCauses AS DropCause,
    (SELECT group_concat(Name, ', ') FROM dns_name WHERE Address = ClientAddr) AS ClientNames,
    (SELECT group_concat(Name, ', ') FROM dns_name WHERE Address = ServerAddr) AS ServerNames,
    StartMs AS TimeStartMs, EndMs AS TimeEndMs, Nodes, ClientName, ServerName
FROM told
"""

# Two nodes that see both ends see all of their traffic: the larger sum is it.
_TOP_TALKERS = """
WITH at_node AS (
    SELECT SrcAddr, DstAddr, sum(Bytes) AS Bytes, sum(Packets) AS Packets,
        max(coalesce(SrcK8S_Namespace || '/', '') || SrcK8S_Name) AS SrcName,
        max(coalesce(DstK8S_Namespace || '/', '') || DstK8S_Name) AS DstName
    FROM flow WHERE SrcAddr IS NOT NULL GROUP BY SrcAddr, DstAddr, Node
), pair AS MATERIALIZED (
    SELECT SrcAddr, DstAddr, max(Bytes) AS Bytes, max(Packets) AS Packets,
        max(SrcName) AS SrcName, max(DstName) AS DstName
    FROM at_node GROUP BY SrcAddr, DstAddr
), way AS (
    SELECT SrcAddr AS Address, Bytes AS BytesSent, 0 AS BytesReceived,
        Packets AS PacketsSent, 0 AS PacketsReceived, DstAddr AS Peer, SrcName AS Name FROM pair
    UNION ALL
    SELECT DstAddr, 0, Bytes, 0, Packets, SrcAddr, DstName FROM pair
), talker AS (
    SELECT Address, sum(BytesSent) AS BytesSent, sum(BytesReceived) AS BytesReceived,
        sum(PacketsSent) AS PacketsSent, sum(PacketsReceived) AS PacketsReceived,
        count(DISTINCT Peer) AS Peers, max(Name) AS Name
    FROM way GROUP BY Address
)
SELECT Address,
    (SELECT group_concat(Name, ', ') FROM dns_name WHERE Address = talker.Address) AS Names,
    BytesSent + BytesReceived AS Bytes, BytesSent, BytesReceived,
    PacketsSent, PacketsReceived, Peers, Name
FROM talker ORDER BY BytesSent + BytesReceived DESC, Address
"""

# An exchange whose response came late has a row as unanswered too.
_DNS_SLOW = """
SELECT Node, ServerAddr, Name, Type,
    sum(Status <> 'late') AS Exchanges,
    sum(Status = 'unanswered') AS Unanswered,
    coalesce(sum(Rcode <> 'NoError'), 0) AS Errors,
    group_concat(DISTINCT Rcode) AS Rcodes,
    round(avg(LatencyMs), 3) AS MeanMs, max(LatencyMs) AS MaxMs,
    sum(Retries) AS Retries, max(TimeNs) AS TimeLastNs,
    max(coalesce(ServerK8S_Namespace || '/', '') || ServerK8S_Name) AS ServerName
FROM dns GROUP BY Node, ServerAddr, Name, Type
ORDER BY Unanswered > 0 DESC, MaxMs DESC, Exchanges DESC
"""

_DROP_SUMMARY = """
SELECT Node, Reason, Loss, Function, Proto, count(*) AS Drops, sum(Length) AS Bytes,
    min(TimeNs) AS TimeFirstNs, max(TimeNs) AS TimeLastNs
FROM packet_drop GROUP BY Node, Reason, Loss, Function, Proto
ORDER BY Loss DESC, Drops DESC, Reason
"""

CONVERSATION = View(
    "conversation",
    "one row per pair of ends and protocol: both directions of its flows joined",
    columns(
        "ClientAddr TEXT who opened it as SYN and SYN+ACK tell, else the end with the higher port",
        "ClientPort INTEGER its port",
        "ServerAddr TEXT the other end",
        "ServerPort INTEGER its port",
        "Proto INTEGER IP protocol number; proto_name(Proto) names it",
        "BytesOut INTEGER bytes from client to server",
        "BytesIn INTEGER bytes from server to client",
        "PacketsOut INTEGER packets from client to server",
        "PacketsIn INTEGER packets from server to client",
        "RttMs REAL largest smoothed TCP round-trip time, ms",
        "HandshakeRttMs REAL longest TCP handshake, ms",
        "Retransmits INTEGER segments sent again, both ways",
        "Drops INTEGER packets dropped on the nodes, both ways",
        "DropCause TEXT why, the kernel's words, joined by commas",
        "ClientNames TEXT DNS names of the client in this capture's answers",
        "ServerNames TEXT DNS names of the server in this capture's answers",
        "TimeStartMs INTEGER first packet, ms since 1970",
        "TimeEndMs INTEGER last packet, ms since 1970",
        "Nodes INTEGER nodes that saw it",
        "ClientName TEXT namespace/name of the client, or its node; NULL where not known",
        "ServerName TEXT namespace/name of the server, or its node; NULL where not known",
    ),
    _CONVERSATION,
)

TOP_TALKERS = View(
    "top_talkers",
    "one row per address, the one with the most bytes first",
    columns(
        "Address TEXT address",
        "Names TEXT its DNS names in this capture's answers",
        "Bytes INTEGER sent and received",
        "BytesSent INTEGER bytes that it sent",
        "BytesReceived INTEGER bytes sent to it",
        "PacketsSent INTEGER packets that it sent",
        "PacketsReceived INTEGER packets sent to it",
        "Peers INTEGER addresses that it had to do with",
        "Name TEXT namespace/name of the pod or service, or the node; NULL where not known",
    ),
    _TOP_TALKERS,
)

DNS_SLOW = View(
    "dns_slow",
    "DNS by server and name: unanswered first, then the slowest",
    columns(
        "Node TEXT node that captured it",
        "ServerAddr TEXT who is asked",
        "Name TEXT name asked for",
        "Type TEXT type asked for",
        "Exchanges INTEGER queries, repeated ones once",
        "Unanswered INTEGER of them, without a response in time",
        "Errors INTEGER responses other than NoError",
        "Rcodes TEXT response codes that came, joined by commas",
        "MeanMs REAL mean latency, ms",
        "MaxMs REAL longest latency, ms",
        "Retries INTEGER queries sent again",
        "TimeLastNs INTEGER last exchange, ns since 1970",
        "ServerName TEXT namespace/name of the server, or its node; NULL where not known",
    ),
    _DNS_SLOW,
)

DROP_SUMMARY = View(
    "drop_summary",
    "drops by cause and place in the kernel, losses first",
    columns(
        "Node TEXT node that dropped them",
        "Reason TEXT why, the kernel's word",
        "Loss INTEGER 1: somebody misses them; 0: housekeeping",
        "Function TEXT code that dropped them",
        "Proto INTEGER IP protocol number",
        "Drops INTEGER packets",
        "Bytes INTEGER their bytes, from the IP header on",
        "TimeFirstNs INTEGER first one, ns since 1970",
        "TimeLastNs INTEGER last one, ns since 1970",
    ),
    _DROP_SUMMARY,
)

VIEWS = (CONVERSATION, TOP_TALKERS, DNS_SLOW, DROP_SUMMARY)

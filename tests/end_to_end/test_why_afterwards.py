"""What the user had set and captured before `why` is there after it, however it ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import network
from tests.network import Pair, tshark
from tests.scenarios.why import ECHO, OURS4, PEER4, why
from tests.session import NETOBSERV, Session, session
from tests.shell.processes import child
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.kernel

NUMBERED, OTHER, PROBED = 7001, 7009, 7002
GAP, MOST = 0.002, 20_000
"""Seconds between two datagrams to each of the first two ports, and how many at most."""
SEND_NUMBERED = """
import select, socket, sys
host, ports = sys.argv[1], [int(p) for p in sys.argv[2].split(",")]
gap, most = float(sys.argv[3]), int(sys.argv[4])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sent = 0; print("ready")
while sent < most and not select.select([sys.stdin], [], [], gap)[0]:
    for p in ports: s.sendto(sent.to_bytes(4, "big") + bytes(56), (host, p))
    sent += 1
print(sent)
"""
"""Until its input is closed; then says how many it has sent to each port."""
APPLIED = """SELECT count(*) > 0 AND count(*) = count(TimeAppliedMs) FROM filter_log WHERE
Generation = (SELECT max(Generation) FROM filter_log)""".replace("\n", " ")
SETTINGS = ("capturing", "features", "dns ports", "snap length", "sampling", "filters")


def settings(live: Session) -> dict[str, str]:
    """What `status` says of them, without the generation's number."""
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1)
                 for line in live.narrate("status").splitlines() if "  " in line)  # fmt: skip
    return {name: lines[name].split(", generation")[0] for name in SETTINGS}


def filters(live: Session) -> list[tuple[int, str]]:
    (rows,) = live.do("filter list")
    return [(row["id"], row["filter"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Setup:
    name: str
    commands: tuple[str, ...]
    others: bool
    """Whether datagrams to OTHER are to be rows."""
    probe: dict[str, Any]
    """What rows of flow say afterwards, once nothing of `why` is in the kernel."""


SETUPS = [
    Setup(
        "no filter",
        ("capture packets on",),
        others=True,
        probe={"FilterId": None, "PktDropPackets": None},
    ),
    Setup(
        "filters that reject",
        (f"filter reject port {OTHER}", "capture packets on", "enable tcp", "disable tcp"),
        others=False,
        probe={"FilterId": None, "PktDropPackets": None},
    ),
    Setup(
        "a filter that accepts",
        (f"filter protocol udp port {NUMBERED},{PROBED}", "capture packets on", "snaplen 96",
         "enable drops", "set dns_port 53,5353"),
        others=False,
        probe={"FilterId": 1, "PktDropPackets": 0},
    ),
]  # fmt: skip


@pytest.mark.parametrize("setup", SETUPS, ids=lambda setup: setup.name)
def test_another_conversation_loses_nothing_and_settings_stay(
    pair: Pair, tmp_path: Path, setup: Setup
) -> None:
    pair.ours.start_python(network.SINK, OURS4, f"{NUMBERED},{OTHER},{PROBED}")
    pair.peer.start_python(network.TCP_ECHO, PEER4, ECHO)
    with session(pair.ours, "-i", "eth0") as live:
        for command in setup.commands:
            live.narrate(command)
        before = settings(live), filters(live)
        sender = pair.peer.start_python(
            SEND_NUMBERED, OURS4, f"{NUMBERED},{OTHER}", GAP, MOST, stdin=subprocess.PIPE
        )
        for seconds in (1, 0):  # by time, and by Ctrl-C
            found = why(live, f"{OURS4} {PEER4}:{ECHO}", lambda: talk(pair), seconds=seconds)
            assert found["verdict"] == "healthy"
            assert found["caveats"] == []
            assert (settings(live), filters(live)) == before
        sent = int(sender.communicate(timeout=10)[0])
        assert 0 < sent < MOST, "it went on all the time"

        seen = f"SELECT sum(Packets) FROM flow WHERE DstPort = {NUMBERED}"
        assert live.settle(seen, least=sent) == sent
        others = f"SELECT ifnull(sum(Packets), 0) FROM flow WHERE DstPort = {OTHER}"
        assert live.value(others) == (sent if setup.others else 0)
        assert numbers(live, tmp_path / "all.pcapng") == list(range(sent))
        assert live.value("SELECT ifnull(sum(Count), 0) FROM loss") == 0

        pair.peer.python(network.UDP_SEND, OURS4, PROBED, 10, 60, 1000)
        probed = f"SELECT sum(Packets) = 10 FROM flow WHERE DstPort = {PROBED}"
        live.narrate(f"wait until {probed} timeout 10s;")
        columns = ", ".join(setup.probe)
        assert live.sql(f"SELECT DISTINCT {columns} FROM flow WHERE DstPort = {PROBED}") == [
            setup.probe
        ]


def talk(pair: Pair) -> None:
    pair.ours.python(network.TCP_TALK, PEER4, ECHO, 3, 1000)


def numbers(live: Session, file: Path) -> list[int]:
    """Of the captured datagrams, in their order."""
    live.narrate(f"export pcapng {file} where DstPort = {NUMBERED}")
    return [int(data[:8], 16) for (data,) in tshark(str(file), ["data.data"])]


@pytest.mark.parametrize(
    ("off", "on"), [("capture flows off", "capture flows on"), ("pause", "resume")]
)
def test_it_watches_where_the_user_captures_nothing(pair: Pair, off: str, on: str) -> None:
    pair.ours.start_python(network.SINK, OURS4, f"{NUMBERED}")
    pair.peer.start_python(network.TCP_ECHO, PEER4, ECHO)
    with session(pair.ours, "-i", "eth0") as live:
        live.narrate(off)
        before = settings(live), filters(live)

        def traffic() -> None:
            talk(pair)
            pair.peer.python(network.UDP_SEND, OURS4, NUMBERED, 10, 60, 1000)

        assert why(live, f"{OURS4} {PEER4}:{ECHO}", traffic)["verdict"] == "healthy"
        assert (settings(live), filters(live)) == before
        talks = f"SELECT count(*) FROM flow WHERE DstPort = {ECHO}"
        watched = live.value(talks)
        traffic()
        live.narrate(on)
        pair.peer.python(network.UDP_SEND, OURS4, NUMBERED, 7, 60, 1000)
        numbered = f"SELECT sum(Packets) FROM flow WHERE DstPort = {NUMBERED}"
        assert live.settle(numbered, least=7) == 7, "what came when all was on"
        assert live.value(talks) == watched


def unreadable(shell: Terminal, directory: Path) -> None:
    """The rows cannot be asked once the watching is over."""
    (database,) = directory.rglob("session.db")
    hidden = database.with_name("hidden.db")
    database.rename(hidden)
    try:
        shell.interrupt()
        shell.wait_for("why: the rows cannot be read: unable to open database file")
    finally:
        hidden.rename(database)


def called_off(shell: Terminal, _: Path) -> None:
    """The first Ctrl-C ends the watching, the second does not wait for the agent."""
    agent = child(shell.pid, "agent.main")
    os.kill(agent, signal.SIGSTOP)
    try:
        shell.interrupt_until("cancelled")
    finally:
        os.kill(agent, signal.SIGCONT)


@pytest.mark.parametrize("fail", [unreadable, called_off])
def test_it_leaves_nothing_when_it_fails(
    pair: Pair, tmp_path: Path, fail: Callable[[Terminal, Path], None]
) -> None:
    pair.ours.start_python(network.SINK, OURS4, f"{PROBED},{OTHER}")
    command = pair.ours.words(NETOBSERV, "shell", "--local", "-i", "eth0")
    with Terminal(command, columns=160, env={"XDG_STATE_HOME": str(tmp_path)}) as shell:
        shell.wait_for("agents 1/1")
        for line, told in (
            (f"filter port {PROBED}", "filter 1 added"),
            ("enable rtt", "rtt on"),
            ("status", "directory  "),
        ):
            shell.type(f"{line}\n")
            shell.wait_for(told)
        (directory,) = re.findall(r"directory +(\S+)", shell.text())
        shell.type(f"why {OURS4} {PEER4} for 100s\n")
        shell.wait_for("watching")
        fail(shell, Path(directory))
        shell.type(f"wait until {APPLIED} timeout 20s;\n")
        shell.type("SELECT 'all' || ' applied';\n")
        shell.wait_for("all applied")

        shell.type("status\n")
        again = re.compile(r"(features +rtt\n.*){2}", re.DOTALL)
        shell.wait_until(lambda: bool(again.search(shell.text())), "the features again")
        shell.type("filter list\n")
        shell.wait_until(lambda: f" port {PROBED}  " in shell.text(), "the filter")
        pair.peer.python(network.UDP_SEND, OURS4, f"{PROBED},{OTHER}", 10, 60, 1000)
        shell.type(f"wait until SELECT sum(Packets) = 10 FROM flow WHERE DstPort = {PROBED};\n")
        shell.type(
            "SELECT DISTINCT 'row' AS it, DstPort, FilterId, PktDropPackets AS dropped FROM flow "
            f"WHERE DstPort IN ({PROBED}, {OTHER});\n"
        )
        row = re.compile(r"^row +(\d+) +(\d+) +(\w+)$", re.MULTILINE)
        shell.wait_until(lambda: bool(row.search(shell.text())), "the rows")
        assert row.findall(shell.text()) == [(str(PROBED), "1", "NULL")]
        shell.type("quit\n")
        assert shell.wait_end() == 0

"""A watch and an alert on a real terminal over a real capture: what happens shows by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.transcript import SERVER, web
from tests.session import NETOBSERV
from tests.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kernel

WATCH = (
    "watch 500ms SELECT SrcAddr, DstAddr, sum(Packets) AS Packets FROM flow"
    " WHERE 8080 IN (SrcPort, DstPort) GROUP BY 1, 2"
)
TRY = "import socket, sys; socket.socket(type=socket.SOCK_DGRAM).sendto(b'?', (sys.argv[1], 9999))"


def packets(shell: Terminal) -> list[int]:
    """As the watch shows them, one way and the other."""
    way = re.compile(r"^  10\.129\.0\.\d+ +10\.129\.0\.\d+ +(\d+)")
    return [int(found[1]) for line in shell.screen() if (found := way.match(line))]


def test_counters_grow_in_place_and_a_drop_is_told_while_they_do(tmp_path: Path) -> None:
    with web() as pair:
        for words in (
            "add table inet t", "add chain inet t in { type filter hook input priority 0; }",
            "add rule inet t in udp dport 9999 drop",
        ):  # fmt: skip
            pair.ours.run("nft", words)
        command = pair.ours.words(NETOBSERV, "shell", "--local", "-i", "eth0", "--enable", "drops")
        env = {"XDG_STATE_HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
        with Terminal(command, cwd=str(tmp_path), columns=100, env=env) as shell:
            shell.wait_for("agents 1/1")
            shell.type("wait until SELECT count(*) > 3 FROM flow WHERE DstPort = 8080\n")
            shell.type(
                "alert every 500ms when SELECT SrcAddr, DstPort, Reason FROM packet_drop"
                " WHERE DstPort = 9999\n"
            )
            shell.wait_for("alert 1 added")
            shell.type(f"{WATCH}\n")
            shell.wait_until(lambda: len(packets(shell)) == 2, "both ways to be shown")
            first = packets(shell)

            def grown() -> bool:
                found = packets(shell)  # of a screen that may be half drawn
                return len(found) == 2 and all(map(int.__gt__, found, first))

            shell.wait_until(grown, "the counters to grow where they stand")
            assert "▁" in "\n".join(shell.screen())
            pair.peer.python(TRY, SERVER)
            shell.wait_until(
                lambda: (
                    "alert 1: SrcAddr 10.129.0.48  DstPort 9999  Reason NETFILTER_DROP"
                    in shell.screen()[-1]
                ),
                "the drop to be told",
            )
            shell.press("q")
            shell.wait_for("2 rows  every 500ms, ")
            shell.type("alerts\n")
            shell.wait_until(
                lambda: re.search(r"500ms +1 +\d\d:", shell.text()) is not None, "it to be listed"
            )
            shell.type("quit\n")
            assert shell.wait_end() == 0

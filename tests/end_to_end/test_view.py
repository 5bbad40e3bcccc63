"""A view over a real capture: what is seen in it, and what its keys do to the kernel's filters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.transcript import CLIENT, SERVER, web
from tests.session import NETOBSERV
from tests.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kernel


def test_a_view_of_real_traffic_from_keyword_to_kernel_filter(tmp_path: Path) -> None:
    with web() as pair:
        pair.peer.start("ping", "-i", "0.2", "-w", "120", SERVER)
        command = pair.ours.words(NETOBSERV, "shell", "--local", "-i", "eth0")
        env = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        with Terminal(command, cwd=str(tmp_path), columns=150, rows=30, env=env) as shell:
            shell.wait_for("agents 1/1")
            shell.type("view\n")
            shows(shell, f"{SERVER}:8080")
            shows(shell, "ICMP")
            keyword(shell)
            column_sets(shell)
            chart(shell)
            packets(shell)
            kernel_filter(shell)
            shell.type("q")
            shows(shell, "netobserv>")
            shell.type("filter list\n")
            shows(shell, f"peer_ip {CLIENT}")
            shell.type("SELECT count(*) > 3 AS goes_on FROM flow WHERE FilterId = 1\n")
            shows(shell, "goes_on")
            shell.type("quit\n")
            assert shell.wait_end() == 0


def shows(shell: Terminal, text: str) -> None:
    shell.wait_until(lambda: text in "\n".join(shell.screen()), f"{text!r} on the screen")


def keyword(shell: Terminal) -> None:
    """Only rows with it are there, from the first letters on."""
    shell.type("icmp\n")
    shows(shell, "[icmp]")
    shell.wait_until(lambda: "8080" not in "\n".join(shell.screen()[3:-3]), "TCP rows to go")
    shell.type("\x7f")
    shows(shell, f"{SERVER}:8080")


def column_sets(shell: Terminal) -> None:
    """Round-trip times come once they are enabled from their columns."""
    shell.press("right", "right", "right", "right")
    shows(shell, "RTT (5/6)")
    shell.type("e")
    shows(shell, "rtt on applied 1/1")
    # rtt, handshake, syn-ack of the client's direction
    times = re.compile(rf"{SERVER}:8080 +(\d+ us|[\d.]+ ms) +(\d+ us|[\d.]+ ms)")
    shell.wait_until(lambda: times.search("\n".join(shell.screen())) is not None, "handshakes")


def chart(shell: Terminal) -> None:
    shell.type("s")
    shows(shell, "bytes/s by sender")
    shows(shell, f"{SERVER} ")
    shows(shell, f"{CLIENT} ")
    shows(shell, "█")
    shell.type("s")
    shows(shell, "RTT (5/6)")


def packets(shell: Terminal) -> None:
    """Of the ping, which goes on: capturing packets is begun from there."""
    shell.type("icmp\n")
    shows(shell, "[icmp]")
    shell.wait_until(lambda: "8080" not in "\n".join(shell.screen()[3:-3]), "TCP rows to go")
    shell.type("p")
    shows(shell, "`capture packets on`")
    shell.type("e")
    shows(shell, "packets on applied 1/1")
    shows(shell, "98")
    assert "8080" not in "\n".join(shell.screen()[3:-3])
    shell.type("p")
    shows(shell, "[icmp]")


def kernel_filter(shell: Terminal) -> None:
    """Of the row on top, without leaving."""
    shell.type("f")
    shows(shell, f"peer_ip {CLIENT}")
    (line,) = (line for line in shell.screen() if f"peer_ip {CLIENT}" in line)
    shell.type(line.lstrip(" >")[0])
    shows(shell, f"filter 1 added: peer_ip {CLIENT} applied 1/1 in")
    shows(shell, "1 filter applied 1/1")

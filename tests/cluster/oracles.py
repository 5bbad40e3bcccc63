"""Who knows what is right: tcpdump, nftables, tshark, and the numbers in the traffic."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from typing import TYPE_CHECKING

from tests.network import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cluster.nodes import Inside


@contextlib.contextmanager
def dumped(inside: Inside, interface: str, file: Path, *words: str) -> Iterator[None]:
    """tcpdump there, meanwhile."""
    # What it says goes to a file: nobody would read a pipe.
    said = file.with_suffix(".txt")
    with said.open("wb") as err:
        dump = inside.start(
            "tcpdump", "-i", interface, "-w", str(file), "-U", "-n", "-Z", "root",
            "--immediate-mode", *words, stderr=err,
        )  # fmt: skip
    try:
        until(lambda: "listening on" in said.read_text())
        yield
        time.sleep(0.3)
    finally:
        dump.terminate()
        dump.wait(10)
    assert "0 packets dropped by kernel" in said.read_text()


@contextlib.contextmanager
def blocked(inside: Inside, address: str, port: int) -> Iterator[Callable[[], int]]:
    """What a network policy comes to: the node forwards nothing to that port; how many it met."""
    table = "netobserv_test"
    inside.run("nft", f"add table inet {table}")
    try:
        inside.run("nft", f"add chain inet {table} f {{ type filter hook forward priority 0; }}")
        rule = f"ip daddr {address} tcp dport {port} counter drop"
        inside.run("nft", f"add rule inet {table} f {rule}")

        def met() -> int:
            listed = inside.run("nft", "list", "table", "inet", table)
            found = re.search(r"counter packets (\d+) ", listed)
            assert found
            return int(found[1])

        yield met
    finally:
        inside.run("nft", f"delete table inet {table}")


def numbers(lines: list[str], *, of: str) -> dict[int, int]:
    """Number and send time of each datagram of a pod, from what it or its receiver printed."""
    words = (line.split() for line in lines)
    return {int(word[1]): int(word[2]) for word in words if len(word) == 3 and word[0] == of}


def captured(file: Path, *, port: int) -> list[tuple[str, str, str, str]]:
    """Addresses, names of the ends as the file tells them, and text of each datagram."""
    fields = ["ip.src", "ip.src_host", "ip.dst_host", "udp.payload"]
    words = ["tshark", "-r", str(file), "-N", "n", "-T", "fields", "-E", "separator=|"]
    for field in fields:
        words += ["-e", field]
    done = subprocess.run(
        [*words, "-Y", f"udp.port == {port}"], capture_output=True, text=True, check=True
    )
    found = []
    for line in done.stdout.splitlines():
        address, source, target, payload = line.split("|")
        found.append((address, source, target, bytes.fromhex(payload).decode().strip()))
    return found

"""`netobserv flows` and `netobserv packets` over real traffic: what is captured, what is left.

The database and tshark are the oracles of the files; what NetObserv's CLI gets
wrong there is asked here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import network
from tests.docs.transcript import web
from tests.network import tshark
from tests.session import NETOBSERV
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.network import Host, Pair

pytestmark = pytest.mark.kernel

CLIENT, SERVER = "10.129.0.48", "10.129.0.1"


def terminal(where: Host, folder: Path, *words: str) -> Terminal:
    command = where.words(NETOBSERV, *words)
    return Terminal(command, cwd=str(folder), columns=150, env={"XDG_STATE_HOME": str(folder)})


class Headless:
    """One run without a terminal."""

    def __init__(self, where: Host, folder: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            where.words(NETOBSERV, *words), cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.told = ""

    def begun(self) -> None:
        """Once it captures."""
        assert self.process.stderr is not None
        while "Ctrl-C ends it" not in self.told:
            line = self.process.stderr.readline()
            assert line, self.told
            self.told += line

    def end(self, number: signal.Signals | None = signal.SIGINT) -> str:
        """What it prints on stdout; it ends well."""
        if number is not None:
            self.process.send_signal(number)
        printed, told = self.process.communicate(timeout=30)
        self.told += told
        assert self.process.returncode == 0, self.told
        return printed


@contextlib.contextmanager
def headless(where: Host, folder: Path, *words: str) -> Iterator[Headless]:
    run = Headless(where, folder, *words)
    try:
        run.begun()
        yield run
    finally:
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Of the JSON file; it holds what the database holds, fields that are NULL left out."""
    found: list[dict[str, Any]] = json.loads(only(folder, "output/flow/*.json").read_text())
    file = only(folder, "output/flow/*.db")
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        expected = [
            {name: row[name] for name in row.keys() if row[name] is not None}  # noqa: SIM118
            for row in database.execute("SELECT * FROM flow ORDER BY rowid")
        ]
    for row in expected:
        for name in ("Interfaces", "IfDirections"):
            row[name] = json.loads(row[name])
        assert row["IfDirections"][0] in (row["IfDirection"], 3)
    assert found == expected
    return found


def test_the_command_of_the_article_shows_flows_and_ctrl_c_writes_them(tmp_path: Path) -> None:
    words = (
        "flows --local --enable_pktdrop=true --enable_dns=true --enable_rtt=true"
        f" --enable_filter=true --peer_ip={CLIENT}"
    )
    with web() as pair, terminal(pair.ours, tmp_path, *words.split()) as shown:
        shown.wait_for(f"{SERVER}:8080", seconds=60)
        shown.wait_for("q ends the capture")
        shown.wait_for("dns drops rtt")
        shown.interrupt()
        assert shown.wait_end() == 0
        screen = shown.text()
    rows = rows_of(tmp_path)
    assert rows
    assert all(CLIENT in (row["SrcAddr"], row["DstAddr"]) for row in rows)
    assert any(row.get("TimeFlowRttNs", 0) > 0 for row in rows)
    assert f"filter 1: peer_ip {CLIENT}" in screen
    for pattern in ("json", "db"):
        name = only(tmp_path, f"output/flow/*.{pattern}").relative_to(tmp_path)
        assert f"./{name}: " in screen
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d{6}Z", name.stem)
    (told,) = re.findall(r"session ended: ([\d,]+) flow rows, 0 packets, no loss", screen)
    assert int(told.replace(",", "")) == len(rows), "the last row is there too"


def test_packets_of_a_port_are_a_pcapng(tmp_path: Path) -> None:
    with web() as pair, terminal(pair.ours, tmp_path, "packets", "tcp,8080", "--local") as shown:
        shown.wait_for(f"{SERVER}:8080", seconds=60)
        shown.type("q")
        assert shown.wait_end() == 0
        screen = shown.text()
    file = only(tmp_path, "output/pcap/*.pcapng")
    packets = tshark(str(file), ["ip.proto", "tcp.port", "frame.cap_len", "frame.len"])
    assert packets
    ports = tshark(str(file), ["tcp.srcport", "tcp.dstport"])
    assert all("8080" in pair_ for pair_ in ports)
    assert {protocol for protocol, *_ in packets} == {"6"}
    assert all(captured == length for *_, captured, length in packets)
    assert f"session ended: 0 flow rows, {len(packets):,} packets, no loss" in screen
    assert not list(tmp_path.glob("output/flow"))


def test_in_the_background_a_limit_ends_it_and_the_files_are_written(tmp_path: Path) -> None:
    words = ("flows", "--local", "--background", "--max-time=3s")
    with web() as pair, headless(pair.ours, tmp_path, *words) as run:
        printed = run.end(None)
    assert rows_of(tmp_path)
    assert [line.partition(":")[0] for line in printed.splitlines()] == [
        f"./{only(tmp_path, f'output/flow/*.{kind}').relative_to(tmp_path)}"
        for kind in ("json", "db")
    ]
    assert "\ncapture ended: max-time of 3s reached\n" in run.told


def udp(pair: Pair, ports: Sequence[int], times: int) -> None:
    listed = ",".join(map(str, ports))
    pair.peer.python(network.UDP_SEND, pair.ours4, listed, times, 200, 1000)


@pytest.fixture(scope="module")
def sinks() -> Iterator[Pair]:
    """A pair whose captured end takes datagrams on three ports."""
    with network.pair() as made:
        made.ours.start_python(network.SINK, made.ours4, "7001,7002,7003")
        yield made


def test_every_rule_of_an_or_holds_and_the_first_that_matches_decides(
    sinks: Pair, tmp_path: Path
) -> None:
    words = "flows --local --action=Reject --dport=7002 or --protocol=UDP --port_range=7001-7002"
    line = f"{words} or --protocol=TCP --ports=80,7003"
    with headless(sinks.ours, tmp_path, *line.split()) as run:
        udp(sinks, (7001, 7002, 7003), 20)
        sinks.peer.run("ping", "-q", "-c", "2", "-i", "0.02", sinks.ours4)
        sinks.peer.python(network.TCP_TRY, sinks.ours4, 7003, 1)
        printed = run.end(signal.SIGTERM)
    rows = rows_of(tmp_path)
    to_us = [row for row in rows if row["DstAddr"] == sinks.ours4]
    assert {(row["Proto"], row["DstPort"], row["FilterId"]) for row in to_us} == {
        (17, 7001, 2),
        (6, 7003, 3),
    }
    assert f"{len(rows)} rows" in printed
    assert "  filter 3: port 80,7003 protocol tcp" in run.told


def test_what_is_seen_on_an_excluded_interface_is_left_out(tmp_path: Path) -> None:
    with network.routed() as routed:
        routed.server.start_python(network.SINK, routed.server4, "7001")
        words = ("flows", "--local", "--exclude_interfaces=/^rig/", "--port=7001")
        with headless(routed.router, tmp_path, *words) as run:
            routed.client.python(network.UDP_SEND, routed.server4, "7001", 20, 200, 1000)
            run.end()
    rows = rows_of(tmp_path)
    assert sum(row["Packets"] for row in rows) == 20
    assert all(row["Interfaces"] == ["left"] for row in rows)
    assert "  filter 1: reject interface rig*" in run.told


@contextlib.contextmanager
def dropping(host: Host, port: int) -> Iterator[None]:
    """The packet filter of a host drops datagrams to a port."""
    rules = ("add table inet t", "add chain inet t in { type filter hook input priority 0; }",
             f"add rule inet t in udp dport {port} drop")  # fmt: skip
    for rule in rules:
        host.run("nft", rule)
    try:
        yield
    finally:
        host.run("nft", "delete table inet t")


def test_drops_alone_leave_nothing_else_in_the_json(sinks: Pair, tmp_path: Path) -> None:
    words = ("flows", "--local", "--drops", "udp,7002", "or", "udp,7001")
    with dropping(sinks.ours, 7002), headless(sinks.ours, tmp_path, *words) as run:
        udp(sinks, (7001, 7002), 20)
        run.end()
    dropped = json.loads(only(tmp_path, "output/flow/*.json").read_text())
    assert {row["DstPort"] for row in dropped} == {7002}
    assert sum(row["PktDropPackets"] for row in dropped) == 20
    assert {row["PktDropLatestDropCause"] for row in dropped} == {"NETFILTER_DROP"}
    file = only(tmp_path, "output/flow/*.db")
    with contextlib.closing(sqlite3.connect(file)) as database:
        ports = database.execute("SELECT DISTINCT DstPort FROM flow ORDER BY 1").fetchall()
    assert ports == [(7001,), (7002,)]


def test_the_view_of_drops_begins_with_those_that_are_losses(sinks: Pair, tmp_path: Path) -> None:
    with (
        dropping(sinks.ours, 7002),
        terminal(sinks.ours, tmp_path, "flows", "--local", "--drops") as shown,
    ):
        shown.wait_for("q ends the capture", seconds=60)
        assert "Loss=1" in shown.text()
        udp(sinks, (7002,), 5)
        shown.wait_for("NETFILTER_DROP")
        shown.type("q")
        assert shown.wait_end() == 0


def test_no_rows_are_an_empty_array(sinks: Pair, tmp_path: Path) -> None:
    with headless(sinks.ours, tmp_path, "flows", "--local", "--port=9") as run:
        run.end()
    assert rows_of(tmp_path) == []


def test_without_files_nothing_stays_behind_at_all(sinks: Pair, tmp_path: Path) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    words = ("packets", "--local", "udp,7001", "--max-time=1s", "--copy=false")
    done = subprocess.run(
        sinks.ours.words(NETOBSERV, *words), cwd=tmp_path, stdin=subprocess.DEVNULL,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]
    pids = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _is_of(path, runtime)]
    assert pids == []


def _is_of(cmdline: Path, runtime: Path) -> bool:
    with contextlib.suppress(OSError):
        return str(runtime).encode() in cmdline.read_bytes()
    return False


def test_names_that_nobody_takes_cost_no_file(sinks: Pair, tmp_path: Path) -> None:
    words = ("flows", "--local", "--port=9", "--max-time=1s")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            sinks.ours.words(NETOBSERV, *words), cwd=tmp_path, stdin=subprocess.DEVNULL,
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert rows_of(tmp_path) == []
    assert done.stderr.splitlines()[-4:-2] == [
        f"./output/flow/{only(tmp_path, 'output/flow/*.json').name}: 4 B, 0 rows",
        next(line for line in done.stderr.splitlines() if ".db: " in line),
    ]
    assert "netobserv: flows: cannot write standard output: no space left on" in done.stderr


def test_ctrl_c_before_it_captures_leaves_no_folder(sinks: Pair, tmp_path: Path) -> None:
    run = Headless(sinks.ours, tmp_path, "flows", "--local", "--enable_dns")
    assert run.process.stderr is not None
    assert run.process.stderr.readline().startswith("starting to capture flows")
    run.process.send_signal(signal.SIGINT)
    printed, told = run.process.communicate(timeout=30)
    assert run.process.returncode == 130
    assert printed == ""
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def small(folder: Path) -> Iterator[Path]:
    """A file system of its own, with room for little more than nothing."""
    folder.mkdir()
    network.sh("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        network.sh("umount", "-l", str(folder))


def test_where_there_is_no_room_somebody_may_make_some(sinks: Pair, tmp_path: Path) -> None:
    with small(tmp_path / "small") as folder:
        command = sinks.ours.words(NETOBSERV, "flows", "--local")
        with Terminal(command, cwd=str(folder), columns=150) as shown:
            shown.wait_for("q ends the capture", seconds=60)
            udp(sinks, [7001], 20)
            shown.wait_for("7001")
            (folder / "full").write_bytes(bytes(56 << 10))
            shown.type("q")
            shown.wait_for("no space left on device", seconds=60)
            shown.wait_for("Try again?")
            shown.type("y\n")
            shown.wait_until(lambda: shown.text().count("Try again?") == 2, "the question again")
            network.sh("mount", "-o", "remount,size=64m", str(folder))
            shown.type("\n")
            assert shown.wait_end() == 0
            assert "session ended: " in shown.text()
        rows = rows_of(folder)
        assert sum(row["Packets"] for row in rows if row.get("DstPort") == 7001) == 20
        kinds = [path.suffix for path in sorted(folder.glob("output/*/*"))]
        assert kinds == [".db", ".json"], "each once, and under one name"
        assert len({path.stem for path in folder.glob("output/*/*")}) == 1

"""Exports while the capture goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import network
from tests.network import sh, tshark
from tests.session import session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.network import Pair

pytestmark = pytest.mark.kernel


def test_ten_exports_under_traffic_are_whole_and_cost_no_packet(pair: Pair, tmp_path: Path) -> None:
    pair.ours.start_python(network.SINK, pair.ours4, "7001")
    with session(pair.ours, "-i", "eth0", "--packets", "--filter", "port 7001") as live:
        sender = pair.peer.start_python(network.UDP_SEND, pair.ours4, "7001", 10**9, 400, 4000)
        counts = []
        for number in range(10):
            form = ("pcap", "pcapng")[number % 2]
            file = str(tmp_path / f"{number}.{form}")
            before = live.value("SELECT count(*) FROM packet")
            live.do(f"export {form} {file}")
            after = live.value("SELECT count(*) FROM packet")
            numbers = [int(payload[:8], 16) for (payload,) in tshark(file, ["udp.payload"])]
            assert before <= len(numbers) <= after
            assert numbers == list(range(len(numbers))), "everything up to the snapshot, in order"
            told = sh("capinfos", "-c", "-M", file)
            assert str(len(numbers)) in told
            counts.append(len(numbers))
        sender.terminate()
        sender.wait()
        assert counts == sorted(set(counts)), "the capture went on between any two"
        total = live.settle("SELECT count(*) FROM packet")
        assert live.value("SELECT sum(Value) FROM counter WHERE Name = 'packet_accepted'") == total
        assert live.value("SELECT ifnull(sum(Count), 0) FROM loss") == 0


def test_a_file_that_is_being_written_opens_at_any_moment(pair: Pair, tmp_path: Path) -> None:
    pair.ours.start_python(network.SINK, pair.ours4, "7001")
    kept = tmp_path / "kept"
    with session(
        pair.ours, "-i", "eth0", "--packets", "--filter", "port 7001", "--dir", str(kept)
    ) as live:
        pair.peer.start_python(network.UDP_SEND, pair.ours4, "7001", 4000, 400, 2000)
        live.settle("SELECT count(*) FROM packet", least=1)
        for _ in range(5):
            (segment,) = kept.glob("packets-*.pcapng")
            copy = tmp_path / "copy.pcapng"
            copy.write_bytes(segment.read_bytes())
            assert "cut short" not in sh("capinfos", "-c", str(copy))
        live.processes()
        live.kill()
    (segment,) = kept.glob("packets-*.pcapng")
    assert len(tshark(str(segment), ["frame.number"])) > 0


def test_kernel_filters_decide_what_an_export_holds(pair: Pair, tmp_path: Path) -> None:
    file, oracle = str(tmp_path / "ours.pcap"), str(tmp_path / "oracle.pcap")
    with session(pair.ours, "-i", "eth0", "--packets", "--filter", "protocol icmp") as live:
        dump = network.Tcpdump(pair.ours, "eth0", oracle, "icmp")
        pair.peer.run("ping", "-q", "-c", "20", "-i", "0.02", "-s", "900", pair.ours4)
        pair.peer.run("ping", "-q", "-c", "5", "-i", "0.02", pair.ours6)
        dump.stop()
        live.settle("SELECT count(*) FROM packet", least=40)
        live.do(f"export pcap {file}")
    fields = ["frame.len", "ip.src", "ip.id", "icmp.seq", "icmp.type", "data.data"]
    assert sorted(tshark(file, fields)) == sorted(tshark(oracle, fields))


def test_the_snap_length_cuts_live_and_the_original_length_stays(
    pair: Pair, tmp_path: Path
) -> None:
    file = str(tmp_path / "cut.pcapng")
    with session(pair.ours, "-i", "eth0", "--packets", "--filter", "protocol icmp") as live:
        pair.peer.run("ping", "-q", "-c", "3", "-i", "0.02", "-s", "500", pair.ours4)
        live.settle("SELECT count(*) FROM packet", least=6)
        live.do("snaplen 64")
        pair.peer.run("ping", "-q", "-c", "3", "-i", "0.02", "-s", "500", pair.ours4)
        live.settle("SELECT count(*) FROM packet", least=12)
        live.do(f"export pcapng {file}")
    lengths = tshark(file, ["frame.cap_len", "frame.len"])
    assert lengths == [("542", "542")] * 6 + [("64", "542")] * 6

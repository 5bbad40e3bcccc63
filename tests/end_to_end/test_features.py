"""Features switched while the capture runs: what hangs where in the kernel, and what rows say."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.kernel.btf import DIRECTORY
from agent.kernel.features import FEATURES
from tests import network
from tests.network import sh
from tests.session import session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.network import Pair
    from tests.session import Session

pytestmark = pytest.mark.kernel

ALL = {"dns", "drops", "rtt", "tcp"}
HOOKS = {feature.name: {t.name for t in feature.tracepoints} for feature in FEATURES}


class Elsewhere(network.Host):
    """A host whose commands find another file in the place of one."""

    file: Path
    place: Path

    def words(self, *command: str) -> list[str]:
        mount = f'mount --bind {self.file} {self.place} && exec "$@"'
        return [*super().words(), "unshare", "-m", "sh", "-c", mount, "sh", *command]


def attached(live: Session) -> Counter[str]:
    """Raw tracepoints that links of the agent hang on."""
    found: Counter[str] = Counter()
    for info in Path(f"/proc/{live.processes()['agent']}/fdinfo").iterdir():
        text = info.read_text()
        if "link_type:\traw_tracepoint" in text:
            found[text.split("tp_name:")[1].split()[0]] += 1
    return found


def dns_program_is_reachable(live: Session) -> bool:
    """Whether capture programs have one to end with."""
    for info in Path(f"/proc/{live.processes()['agent']}/fdinfo").iterdir():
        text = info.read_text()
        if "map_type:\t3\n" in text:
            number = text.split("map_id:")[1].split()[0]
            return bool(json.loads(sh("bpftool", "-j", "map", "dump", "id", number)))
    raise AssertionError("the agent holds no program array")


@pytest.fixture(scope="module")
def wire() -> Iterator[Pair]:
    with network.pair() as made:
        yield made


@pytest.fixture(scope="module")
def live(wire: Pair) -> Iterator[Session]:
    with session(wire.ours) as opened:
        yield opened


def test_hooks_hang_in_the_kernel_while_told_to_and_no_longer(live: Session) -> None:
    assert attached(live) == Counter()
    assert not dns_program_is_reachable(live)
    live.do("enable drops tcp")
    assert attached(live) == Counter(HOOKS["drops"] | HOOKS["tcp"])
    live.do("enable dns rtt", "disable tcp")
    assert attached(live) == Counter(HOOKS["drops"] | HOOKS["rtt"])
    assert dns_program_is_reachable(live)
    live.do("pause")
    assert attached(live) == Counter()
    live.do("resume")
    assert attached(live) == Counter(HOOKS["drops"] | HOOKS["rtt"])
    live.do("disable dns drops rtt")
    assert attached(live) == Counter()
    assert not dns_program_is_reachable(live)


def test_rows_before_and_after_stay_and_say_what_was_watched(wire: Pair, live: Session) -> None:
    def one_more(port: int) -> None:
        wire.peer.python(network.UDP_SEND, wire.ours4, port, 3, 40, 100)
        live.settle(f"SELECT sum(Packets) FROM flow WHERE DstPort = {port}", least=3)

    first = live.value("SELECT Generation FROM agent") + 1
    live.do("enable drops")
    one_more(7001)
    live.do("disable drops")
    one_more(7002)
    live.do("enable drops")
    one_more(7003)
    assert live.sql(
        """SELECT DstPort, sum(PktDropPackets) AS n, max(PktDropLatestDropCause) AS cause
        FROM flow WHERE DstPort BETWEEN 7001 AND 7003 GROUP BY 1"""
    ) == [
        {"DstPort": 7001, "n": 3, "cause": "NO_SOCKET"},
        {"DstPort": 7002, "n": None, "cause": None},
        {"DstPort": 7003, "n": 3, "cause": "NO_SOCKET"},
    ]
    live.do("disable drops")
    drops = f"FROM packet_drop WHERE Loss AND Generation >= {first}"
    assert live.sql(f"SELECT DstPort, count(*) AS n {drops} GROUP BY 1") == [
        {"DstPort": 7001, "n": 3}, {"DstPort": 7003, "n": 3},
    ]  # fmt: skip
    generations = live.sql(f"SELECT DISTINCT Generation {drops} ORDER BY 1")
    assert [r["Generation"] for r in generations] == [first, first + 2]


def test_views_are_listed_beside_tables_without_rows_of_their_own(live: Session) -> None:
    (listed,) = live.do("tables")
    rows = {each["table"]: each["rows"] for each in listed}
    assert rows.keys() >= {"dns", "packet_drop", "tcp_event", "dns_name"}
    views = {name for name, count in rows.items() if count is None}
    assert views == {"conversation", "top_talkers", "dns_slow", "drop_summary"}


def test_features_from_the_start(pair: Pair) -> None:
    with session(pair.ours, "--enable", "dns,drops", "--enable", "tcp") as live:
        assert attached(live) == Counter(HOOKS["drops"] | HOOKS["tcp"])
        assert live.value("SELECT Generation FROM agent") == 1


def test_a_kernel_without_one_member_lacks_one_feature_and_says_which(
    pair: Pair, tmp_path: Path
) -> None:
    types = (DIRECTORY / "vmlinux").read_bytes()
    assert types.count(b"\0srtt_us\0") == 1
    other = tmp_path / "vmlinux"
    other.write_bytes(types.replace(b"\0srtt_us\0", b"\0srtt_xx\0"))
    where = Elsewhere(pair.ours.name)
    where.file, where.place = other, DIRECTORY / "vmlinux"
    with session(where, "--enable", "drops") as live:
        assert attached(live) == Counter(HOOKS["drops"])
        live.tell("enable rtt")
        live.wait(20)
        assert live.narration[-2].startswith("netobserv: enable: "), live.narration
        assert "rtt: this kernel's tcp_sock has no member srtt_us" in live.narration[-2]


def test_a_kernel_without_types_still_reads_dns(pair: Pair, tmp_path: Path) -> None:
    other = tmp_path / "vmlinux"
    other.write_bytes(b"nothing")
    where = Elsewhere(pair.ours.name)
    where.file, where.place = other, DIRECTORY / "vmlinux"
    with session(where, "--enable", "dns") as live:
        assert dns_program_is_reachable(live)
        live.tell("enable tcp")
        live.wait(20)
        assert "tcp: this kernel carries no types (BTF)" in live.narration[-2], live.narration

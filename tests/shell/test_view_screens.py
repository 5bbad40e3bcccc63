"""Whole screens of a view as text, and what must hold for any of them.

`python -m tests.shell.test_view_screens` writes the golden files anew.
"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prompt_toolkit.utils import get_cwidth

from nshell.shell.view.chart import Chart, draw_chart
from nshell.shell.view.kinds import KINDS
from nshell.shell.view.layout import cut, fit
from nshell.shell.view.state import Page
from tests.shell.viewrows import NAMES, START_MS, flows, keys, make, screen, state, status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nshell.shell.view.state import State

GOLDEN = Path(__file__).parent / "golden" / "view"
FLOWS = (
    {"SrcAddr": "10.0.0.9", "SrcPort": 51000, "DnsName": "db.shop.svc", "DnsLatencyMs": 12.5,
     "DnsFlagsResponseCode": "NoError", "DnsId": 7, "DnsErrno": 0},
    {"Proto": 17, "Flags": None, "DstPort": 53, "Bytes": 90, "Packets": 1, "FilterId": 3},
    {"SrcAddr": "fd00::1", "DstAddr": "fd00::2", "TimeFlowRttNs": 450_000, "Bytes": 8_000_000,
     "TimeHandshakeRttNs": 1_200_000, "TimeSynAckNs": 900_000, "Packets": 12_345},
    {"SrcK8S_Namespace": "shop", "SrcK8S_Name": "web-5d5f-abcde", "SrcK8S_OwnerType": "Deployment",
     "SrcK8S_OwnerName": "web", "SrcK8S_HostName": "worker-1", "SrcK8S_Zone": "a",
     "K8S_FlowLayer": "app", "PktDropPackets": 4, "PktDropBytes": 240, "TcpRetransmits": 2,
     "PktDropLatestDropCause": "NETFILTER_DROP", "PktDropLatestState": "TCP_SYN_SENT",
     "PktDropLatestFlags": 2},
    {"Proto": 1, "SrcPort": None, "DstPort": None, "Flags": None, "Bytes": 98,
     "Interface": "veth\x1b[31m", "Node": "日本"},
)  # fmt: skip
PACKET = {
    "TimeNs": START_MS * 10**6, "Node": "vm", "Interface": "eth0", "IfDirection": 1,
    "SrcAddr": "10.0.0.1", "SrcPort": 40000, "DstAddr": "10.0.0.2", "DstPort": 443, "Proto": 6,
    "Etype": 2048, "Flags": 18, "Length": 1514, "CapLen": 96,
}  # fmt: skip
DNS = {
    "TimeNs": START_MS * 10**6, "ClientAddr": "10.0.0.9", "ClientPort": 5353, "Proto": 17,
    "ServerAddr": "10.0.0.53", "ServerPort": 53, "Name": "db.shop.svc.", "Type": "A",
    "Rcode": "NXDomain", "LatencyMs": 0.45, "Status": "answered", "Retries": 1,
}  # fmt: skip
DROP = {
    **PACKET, "Reason": "NETFILTER_DROP", "Function": "nft_do_chain+0x3a", "Length": 60, "Loss": 1,
    "TcpState": "TCP_LISTEN",
}  # fmt: skip


def _one_set(number: int) -> Callable[[], State]:
    return lambda: _set(number)


def _set(number: int) -> State:
    made = state(rows=flows(*FLOWS))
    keys(made, *["right"] * number)
    return made


def _level(number: int) -> State:
    made = state(rows=flows(*FLOWS))
    keys(made, *["pagedown"] * number)
    return made


def _pressed(*pressed: str) -> State:
    made = state(rows=flows(*FLOWS))
    keys(made, *pressed)
    return made


def _empty_under_filters() -> State:
    made = state(paused=True)
    assert made.status is not None
    made.status.rules.add(id=3, text="peer_ip 10.9.9.9", flow_hits=0, note="matches nothing yet")
    return made


def _plain_numbers(number: int) -> State:
    made = _set(number)
    made.human = False
    return made


def _filter_made() -> State:
    made = state(rows=flows(*FLOWS))
    made.made_filter = 3
    made.say("filter 3 added: peer_ip 10.0.0.1  applied 1/1 in 42 ms (generation 2)")
    return made


def _packets_of_a_flow() -> State:
    made = state(rows=flows(*FLOWS), packets=True)
    made.pages.append(Page(KINDS["packets"], title="packets of 10.0.0.1:40000 and 10.0.0.2:443"))
    return made


SCREENS: dict[str, tuple[Callable[[], State], int, int]] = {
    **{
        name: (_one_set(number), 110, 13)
        for number, name in enumerate(("endpoints", "names", "dns", "drops", "rtt", "tcp"))
    },
    "by-name": (lambda: _level(1), 110, 13),
    "by-owner": (lambda: _level(3), 110, 13),
    "selected": (lambda: _pressed("tab", "tab"), 110, 13),
    "menu": (lambda: _pressed("tab", "tab", "f"), 110, 16),
    "keywords": (lambda: _pressed(*"tcp", "enter", *"10.0"), 110, 13),
    "no-match": (lambda: _pressed(*"tcp", "enter", *"nowhere", "enter"), 110, 13),
    "details": (lambda: _pressed("enter"), 80, 34),
    "details-low": (lambda: _pressed("enter", *["down"] * 9), 60, 9),
    "help": (lambda: _pressed("?"), 100, 28),
    "narrow": (lambda: _pressed("right", "right", "right"), 40, 12),
    "low": (_pressed, 60, 4),
    "plain-numbers": (lambda: _plain_numbers(0), 110, 13),
    "plain-rtt": (lambda: _plain_numbers(4), 110, 13),
    "filter-made": (_filter_made, 110, 13),
    "waiting": (state, 100, 10),
    "waiting-filtered": (_empty_under_filters, 100, 10),
    "waiting-drops": (lambda: state("drops"), 100, 10),
    "waiting-connection": (_packets_of_a_flow, 100, 10),
    "packets": (lambda: state("packets", make("packet", PACKET), packets=True), 110, 9),
    "dns-exchange": (lambda: state("dns", make("dns", DNS), features=["dns"]), 110, 9),
    "drops-reasons": (lambda: state("drops", make("packet_drop", DROP), features=["drops"]),
                      110, 9),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def drawn(name: str) -> str:
    make_state, width, height = SCREENS[name]
    return "\n".join(screen(make_state(), width=width, height=height)) + "\n"


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_what_its_golden_file_says(name: str) -> None:
    assert drawn(name) == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("name", SCREENS)
def test_every_screen_fits_every_terminal(name: str) -> None:
    for width, height in itertools.product((1, 7, 20, 40, 65, 79, 200), (1, 2, 3, 5, 8, 50)):
        lines = screen(SCREENS[name][0](), width=width, height=height)
        assert len(lines) == height
        assert max(map(get_cwidth, lines)) <= width
        assert "\x1b" not in "".join(lines)


def test_columns_are_squeezed_before_they_are_left_out() -> None:
    columns = state().page.visible()
    natural = [12, 40, 40, 5, 10, 7, 8, 3, 20, 10, 9, 6]
    wide, none_out = fit(columns, natural, 200, gap=2, keep=6)
    assert (wide, none_out) == (natural, 0)
    well, out = fit(columns, natural, 120, gap=2, keep=6)
    assert sum(well) + 2 * (len(well) - 1) <= 120
    assert min(well[1:3]) >= 26, "names are whole before there is room for all"
    assert 0 < out < 5
    squeezed, out = fit(columns, natural, 90, gap=2, keep=6)
    assert sum(squeezed) + 2 * (len(squeezed) - 1) <= 90
    assert (len(squeezed), out) == (6, 6)
    few, out = fit(columns, natural, 60, gap=1, keep=6)
    assert len(few) + out == len(columns)
    assert few[1] >= 15


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("short", 9, "short"), ("a long word", 8, "a lon..."), ("日本語です", 7, "日本..."),
     ("日本", 3, "日"), ("abc", 2, "ab"), ("abc", 0, "")],
)  # fmt: skip
def test_text_is_cut_by_columns(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown


def test_columns_do_not_get_narrower_while_rows_go() -> None:
    made = state(rows=flows({"Interface": "a-rather-long-name"}))
    before = screen(made, width=200)[2].index("seen on")
    columns, rows = flows(*[{"TimeFlowEndMs": START_MS + 12}] * 5000, first=2)
    made.page.arrive(rows, columns, skipped=0)
    assert screen(made, width=200)[2].index("seen on") == before


def test_skipped_rows_are_told() -> None:
    made = state()
    columns, rows = flows({})
    made.page.arrive(rows, columns, skipped=1234)
    for width in (110, 80, 40):
        title = screen(made, width=width)[0]
        assert title.startswith(" flows")
        assert title.endswith("1 row, 1,234 skipped: too fast")


NOW_MS = START_MS + 60_000


def chart(*rows: tuple[int, str, str | None, int, int], sampling: tuple[int, ...] = ()) -> Chart:
    """Filled with: seconds ago, address, name, bytes, bound; all at these rates of sampling."""
    made = Chart()
    last = (NOW_MS - 2000) // 1000 - 1
    found = [(last - ago, *rest, *(sampling or (1, 1))) for ago, *rest in rows]
    made.take(NOW_MS, made.since_ms(NOW_MS), found)
    return made


def chart_text(
    of: Chart, *, width: int = 60, height: int = 16, unicode: bool = True, human: bool = True
) -> str:
    lines = draw_chart(of, NAMES, width=width, height=height, unicode=unicode, human=human)
    assert len(lines) <= height
    shown = ["".join(text for _, text in line).rstrip() for line in lines]
    assert max(map(get_cwidth, shown)) <= width
    return "\n".join(shown) + "\n"


TALKERS = [
    *((ago, "10.0.0.1", "shop/web", 60_000, 0) for ago in range(40)),
    *((ago, "10.0.0.9", None, 30_000, 0) for ago in range(10, 30)),
    *((5, f"10.0.1.{number}", None, 100 + number, 0) for number in range(6)),
]


@pytest.mark.parametrize("unicode", [True, False])
def test_the_chart_is_what_its_golden_file_says(*, unicode: bool) -> None:
    golden = GOLDEN / f"chart{'' if unicode else '-ascii'}.txt"
    assert chart_text(chart(*TALKERS), unicode=unicode) == golden.read_text()


def test_a_chart_in_ascii_has_nothing_else_in_it() -> None:
    assert chart_text(chart(*TALKERS), unicode=False).isascii()


@pytest.mark.parametrize("size", [(30, 3), (40, 5), (200, 50)])
def test_a_chart_fits_its_place(size: tuple[int, int]) -> None:
    chart_text(chart(*TALKERS), width=size[0], height=size[1])


@pytest.mark.parametrize(
    ("rates", "told"),
    [((1, 1), "by sender, last"), ((1000, 1000), "by sender, times 1,000 for sampling, last"),
     ((1, 10), "by sender, scaled by sampling, last")],
)  # fmt: skip
def test_a_chart_says_what_sampling_made_of_it(rates: tuple[int, int], told: str) -> None:
    assert told in chart_text(chart(*TALKERS, sampling=rates), width=100)


def test_a_chart_has_plain_numbers_where_these_are_wanted() -> None:
    text = chart_text(chart((1, "10.0.0.1", None, 123_456_789_012, 0)), width=100, human=False)
    assert "123456789012/s peak" in text
    assert "\n 200000000000/s\n" in text


def test_the_figures_of_details_are_plain_where_these_are_wanted() -> None:
    made = _pressed("tab", "tab", "enter")
    assert any("(2.0 kB)" in line for line in screen(made, height=50))
    made.human = False
    text = "\n".join(screen(made, height=50))
    assert "1953" in text
    assert "kB" not in text
    assert "(TCP)" in text


def test_a_narrow_legend_leaves_the_peaks_out_and_the_shares_in() -> None:
    text = chart_text(chart(*TALKERS), width=40)
    assert "peak" not in text
    assert " 10.0.0.1 sh...    60.0 kB/s now   80%" in text
    assert "60.0 kB/s peak   80%" in chart_text(chart(*TALKERS), width=56)


def test_an_empty_chart_says_so() -> None:
    assert "no traffic in this window yet" in chart_text(chart())


def test_a_talker_keeps_its_mark_while_it_is_among_the_first() -> None:
    made = chart(*((1, f"10.0.0.{n}", None, 100 * n, 0) for n in range(1, 6)))
    before = dict(made.slots)
    made.take(
        NOW_MS + 1000,
        NOW_MS - 2000,
        [((NOW_MS - 2000) // 1000, "10.0.0.77", None, 10**6, 0)],
    )
    assert {t: s for t, s in made.slots.items() if t != "10.0.0.77"} == {
        t: s for t, s in before.items() if t in made.slots
    }
    assert len(made.slots) == 5


def test_buckets_that_are_asked_for_again_replace_what_was_known() -> None:
    made = chart((1, "10.0.0.1", None, 100, 0), (50, "10.0.0.1", None, 7, 0))
    bucket = (NOW_MS - 3000) // 1000
    made.take(NOW_MS + 500, made.since_ms(NOW_MS + 500), [(bucket, "10.0.0.1", None, 300, 0)])
    assert made.totals() == {"10.0.0.1": 307}


def test_rows_that_were_not_looked_at_are_told_of() -> None:
    assert "too many rows for more" in chart_text(chart((1, "10.0.0.1", None, 5, NOW_MS - 5000)))


def test_a_status_without_agents_is_told_while_waiting() -> None:
    made = state()
    made.status = status()
    made.status.agents[0].connected = False
    assert any("no agent is connected" in line for line in screen(made))
    made.status = None
    assert any("the collector has not answered yet" in line for line in screen(made))


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    time.tzset()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for each in SCREENS:
        (GOLDEN / f"{each}.txt").write_text(drawn(each))
    for ascii_only in (False, True):
        file = GOLDEN / f"chart{'-ascii' if ascii_only else ''}.txt"
        file.write_text(chart_text(chart(*TALKERS), unicode=not ascii_only))

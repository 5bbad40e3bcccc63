"""What keys do to a view: keywords, order, columns, selection, pause, filters of a row."""

from __future__ import annotations

import pytest

from nshell.filters import parse_rule
from nshell.shell.view.actions import AddFilter, DrawChart, Leave, ShowPackets, SwitchOn, TakeBack
from nshell.shell.view.choices import Menu, choices
from nshell.shell.view.rows import Rows, select
from nshell.shell.view.state import Details, Help
from tests.shell.viewrows import flows, keys, make, screen, seen, state

TALK = (
    {"SrcAddr": "10.0.0.9", "Bytes": 10},
    {"DstPort": 53, "Proto": 17, "Flags": None, "Bytes": 3000},
    {"SrcK8S_Namespace": "shop", "SrcK8S_Name": "web-1", "SrcK8S_Type": "Pod", "Bytes": None},
    {"SrcAddr": "fd00::8", "DstAddr": "fd00::7", "TimeFlowRttNs": 450_000},
)


def test_the_newest_row_is_on_top() -> None:
    assert seen(state(rows=flows(*TALK))) == [4, 3, 2, 1]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("nodejs", [1]),
        ("NODEJS", [1]),
        ("udp", [2]),
        ("web-1", [3]),
        ("!udp", [4, 3, 1]),
        ("DstPort=53", [2]),
        ("dstport:53", [2]),
        ("DstPort=5", []),
        ("DstPort=", [4, 3, 2, 1]),
        ("Bytes>1000", [4, 2]),
        ("Bytes<=10", [1]),
        ("!Bytes>1000", [3, 1]),
        ("Proto=tcp", [4, 3, 1]),
        ("SrcK8S_Name=null", [4, 2, 1]),
        ("fd00::7", [4]),
        ("nowhere:7", []),
        ("SYN|ACK|PSH", [4, 3, 1]),
        ("!", [4, 3, 2, 1]),
    ],
)
def test_a_keyword_keeps_rows(words: str, left: list[int]) -> None:
    made = state(rows=flows(*TALK))
    keys(made, "/", *words)
    assert seen(made) == left


def test_typing_alone_begins_a_keyword_and_enter_keeps_it() -> None:
    made = state(rows=flows(*TALK))
    keys(made, *"tcp", "enter", *"10.0.0.9")
    assert made.page.keywords == ["tcp"]
    assert made.page.typed == "10.0.0.9"
    assert seen(made) == [1]


def test_letters_that_are_keys_are_letters_once_a_keyword_is_begun() -> None:
    made = state(rows=flows(*TALK))
    assert keys(made, "/", *"fpsqoe") == []
    assert made.page.typed == "fpsqoe"
    keys(made, "escape", "n", *"fpsqoe j?")
    assert made.page.typed == "nfpsqoe j?"


def test_backspace_takes_letters_then_kept_words() -> None:
    made = state(rows=flows(*TALK))
    keys(made, *"tcp", "enter", *"u", "backspace", "backspace")
    assert made.page.keywords == []
    assert seen(made) == [4, 3, 2, 1]


def test_keywords_hold_for_rows_that_come_later() -> None:
    made = state(rows=flows(*TALK))
    keys(made, *"udp", "enter")
    columns, later = flows(*TALK, first=5)
    made.page.arrive(later, columns, skipped=0)
    assert seen(made) == [6, 2]


def test_rows_are_ordered_by_another_column_and_the_other_way_round() -> None:
    made = state(rows=flows(*TALK))
    keys(made, "o")
    assert seen(made) == [2, 4, 1, 3]
    keys(made, "O")
    assert seen(made) == [1, 4, 2, 3], "rows without a value come last either way"


def test_a_column_of_mixed_types_can_be_ordered() -> None:
    made = state(rows=flows({"Bytes": "many"}, {"Bytes": 5}))
    keys(made, "o")
    assert seen(made) == [1, 2]


def test_what_arrives_while_paused_is_there_afterwards() -> None:
    made = state(rows=flows(*TALK))
    keys(made, " ")
    columns, later = flows({}, {}, first=5)
    made.page.arrive(later, columns, skipped=0)
    assert seen(made) == [4, 3, 2, 1]
    assert "PAUSED, 2 new rows wait" in screen(made)[0]
    keys(made, " ")
    assert seen(made) == [6, 5, 4, 3, 2, 1]


def test_keywords_work_on_what_is_held_still() -> None:
    made = state(rows=flows(*TALK))
    keys(made, " ", *"udp")
    assert seen(made) == [2]


def test_columns_and_ends_go_round() -> None:
    made = state(rows=flows(*TALK))
    titles = []
    for _ in range(6):
        titles.append(made.page.kind.sets[made.page.set_number].title)
        keys(made, "right")
    assert titles == ["endpoints", "names", "DNS", "drops", "RTT", "TCP"]
    assert made.page.set_number == 0
    keys(made, "left")
    assert made.page.set_number == 5
    levels = []
    for _ in range(7):
        levels.append(made.page.kind.levels[made.page.level].title)
        keys(made, "pagedown")
    assert levels == ["IP & port", "name", "namespace", "owner", "node", "zone", "none"]
    keys(made, "pageup")
    assert made.page.kind.levels[made.page.level].title == "none"


def test_up_and_down_change_how_many_rows_there_are() -> None:
    made = state(rows=flows(*[{}] * 30))
    whole = len(made.page.window(made.room))
    keys(made, "down", "down")
    assert len(made.page.window(made.room)) == whole - 2
    keys(made, "up", "up", "up")
    assert made.page.limit is None
    keys(made, *["down"] * 100)
    assert made.page.limit == 1


def test_a_row_that_is_selected_holds_the_table_until_escape() -> None:
    made = state(rows=flows(*TALK))
    keys(made, "tab", "j")
    assert made.page.selected == 3
    columns, later = flows({}, first=5)
    made.page.arrive(later, columns, skipped=0)
    assert seen(made) == [4, 3, 2, 1]
    keys(made, "k", "k")
    assert made.page.selected == 4
    keys(made, "escape")
    assert seen(made) == [5, 4, 3, 2, 1]
    assert not any(line.startswith(">") for line in screen(made))


def test_the_selection_scrolls_the_table() -> None:
    made = state(rows=flows(*[{}] * 30))
    keys(made, "end")
    assert made.page.window(5)[-1].id == 1
    keys(made, "home")
    assert made.page.window(5)[0].id == 30


def test_escape_twice_leaves_but_another_key_between_does_not() -> None:
    made = state(rows=flows(*TALK))
    assert keys(made, "escape") == []
    assert "Esc again leaves" in "\n".join(screen(made))
    assert keys(made, "right", "escape") == []
    assert keys(made, "escape") == [Leave("escape")]


@pytest.mark.parametrize("key", ["q", "c-c", "c-d"])
def test_keys_that_leave(key: str) -> None:
    assert keys(state(), key) == [Leave(key)]


@pytest.mark.parametrize("opening", ["f", "s", "?", "enter"])
def test_control_c_leaves_from_everywhere(opening: str) -> None:
    made = state(rows=flows(*TALK))
    keys(made, opening)
    assert made.over is not None
    assert keys(made, "c-c") == [Leave("c-c")]


def test_f_offers_filters_that_a_filter_understands() -> None:
    made = state(rows=flows(*TALK))
    keys(made, "f")
    assert isinstance(made.over, Menu)
    for row in made.page.shown():
        offered = choices(row, ("Src", "Dst"))
        assert len(offered) >= 5
        for words in offered:
            parse_rule(words)
            parse_rule(("reject", *words))


def test_the_filter_of_the_chosen_line_is_made() -> None:
    made = state(rows=flows({}))
    assert keys(made, "f", "2") == [AddFilter(("peer_ip", "10.0.0.2"))]
    assert made.over is None
    both = ("cidr", "10.0.0.1/32", "peer_cidr", "10.0.0.2/32")
    assert keys(made, "f", "down", "down", "enter") == [AddFilter(both)]
    assert keys(made, "f", "r", "4") == [
        AddFilter(("reject", "port", "443", "protocol", "tcp")),
    ]
    assert keys(made, "f", "escape") == []
    assert made.over is None


def test_the_filter_made_last_is_taken_back() -> None:
    made = state(rows=flows(*TALK))
    assert not any("F deletes" in line for line in screen(made))
    made.made_filter = 3
    assert "F deletes filter 3" in screen(made)[-2]
    assert keys(made, "F") == [TakeBack()]
    assert keys(made, "/", "F") == []
    assert "F deletes" not in screen(made)[-2], "letters are a keyword's"


def test_filters_on_a_cluster_name_what_has_the_address() -> None:
    row = flows(
        {"SrcK8S_Namespace": "shop", "SrcK8S_Name": "web-1", "SrcK8S_Type": "Pod",
         "DstK8S_Name": "worker-1", "DstK8S_Type": "Node"},
    )[1][0]  # fmt: skip
    offered = choices(row, ("Src", "Dst"))
    assert ("pod", "shop/web-1") in offered
    assert ("node", "worker-1") in offered


def test_a_row_without_addresses_has_neither_filter_nor_packets() -> None:
    nothing = dict.fromkeys(("SrcAddr", "DstAddr", "SrcPort", "DstPort", "Proto"))
    made = state(rows=flows(nothing))
    assert keys(made, "f", "p") == []
    assert made.over is None
    assert "its packets cannot be told" in made.message


def test_p_asks_for_packets_of_the_selected_row() -> None:
    made = state(rows=flows(*TALK))
    (action,) = keys(made, "tab", "tab", "p")
    assert isinstance(action, ShowPackets)
    assert action.row.id == 3


def test_enter_shows_all_of_a_row_and_escape_closes_it() -> None:
    made = state(rows=flows(*TALK))
    keys(made, "enter")
    assert isinstance(made.over, Details)
    assert made.over.row.id == 4
    keys(made, "escape")
    assert made.over is None


def test_enter_on_a_column_keeps_the_rows_like_it() -> None:
    made = state(rows=flows(*TALK))
    keys(made, "enter")
    assert isinstance(made.over, Details)
    at = [name for name, _ in made.over.cells].index("DstPort")
    keys(made, *["down"] * at, "enter")
    assert made.page.keywords == ["DstPort=443"]
    assert seen(made) == [4, 3, 1]
    keys(made, "enter", "end", "home", "enter")
    assert made.page.keywords == ["DstPort=443", "SrcAddr=fd00::8"]


@pytest.mark.parametrize(
    ("typed", "becomes", "offered"),
    [
        ("dstp", "DstPort=", "DstPort"),
        ("!dstp", "!DstPort=", "DstPort"),
        ("Src", "Src", "SrcAddr, SrcPort, SrcMac"),
        ("DstPort=", "DstPort=", "443, 53"),
        ("DstPort=4", "DstPort=443", "443"),
        ("proto=", "proto=", "TCP, UDP"),
        ("nonsense", "nonsense", "nothing that begins like this"),
        ("nonsense=1", "nonsense=1", "nothing that begins like this"),
    ],
)
def test_tab_completes_fields_and_values(typed: str, becomes: str, offered: str) -> None:
    made = state(rows=flows(*TALK))
    keys(made, "/", *typed, "tab")
    assert made.page.typed == becomes
    assert made.message.startswith(offered)
    assert not made.page.paused


def test_the_help_scrolls_where_there_is_no_room() -> None:
    made = state(rows=flows(*TALK))
    keys(made, "?")
    assert isinstance(made.over, Help)
    first = screen(made, width=50, height=12)
    keys(made, *["down"] * 99)
    assert screen(made, width=50, height=12)[3:8] != first[3:8]


def test_e_switches_on_what_the_columns_need() -> None:
    made = state(rows=flows(*TALK))
    assert keys(made, "e") == []
    keys(made, "right", "right")
    screen(made)
    assert keys(made, "e") == [SwitchOn("enable dns")]
    made = state("packets")
    assert keys(made, "e") == [SwitchOn("capture packets on")]


def test_s_draws_a_chart_and_closes_it() -> None:
    made = state(rows=flows(*TALK))
    (action,) = keys(made, "s")
    assert isinstance(action, DrawChart)
    assert action.chart is made.over
    keys(made, "s")
    assert made.over is None


def test_only_the_newest_rows_are_kept() -> None:
    rows = Rows(most=3)
    rows.add(flows(*[{}] * 5)[1], skipped=7)
    assert [row.id for row in rows.kept] == [3, 4, 5]
    assert (rows.arrived, rows.skipped) == (5, 7)


@pytest.mark.parametrize(
    ("what", "table"), [("packets", "packet"), ("dns", "dns"), ("drops", "packet_drop")]
)
def test_every_column_of_every_view_takes_an_empty_row(what: str, table: str) -> None:
    made = state(what, make(table, {}))
    for number in range(len(made.page.kind.sets)):
        made.page.set_number = number
        for level in range(len(made.page.kind.levels)):
            made.page.level = level
            assert "1 row" in screen(made)[0]


def test_losses_are_told_from_what_the_kernel_puts_away() -> None:
    columns, rows = make("packet_drop", {"Loss": 1, "Reason": "A"}, {"Loss": 0, "Reason": "B"})
    assert [row["Reason"] for row in select(rows, ["Loss=1"], columns)] == ["A"]

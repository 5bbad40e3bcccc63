"""Filters, settings and generations, without any IO."""

from __future__ import annotations

import pytest

from nshell.collector.messages import desired_state
from nshell.collector.session import ChangeError, Session, Settings
from nshell.filters import MAX_RULES, FilterError, parse_rule


def words(text: str) -> list[str]:
    """As typed."""
    return text.split()


def ids(session: Session) -> list[int]:
    """Of the filters in force, in order."""
    return [each.id for each in session.present.rules]


def test_filters_are_numbered_from_one_and_numbers_are_never_used_again() -> None:
    session = Session(Settings())
    assert [session.add_filter(words(f"port {port}")) for port in (80, 81, 82)] == [
        (1,),
        (2,),
        (3,),
    ]
    assert session.delete_filters([3]) == (3,)
    assert session.add_filter(words("port 83")) == (4,)
    assert ids(session) == [1, 2, 4]


def test_filters_given_at_the_start_are_numbered_too() -> None:
    session = Session(Settings(), [parse_rule(words("port 80")), parse_rule(words("port 81"))])
    assert ids(session) == [1, 2]
    assert session.present.number == 1


def test_a_replaced_filter_keeps_its_number_and_place() -> None:
    session = Session(Settings())
    for port in (80, 81, 82):
        session.add_filter(words(f"port {port}"))
    assert session.replace_filter(2, words("protocol icmp")) == (2,)
    assert [(each.id, each.rule.text) for each in session.present.rules] == [
        (1, "port 80"),
        (2, "protocol icmp"),
        (3, "port 82"),
    ]


def test_every_change_makes_a_generation_and_none_is_altered() -> None:
    session = Session(Settings())
    first = session.present
    session.add_filter(words("port 80"))
    second = session.present
    session.clear_filters()
    assert [first.number, second.number, session.present.number] == [1, 2, 3]
    assert [len(each.rules) for each in (first, second, session.present)] == [0, 1, 0]


def test_a_change_that_changes_nothing_makes_no_generation() -> None:
    session = Session(Settings(flows=True))
    session.set(flows=True)
    session.clear_filters()
    assert session.present.number == 1


def test_the_sixty_fifth_filter_is_refused_and_nothing_changes() -> None:
    session = Session(Settings())
    for port in range(1, 65):
        session.add_filter(words(f"port {port}"))
    before = session.present
    with pytest.raises(ChangeError) as caught:
        session.add_filter(words("port 99"))
    assert str(caught.value) == ("64 filters are the limit: delete one first, see `filter list`")
    assert session.present is before
    session.delete_filters([1])
    assert session.add_filter(words("port 99")) == (65,)


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (0, "no filter 9: there are no filters"),
        (1, "no filter 9: there is only 1"),
        (3, "no filter 9: there are 1, 2 and 3"),
    ],
)
def test_an_unknown_number_names_those_that_are_there(count: int, line: str) -> None:
    session = Session(Settings())
    for port in range(1, count + 1):
        session.add_filter(words(f"port {port}"))
    before = session.present
    with pytest.raises(ChangeError) as deleting:
        session.delete_filters([1, 9] if count else [9])
    with pytest.raises(ChangeError) as replacing:
        session.replace_filter(9, words("port 80"))
    assert [str(deleting.value), str(replacing.value)] == [line, line]
    assert session.present is before


def test_a_wrong_filter_changes_nothing() -> None:
    session = Session(Settings())
    session.add_filter(words("port 80"))
    before = session.present
    with pytest.raises(FilterError):
        session.add_filter(words("prot tcp"))
    with pytest.raises(FilterError):
        session.replace_filter(1, words("port http-"))
    assert session.present is before
    assert session.add_filter(words("port 81")) == (2,)


@pytest.mark.parametrize("snaplen", [0, 14, 96, 262_144])
def test_snap_lengths_that_make_sense_are_taken(snaplen: int) -> None:
    session = Session(Settings())
    session.set(snaplen=snaplen)
    assert session.present.settings.snaplen == snaplen


@pytest.mark.parametrize("snaplen", [1, 13, 262_145])
def test_other_snap_lengths_are_refused(snaplen: int) -> None:
    session = Session(Settings())
    with pytest.raises(ChangeError, match=f"snaplen {snaplen} is out of range: 14 to 262144"):
        session.set(snaplen=snaplen)
    with pytest.raises(ChangeError):
        Session(Settings(snaplen=snaplen))


@pytest.mark.parametrize("sampling", [0, 1_000_001])
def test_sampling_out_of_range_is_refused(sampling: int) -> None:
    with pytest.raises(ChangeError, match=f"sampling {sampling} is out of range: 1 to 1000000"):
        Session(Settings()).set(sampling=sampling)


def test_a_paused_session_asks_for_no_capture_and_remembers_what_it_did() -> None:
    session = Session(Settings(flows=True, packets=True))
    session.set(paused=True)
    paused = desired_state(session.present)
    assert (paused.flows, paused.packets) == (False, False)
    session.set(paused=False)
    resumed = desired_state(session.present)
    assert (resumed.flows, resumed.packets) == (True, True)


def test_the_desired_state_says_all_of_a_rule() -> None:
    session = Session(Settings(snaplen=96, sampling=4))
    text = (
        "reject cidr 10.0.0.0/8 peer_cidr 192.168.0.0/16 sport 1000-2000 dport 80,443 "
        "protocol tcp tcp_flags syn/synack direction egress interface eth* for packets"
    )
    session.add_filter(words(text))
    state = desired_state(session.present)
    (rule,) = state.rules
    assert (state.generation, state.snaplen, state.sampling) == (2, 96, 4)
    assert (rule.id, rule.reject, rule.flows, rule.packets) == (1, True, False, True)
    assert [each.length for each in (*rule.either, *rule.peer)] == [104, 112]
    assert (rule.either[0].address[-4:], rule.peer[0].address[-4:]) == (
        bytes([10, 0, 0, 0]),
        bytes([192, 168, 0, 0]),
    )
    assert [(each.first, each.last) for each in (*rule.sport, *rule.dport, *rule.protocol)] == [
        (1000, 2000),
        (80, 80),
        (443, 443),
        (6, 6),
    ]
    assert [(each.mask, each.value) for each in rule.tcp_flags] == [(0x12, 0x02)]
    assert (list(rule.direction), list(rule.interface)) == ([1], ["eth*"])


def test_more_addresses_than_an_agent_holds_are_refused_and_nothing_changes() -> None:
    session = Session(Settings())
    hosts = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(40_000)]
    session.add_filter(["peer_ip", ",".join(hosts)])
    before = session.present
    with pytest.raises(ChangeError, match=r"80,000 addresses .* 65,536 are the limit"):
        session.add_filter(["peer_ip", ",".join(hosts)])
    assert session.present == before


def test_own_traffic_is_left_out_before_any_filter_and_takes_the_place_of_none() -> None:
    own = parse_rule(["reject", "cidr", "10.1.2.3"])
    session = Session(Settings(), own=[own])
    assert [each.rule for each in session.present.rules] == [own]
    session.add_filter(["port", "80"])
    assert [each.id for each in session.present.rules] == [0, 1]
    assert [each.id for each in session.rules] == [1]
    overlay = session.lay("why", [parse_rule(["port", "53"])], ["drops"])
    assert session.present.rules[0].rule == own
    session.lift(overlay)
    for port in range(1, MAX_RULES):
        session.add_filter(["port", str(port)])
    assert len(session.rules) == len(session.present.rules) == MAX_RULES
    session.clear_filters()
    assert [each.rule for each in session.present.rules] == [own]


def test_a_name_is_of_one_filter_and_stays_with_it() -> None:
    session = Session(Settings(), [parse_rule(["port", "80", "as", "web"])])
    session.add_filter(["port", "53"])
    with pytest.raises(ChangeError, match="filter 1 is named 'web' already"):
        session.add_filter(["port", "443", "as", "web"])
    with pytest.raises(ChangeError, match="filter 1 is named 'web' already"):
        session.replace_filter(2, ["port", "443", "as", "web"])
    assert [each.rule.text for each in session.rules] == ["port 80 as web", "port 53"]
    session.replace_filter(1, ["port", "8080"])
    assert [each.rule.text for each in session.rules] == ["port 8080 as web", "port 53"]
    session.replace_filter(1, ["port", "8080", "as", "www"])
    assert (session.filter_name(1), session.filter_name(2)) == ("www", None)
    session.delete_filters([1])
    assert session.filter_name(1) == "www", "its rows are still there"
    assert session.add_filter(["port", "80", "as", "web"]) == (3,)


def test_filters_that_share_a_name_are_refused_from_the_start() -> None:
    rules = [parse_rule(["port", port, "as", "web"]) for port in ("80", "443")]
    with pytest.raises(ChangeError, match="filter 1 is named 'web' already"):
        Session(Settings(), rules)

"""The words of NetObserv's CLI, and the rules that they make."""

from __future__ import annotations

import shlex

import pytest

from nshell.filters import parse_rule, split_words
from nshell.netobservcli.command import flows, known_options, packets
from nshell.netobservcli.reading import Read, Reader
from nshell.netobservcli.rules import WordError, excluding, rule_text, within
from nshell.netobservcli.values import TCP_FLAGS, interface


def read(line: str, *, command: str = "flows") -> Read:
    options = known_options(flows if command == "flows" else packets)
    return Reader(options, command=command).read(shlex.split(line))


def rules(line: str) -> list[str]:
    return [rule_text(each) for each in read(line).rules]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--direction=Ingress", "direction ingress"),
        ("--direction=EGRESS", "direction egress"),
        ("--cidr=10.128.0.0/14", "cidr 10.128.0.0/14"),
        ("--cidr=0.0.0.0/0", "cidr 0.0.0.0/0"),
        ("--cidr=10.0.0.0/8 --peer_cidr=172.30.0.0/16",
         "cidr 10.0.0.0/8 peer_cidr 172.30.0.0/16"),
        ("--peer_ip=10.129.0.48", "peer_ip 10.129.0.48"),
        ("--protocol=tcp", "protocol tcp"),
        ("--protocol=TCP", "protocol tcp"),
        ("--protocol=icmpV6", "protocol icmpv6"),
        ("--protocol=SCTP --dport=2905", "dport 2905 protocol sctp"),
        ("--protocol=50", "protocol esp"),
        ("--port=80", "port 80"),
        ("--sport=53", "sport 53"),
        ("--dport=443", "dport 443"),
        ("--port_range=80-100", "port 80-100"),
        ("--sport_range=1024-65535", "sport 1024-65535"),
        ("--dport-range 8000-8100", "dport 8000-8100"),
        ("--ports=80,443", "port 80,443"),
        ("--sports=53,5353", "sport 53,5353"),
        ("--dports=1,2,3", "dport 1,2,3"),
        ("--port=80 --port=443", "port 80,443"),
        ("--icmp_type=0", "icmp_type 0"),
        ("--protocol=ICMP --icmp_type=3 --icmp_code=0", "protocol icmp icmp_type 3 icmp_code 0"),
        ("--tcp_flags=SYN", "tcp_flags syn/fin+syn+ack"),
        ("--tcp_flags=syn-ack", "tcp_flags syn+ack"),
        ("--tcp_flags=PSH", "tcp_flags psh"),
        ("--tcp_flags=RST,RST-ACK", "tcp_flags rst/rst+ack,rst+ack"),
        ("--tcp_flags=syn/synack", "tcp_flags syn/syn+ack"),
        ("--action=Accept --port=80", "port 80"),
        ("--action=reject --port=22", "reject port 22"),
        ("--filter='pod shop/web* port 80'", "pod shop/web* port 80"),
        ("tcp,80", "port 80 protocol tcp"),
        ("UDP,domain", "port 53 protocol udp"),
    ],
)  # fmt: skip
def test_an_option_is_a_predicate(line: str, expected: str) -> None:
    assert rules(line) == [expected]
    assert parse_rule(split_words(expected)).text == expected


def test_the_command_of_the_article_is_one_rule_and_three_features() -> None:
    given = read(
        "--enable_pktdrop=true --enable_dns=true --enable_rtt=true --enable_filter=true"
        " --peer_ip=10.129.0.48"
    )
    assert given.rules == ((("peer_ip", "10.129.0.48"),),)
    assert given.rest == ("--enable_pktdrop", "--enable_dns", "--enable_rtt", "--enable_filter")


def test_or_begins_a_rule_and_all_of_them_are_kept_in_order() -> None:
    line = "--protocol=TCP --port=8080 or --protocol=UDP --enable_dns OR --action=Reject --port=22"
    assert rules(line) == ["port 8080 protocol tcp", "protocol udp", "reject port 22"]
    assert read(line).rest == ("--enable_dns",)


def test_rules_in_the_language_of_the_shell_stand_for_themselves() -> None:
    line = "--filter 'service shop/db' --filter 'port 53' or --port=80"
    assert rules(line) == ["service shop/db", "port 53", "port 80"]


@pytest.mark.parametrize(
    ("line", "rest"),
    [
        ("--enable_rtt", ("--enable_rtt",)),
        ("--enable-rtt=TRUE", ("--enable_rtt",)),
        ("--Enable_RTT true", ("--enable_rtt",)),
        ("--enable_rtt=false", ()),
        ("--enable_rtt --enable_rtt=false", ()),
        ("--enable_pkt_drop", ("--enable_pktdrop",)),
        ("--max_time=1m --max-bytes 1G", ("--max-time=1m", "--max-bytes=1G")),
        ("--copy", ("--copy=true",)),
        ("--copy Prompt --local", ("--copy=Prompt", "--local")),
        ("--copy tcp,80", ("--copy=true",)),
        ("-i eth0 --local", ("-i", "eth0", "--local")),
        ("--interfaces=eth0,eth1", ("--interfaces=eth0,eth1",)),
        ("--log_level debug", ("--log-level=debug",)),
        ("--node-selector=zone:a", ("--node-selector=zone:a",)),
        ("--privileged=false --local", ("--local",)),
        ("--get-subnets FALSE --yaml=false --enable_ipsec=False", ()),
    ],
)
def test_a_switch_is_on_by_its_name_and_names_are_written_either_way(
    line: str, rest: tuple[str, ...]
) -> None:
    assert read(line).rest == rest


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("--protocol=tpc", "--protocol: unknown value 'tpc': one of TCP, UDP, SCTP, ICMP, ICMPv6"),
        ("--direction=inside", "--direction: unknown value 'inside': one of Ingress, Egress"),
        ("--action=Drop", "--action: unknown value 'Drop': one of Accept, Reject"),
        ("--tcp_flags=SNY", "--tcp_flags: unknown value 'SNY': did you mean 'SYN'? There are "
                            + ", ".join(TCP_FLAGS)),
        ("--enable_dns=yes", "--enable_dns: unknown value 'yes': one of true, false"),
        ("--sport=99999", "--sport: port '99999' is out of range: 0 to 65535"),
        ("--port_range=80", "--port_range: '80' is not a range, such as 80-100"),
        ("--port_range=90-80", "--port_range: port range 90-80 runs backwards: "
                               "write it as 80-90?"),
        ("--ports=80,", "--ports: port has an empty value in '80,', e.g. `filter port 80,443`"),
        ("--cidr=10.0.0.0/33", "--cidr: "),
        ("--peer_ip=10.0.0.0/8", "--peer_ip: "),
        ("--protocol=ICMP --port=80", "these options: protocol icmp has no ports: "),
        ("--action=Reject", "--action alone matches nothing: say what it is for, such as "
                            "--protocol=TCP"),
        ("--protocoll=TCP", "no such option '--protocoll': did you mean --protocol?"),
        ("--xport=80", "no such option '--xport': did you mean --port?"),
        ("--frobnicate", "no such option '--frobnicate': `netobserv flows --help` lists the "
                         "options"),
        ("--port", "--port needs a value: --port=VALUE"),
        ("--port --dport=80", "--port needs a value: --port=VALUE"),
        ("--port=", "--port needs a value: --port=VALUE"),
        ("-i", "-i needs a value: -i VALUE"),
        ("local", "'local': write it as --local"),
        ("--query=false", "--query: use --filter "),
        ("protocol=TCP", "'protocol=TCP': write it as --protocol=TCP"),
        ("80", "'80': write it as --port=80"),
        ("icmp", "'icmp': write it as --protocol=icmp"),
        ("everything", "'everything' is not understood: flows takes PROTOCOL,PORT such as tcp,80, "
                       "options, and `or` between rules"),
        ("tcp,80 udp,53", "'udp,53': another rule: put `or` before it"),
        ("or --port=80", "nothing to match stands before `or`: it stands between two rules"),
        ("--port=80 or", "nothing to match follows `or`: it stands between two rules"),
        ("--port=80 or or --port=81", "nothing to match stands before `or`: it stands between "
                                      "two rules"),
        ("--filter 'port 80' --dport=81", "--filter is a whole rule: put `or` between it and "
                                          "other options"),
        ("--filter 'prot tcp'", "--filter: unknown predicate 'prot': did you mean 'port' "
                                "or 'protocol'?"),
        ("--enable_filter=false --port=80", "--enable_filter=false: leave it out, or the options "
                                            "of the filter"),
        ("--get-subnets", "--get-subnets: no labels of subnets here: "),
        ("--yaml=true", "--yaml: `netobserv manifests` prints "),
        ("--query=x", "--query: use --filter "),
        ("--enable_network_events", "--enable_network_events: not observed here: "),
    ],
)  # fmt: skip
def test_a_wrong_word_is_one_line_that_says_what_is_right(line: str, why: str) -> None:
    with pytest.raises(WordError) as caught:
        rules(line)
    assert str(caught.value).startswith(why)
    assert "\n" not in str(caught.value)


def test_packets_knows_no_features() -> None:
    with pytest.raises(WordError, match="--enable_rtt is for `netobserv flows`"):
        read("--enable_rtt", command="packets")
    assert read("--enable_rtt=false --enable_all false tcp,80", command="packets").rest == ()


@pytest.mark.parametrize(
    ("word", "glob"),
    [
        ("eth0", "eth0"),
        ("veth*", "veth*"),
        ("/^veth/", "veth*"),
        ("/eth0$/", "*eth0"),
        (r"/^eth\.1.$/", "eth.1?"),
        ("/^ovn.*int$/", "ovn*int"),
        ("/lo/", "*lo*"),
    ],
)
def test_an_interface_is_a_name_a_glob_or_a_simple_regular_expression(word: str, glob: str) -> None:
    assert interface(word) == glob


@pytest.mark.parametrize("word", ["/eth[01]/", "/^(a|b)/", "/eth", ""])
def test_what_globs_cannot_say_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"\* and \?|has a name"):
        interface(word)


def test_excluded_interfaces_are_a_rule_that_goes_first() -> None:
    assert excluding(["lo", "veth*"]) == "reject interface lo,veth*"


@pytest.mark.parametrize("flag", TCP_FLAGS)
def test_every_class_of_tcp_flags_is_a_rule(flag: str) -> None:
    assert rules(f"--tcp_flags={flag.lower()}") == rules(f"--tcp_flags={flag}")


@pytest.mark.parametrize(
    ("rules_", "expected"),
    [
        ([], ["namespace shop,web"]),
        (["port 80"], ["namespace shop,web port 80"]),
        (["reject interface lo", "port 80 for flows"],
         ["reject interface lo", "namespace shop,web port 80 for flows"]),
        (["reject port 22"], ["reject port 22", "namespace shop,web"]),
    ],
)  # fmt: skip
def test_with_a_namespace_all_that_is_accepted_is_of_its_pods(
    rules_: list[str], expected: list[str]
) -> None:
    assert list(within(rules_, ["shop", "web"])) == expected


def test_a_namespace_beside_one_in_a_rule_is_refused() -> None:
    with pytest.raises(WordError, match="leave one of them out"):
        within(["namespace shop port 80"], ["web"])

"""docs/netobserv-cli.md: all that NetObserv's CLI has is here, or said to be elsewhere."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from nshell.cli import netobserv
from nshell.netobservcli.command import flows, known_options
from nshell.netobservcli.group import ELSEWHERE as COMMANDS_ELSEWHERE
from nshell.netobservcli.reading import ELSEWHERE, fold
from tests.docs.transcript import ROOT

TEXT = (ROOT / "docs/netobserv-cli.md").read_text()
COMMANDS = ("flows", "packets", "metrics", "follow", "stop", "copy", "cleanup", "version", "help")
OPTIONS = (
    "--enable_all --enable_dns --enable_rtt --enable_pkt_drop --enable_network_events"
    " --enable_udn_mapping --enable_pkt_translation --enable_ipsec --get-subnets --privileged"
    " --sampling --interfaces --exclude_interfaces --background --copy --log-level --max-time"
    " --max-bytes --yaml --node-selector --query --include_list --action --cidr --peer_cidr"
    " --peer_ip --direction --protocol --port --sport --dport --port_range --sport_range"
    " --dport_range --ports --sports --dports --icmp_type --icmp_code --tcp_flags --drops"
    " --enable_pktdrop --enable_filter"
)
"""Of both, those that NetObserv's CLI has, and of the last those that it has had."""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_ours_or_elsewhere(name: str) -> None:
    assert f"`{name}`" in TEXT
    assert (name in netobserv.commands) != (name in COMMANDS_ELSEWHERE)


@pytest.mark.parametrize("option", OPTIONS.split())
def test_every_option_is_ours_or_refused_with_what_to_do_instead(option: str) -> None:
    ours = fold(option) in known_options(flows)
    assert ours != (fold(option) in ELSEWHERE)
    assert ours or f"`{option}`" in TEXT


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[\w-]+)", TEXT))))
def test_every_option_that_the_page_names_is_one(option: str) -> None:
    assert fold(option) in known_options(flows) or fold(option) in ELSEWHERE


@pytest.mark.parametrize("line", re.findall(r"^netobserv .*", TEXT, re.MULTILINE))
def test_a_command_line_of_the_page_is_one(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    netobserv.commands[name].make_context(name, arguments, parent=click.Context(netobserv))

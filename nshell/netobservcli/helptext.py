"""What `--help` of `flows` and `packets` says, so that no other page is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.netobservcli.rules import OPTIONS

if TYPE_CHECKING:
    import click

SECTIONS = {
    "Features": ("enable_pktdrop", "enable_dns", "enable_rtt", "enable_all", "drops"),
    "Rules, `or` between them": (*OPTIONS, "enable_filter"),
    "The capture": ("sampling", "snaplen", "max_time", "max_bytes", "copy", "background",
                    "fail_on_loss", "level"),
    "Where": ("local", "interfaces", "excluded", "namespaces", "node_labels", "nodes",
              "kubeconfig", "context", "agent_namespace", "session", "image", "lease"),
}  # fmt: skip
"""Of the options, by the names that click has for them."""

_ENDS = """\b
Ends:
  Ctrl-C, q in the view, SIGTERM, --max-time or --max-bytes: the files are written,
  their names printed, the session is closed and nothing stays behind. A second
  Ctrl-C while they are written drops what is not written yet.

"""
_STATUSES = """\b
Exit statuses:
  0 the files are written; 1 they could not be; 2 a wrong word or configuration,
  nothing was started; 3 no agent or cluster could be reached; 5 more was lost than
  --fail-on-loss allows; 130 interrupted, files are missing.

\b
Environment:
  KUBECONFIG, NETOBSERV_CONFIG, NO_COLOR, TERM (dumb: no view); NETOBSERV_KUBECONFIG,
  NETOBSERV_CONTEXT, NETOBSERV_NAMESPACE, NETOBSERV_IMAGE and NETOBSERV_LEASE are
  defaults of options.
"""
_RULES = """\b
Rules:
  Options make one rule until the bare word `or`; all of one rule must hold, several
  values of one option are alternatives. The first rule that matches decides, in the
  order given; where none does, it is captured unless there is a rule that accepts.

"""
EPILOGS = {
    "flows": """\b
Examples:
  netobserv flows --enable_pktdrop=true --enable_dns=true --enable_rtt=true \\
                  --enable_filter=true --peer_ip=10.129.0.48
  netobserv flows --protocol=TCP --port=8080 or --protocol=UDP
  netobserv flows --local --drops --background --max-time=1m
  netobserv flows --action=Reject --port=22

"""
    + _RULES
    + """\b
Files:
  ./output/flow/TIME.json   array of objects, a flow each, fields as the columns of
                            the table flow; what was not observed is left out
  ./output/flow/TIME.db     every table as an SQLite database
  TIME is when it began, UTC. No file is replaced.

"""
    + _ENDS
    + _STATUSES,
    "packets": """\b
Examples:
  netobserv packets tcp,80
  netobserv packets --protocol=UDP --port=53 --background --max-time=10m
  netobserv packets tcp,80 or --icmp_type=3 --snaplen=128
  netobserv packets --local -i eth0 --tcp_flags=SYN or --tcp_flags=RST

"""
    + _RULES
    + """\b
Files:
  ./output/pcap/TIME.pcapng   whole packets with their interfaces, for Wireshark and
                              tshark. TIME is when it began, UTC. No file is replaced.

"""
    + _ENDS
    + _STATUSES,
}


def write_sections(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """The options under headings; those in none come last."""
    rows = {
        str(parameter.name): record
        for parameter in command.get_params(ctx)
        if (record := parameter.get_help_record(ctx)) is not None
    }
    for title, names in SECTIONS.items():
        found = [rows.pop(name) for name in names if name in rows]
        if found:
            with formatter.section(title):
                formatter.write_dl(found)
    with formatter.section("Other"):
        formatter.write_dl(list(rows.values()))

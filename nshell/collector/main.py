"""The collector's command line.

Invariant: stdout stays empty; what is wrong with the options is one line on
stderr and exit status 2, before anything is made.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nshell.collector.lifetime import Limits
from nshell.collector.options import (
    DEFAULT_LEASE_SECONDS,
    DEFAULT_LIMIT_BYTES,
    LEAST_LIMIT_BYTES,
    Options,
    StartError,
)
from nshell.collector.resolution import unknown_cluster
from nshell.collector.session import ChangeError, Session, Settings, check_features
from nshell.filters import FilterError, parse_rule, split_words
from nshell.lifetime import KEEP_SECONDS, LONGEST_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nshell.tls import Credentials

USAGE_STATUS = 2
_KUBELET_PORT = 10250


def make_session(
    filters: Sequence[str], settings: Settings, *, kubernetes: bool, own: Sequence[str] = ()
) -> Session:
    """The session to start with; ChangeError or FilterError say what is wrong."""
    rules = [parse_rule(split_words(text)) for text in filters]
    spared = [parse_rule(split_words(f"reject {text}")) for text in own]
    return Session(settings, rules, resolve=unknown_cluster if kubernetes else None, own=spared)


def _own_traffic(addresses: Sequence[str], node: str, api_servers: Sequence[str]) -> list[str]:
    """Conditions on what agents, shells and the API server have to do with the collector."""
    own = ",".join(each for each in addresses if each)
    forwarded = f"cidr {node} peer_cidr {','.join(api_servers)} port {_KUBELET_PORT}"
    return [
        *([f"cidr {own}"] if own else []),
        *([forwarded] if node and api_servers else []),
    ]


def read_credentials(listen: str, directory: Path | None) -> Credentials | None:
    """What the server shows; StartError where it would serve a network in clear."""
    from nshell.tls import TlsError, is_open_to_others, read_server  # noqa: PLC0415  takes a while

    if directory is None:
        if is_open_to_others(listen):
            raise StartError(f"--listen {listen} can be reached from elsewhere: it needs --tls DIR")
        return None
    if listen.startswith("unix"):
        raise StartError(f"--tls is for HOST:PORT: {listen} is guarded by its directory's mode")
    try:
        return read_server(directory)
    except TlsError as error:
        raise StartError(f"--tls: {error}") from error


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--listen", required=True, help="unix:PATH or HOST:PORT to serve on.")
@click.option(
    "--tls",
    "tls_directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Mutual TLS with ca.crt, tls.crt and tls.key of this directory.",
)
@click.option(
    "--directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the rows and packets are kept; made if it is not there.",
)
@click.option("--session", "name", default="capture", show_default=True, help="Name.")
@click.option(
    "--lease",
    "lease_seconds",
    type=click.FloatRange(min=0),
    default=DEFAULT_LEASE_SECONDS,
    show_default=True,
    help="Seconds without a shell after which the session ends; 0: never.",
)
@click.option("--keep", is_flag=True, help="Leave the files when the session ends.")
@click.option(
    "--store-limit",
    "store_limit_bytes",
    type=click.IntRange(min=LEAST_LIMIT_BYTES),
    default=DEFAULT_LIMIT_BYTES,
    show_default=True,
    help="Bytes on disk; the oldest rows and packets go first.",
)
@click.option(
    "--kubernetes",
    is_flag=True,
    help="Watch the API server, in a pod or as KUBECONFIG says: names for addresses.",
)
@click.option(
    "--max-time",
    "max_seconds",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Capture no longer than that, counted from the start; 0: no limit.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Capture until the store has grown by so much; 0: no limit.",
)
@click.option(
    "--keep-time",
    "keep_seconds",
    type=click.FloatRange(min=0, max=LONGEST_SECONDS),
    default=KEEP_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="What a detached session has captured waits so long for a shell.",
)
@click.option("--detached", is_flag=True, help="Needs no shell, until the first one comes.")
@click.option(
    "--owner", default="", metavar="CLUSTERROLE", help="Delete it, with all it owns, at the end."
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the session in --directory; leave it there when ended by a signal.",
)
@click.option(
    "--own",
    multiple=True,
    metavar="ADDRESS[,ADDRESS...]",
    help="Of the collector alone: what goes to and from there is never captured; repeatable.",
)
@click.option("--own-node", default="", metavar="ADDRESS", help="Of the node of the collector.")
@click.option(
    "--api-server",
    "api_servers",
    multiple=True,
    metavar="ADDRESS",
    help="Shells come from there, by a port-forward of the kubelet on --own-node; repeatable.",
)
@click.option("--filter", "filters", multiple=True, help="As `filter` takes it; repeatable.")
@click.option(
    "--enable",
    "features",
    multiple=True,
    metavar="NAME[,NAME...]",
    help="Feature on from the start: dns, drops, rtt or tcp; repeatable.",
)
@click.option("--packets", is_flag=True, help="Capture packets from the start.")
@click.option("--no-flows", is_flag=True, help="Do not capture flows.")
@click.option("--snaplen", type=int, default=0, help="Bytes kept of a packet; 0: all.")
@click.option("--sampling", type=int, default=1, help="Look at 1 of so many packets.")
def _command(
    *,
    listen: str,
    tls_directory: Path | None,
    directory: Path,
    name: str,
    lease_seconds: float,
    keep: bool,
    store_limit_bytes: int,
    kubernetes: bool,
    max_seconds: float,
    max_bytes: int,
    keep_seconds: float,
    detached: bool,
    owner: str,
    resume: bool,
    own: tuple[str, ...],
    own_node: str,
    api_servers: tuple[str, ...],
    filters: tuple[str, ...],
    features: tuple[str, ...],
    packets: bool,
    no_flows: bool,
    snaplen: int,
    sampling: int,
) -> int:
    """Hold one capture session: agents and shells connect to it."""
    # The core library would write to stderr what we say in one line.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # No linear algebra here: its threads would only cost memory.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        settings = Settings(
            flows=not no_flows,
            packets=packets,
            snaplen=snaplen,
            sampling=sampling,
            features=check_features(name for text in features for name in text.split(",")),
        )
        session = make_session(
            filters, settings, kubernetes=kubernetes, own=_own_traffic(own, own_node, api_servers)
        )
        credentials = read_credentials(listen, tls_directory)
    except (ChangeError, FilterError, StartError) as error:
        raise click.ClickException(str(error)) from error
    # After the options are known to be right, for it takes a while.
    from nshell.collector.serving import run  # noqa: PLC0415

    options = Options(
        listen=listen,
        directory=directory,
        name=name,
        lease_seconds=lease_seconds,
        keep=keep,
        tls=credentials,
        store_limit_bytes=store_limit_bytes,
        kubernetes=kubernetes,
        limits=Limits(max_seconds=max_seconds, max_bytes=max_bytes, keep_seconds=keep_seconds),
        detached=detached,
        owner=owner,
        resume=resume,
    )
    # Not sooner: nothing has been made so far, and refused options change nothing.
    os.umask(0o077)
    try:
        return run(options, session)
    except StartError as error:
        raise click.ClickException(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of netobserv-collector."""
    try:
        status = _command.main(arguments, standalone_mode=False)
    except click.ClickException as error:
        line = " ".join(error.format_message().split())
        sys.stderr.write(f"netobserv-collector: {line}\n")
        sys.exit(USAGE_STATUS)
    except click.Abort:
        sys.exit(130)
    sys.exit(status)


if __name__ == "__main__":
    main()

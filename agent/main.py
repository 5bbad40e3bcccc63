"""`netobserv-agent`: checks what it needs, loads, attaches, serves a collector.

Exits 0 when it was told to stop or its lease ran out, 2 for wrong arguments, 3
with one line on stderr where it cannot work.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from agent.kernel.compile import CompileError, Loaded, Loading, Sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_CANNOT_WORK = 3


def _cannot(reason: str) -> NoReturn:
    print(f"netobserv-agent: {reason}", file=sys.stderr)  # noqa: T201
    sys.exit(EXIT_CANNOT_WORK)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="netobserv-agent", description="Captures flows and packets on this host with eBPF."
    )
    parser.add_argument("--connect", metavar="TARGET",
                        help="the collector: unix:/path or host:port")  # fmt: skip
    parser.add_argument("--check", action="store_true",
                        help="print as one line of JSON what this node can do")  # fmt: skip
    parser.add_argument("--tls", type=Path, metavar="DIR",
                        help="where ca.crt, tls.crt and tls.key are: mutual TLS")  # fmt: skip
    parser.add_argument("--node", default=platform.node(), help="this node's name in the rows")
    parser.add_argument("--agent-ip", default="", help="this node's address in the rows")
    parser.add_argument("--interface", action="append", default=[], metavar="NAME",
                        help="where to capture, * and ? allowed; may be repeated; "
                        "default: every interface that is up, loopback excepted")  # fmt: skip
    parser.add_argument("--lease", type=float, default=60.0, metavar="SECONDS",
                        help="exit after this long without a collector")  # fmt: skip
    parser.add_argument("--linger", type=float, default=0.0, metavar="SECONDS",
                        help="when told to stop, wait for a signal before exiting, "
                        "where whoever exits is started again")  # fmt: skip
    parser.add_argument("--flow-capacity", type=int, default=100_000, metavar="N",
                        help="flows held between two evictions")  # fmt: skip
    parser.add_argument("--ring-bytes", type=int, default=16 << 20, metavar="N",
                        help="packet ring, rounded up to a power of two")  # fmt: skip
    parser.add_argument("--tcx-anchor", choices=("head", "tail"), default="head",
                        help="before or after others' programs (Cilium redirects)")  # fmt: skip
    parser.add_argument("--attach", choices=("auto", "tcx", "clsact"), default="auto")
    return parser


def _ring_bytes(asked: int) -> int:
    """A power of two and at least one page, as the kernel wants it."""
    return 1 << max(asked - 1, os.sysconf("SC_PAGE_SIZE") - 1).bit_length()


def _heed_signals() -> None:
    """The first process of a container ignores SIGTERM unless it says otherwise."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


def _begin(sizes: Sizes) -> Loading:
    if not Path("/proc/sys/kernel/unprivileged_bpf_disabled").exists():
        _cannot(f"this kernel ({os.uname().release}) has no BPF: CONFIG_BPF_SYSCALL is needed")
    return Loading(sizes)


def _finish(loading: Loading) -> Loaded:
    try:
        return loading.finish()
    except CompileError as error:
        _cannot(f"the eBPF programs cannot be loaded here: {error}")
    except OSError as error:
        if os.geteuid() != 0:
            _cannot("needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")
        _cannot(f"bpf(2) failed: {error.strerror}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.check:
        from agent.check import report  # noqa: PLC0415

        sys.exit(0 if report() else EXIT_CANNOT_WORK)
    if options.connect is None:
        parser.error("the following arguments are required: --connect")
    _heed_signals()
    sizes = Sizes(options.flow_capacity, _ring_bytes(options.ring_bytes))
    loading = _begin(sizes)
    # The core library would write to stderr at every try what we say at the end.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # These imports take as long as a third of the compilation: meanwhile.
    from agent.run import CannotWork, run  # noqa: PLC0415

    try:
        reason = asyncio.run(run(options, loading, _finish(loading), sizes))
    except CannotWork as error:
        loading.abandon()
        _cannot(str(error))
    print(f"netobserv-agent: ended: {reason}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()

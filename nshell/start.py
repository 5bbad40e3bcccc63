"""The beginning of the program: from the first moment on Ctrl-C ends it without a word."""

from __future__ import annotations

import signal


def main() -> None:
    """Under every name that the program has."""
    ends_us = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ends_us:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # in an import there is nothing to clear up
    from nshell import cli  # noqa: PLC0415 - takes its time

    if ends_us:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()

"""The beginning of the program: from the first moment on Ctrl-C ends it without a word.

Also where SIGINT was ignored, as scripts have it for what they start with `&`: a
capture is ended by it, and must not depend on when it comes.
"""

from __future__ import annotations

import signal


def main() -> None:
    """Under every name that the program has."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # in an import there is nothing to clear up
    from nshell import cli  # noqa: PLC0415 - takes its time

    signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()

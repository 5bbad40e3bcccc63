"""The `netobserv` program, its children replaced by the made-up ones."""

from __future__ import annotations

import sys

from nshell import cli, hosts
from nshell.local import Programs
from nshell.shell import needs

PROGRAMS = Programs(
    collector=(sys.executable, "-m", "tests.shell.fake_collector"),
    agent=(sys.executable, "-m", "tests.shell.fake_agent"),
)


def main() -> None:
    hosts.programs = lambda: PROGRAMS
    needs.missing = lambda: ""  # type: ignore[misc, assignment]
    cli.main()


if __name__ == "__main__":
    main()

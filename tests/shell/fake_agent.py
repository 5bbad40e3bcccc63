"""An agent program that does nothing and ends with its collector.

Its node name says how it misbehaves: "cannot" cannot work here, "short-lived"
ends at once, "noisy" writes to its stderr, "stubborn" outlives both its collector and SIGTERM.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connect", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--lease", type=float, required=True)
    given, _ = parser.parse_known_args()
    if given.node == "cannot":
        print("agent: this kernel has no BPF: use another", file=sys.stderr)
        sys.exit(3)
    if given.node == "short-lived":
        sys.exit(1)
    if given.node == "noisy":
        os.write(2, b"a compiler would smear the prompt with this\n")
    if given.node == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    path = given.connect.removeprefix("unix:")
    while not _answers(path):
        time.sleep(0.02)
    while given.node == "stubborn" or _answers(path):
        time.sleep(0.05)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


if __name__ == "__main__":
    main()

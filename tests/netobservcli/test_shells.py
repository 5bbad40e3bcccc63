"""Tab in the real shells: commands, options, and values behind a blank and behind a =."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.programs import installed
from tests.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHELLS = ("bash", "zsh", "fish")
START = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
FIRST = {
    "bash": "",
    "zsh": "autoload -Uz compinit; compinit -u -D; ",
    "fish": "set -g fish_autosuggestion_enabled 0; function fish_prompt; echo '$ '; end; ",
}
"""Before what completes: plain prompts, nothing proposed unasked."""
SCRIPT = {
    "bash": 'eval "$({0} completion {1})"',
    "zsh": 'eval "$({0} completion {1})"',
    "fish": "{0} completion {1} | source",
}


@contextlib.contextmanager
def opened(shell: str, folder: Path, *, program: str = "netobserv") -> Iterator[Terminal]:
    """A shell that has read the program's script."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    env = installed(folder) | {"PS1": "$ ", "HOME": str(folder), "XDG_CONFIG_HOME": str(folder),
                               "XDG_DATA_HOME": str(folder)}  # fmt: skip
    with Terminal(START[shell], env=env, cwd=str(folder), columns=250) as terminal:
        terminal.type(f"{FIRST[shell]}{SCRIPT[shell].format(program, shell)}; echo re''ady\n")
        terminal.wait_for("ready")
        terminal.type("clear\n")
        terminal.wait_until(lambda: "ready" not in terminal.text(), "a clear screen")
        yield terminal


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_commands_options_and_values(shell: str, tmp_path: Path) -> None:
    with opened(shell, tmp_path) as terminal:
        line = "netobserv"
        terminal.type(line)
        for typed, completed in (
            ("fl", "flows"),
            ("--direc", "--direction"),
            ("ing", "Ingress"),
            ("--protocol=ud", "--protocol=UDP"),
            ("or --tcp_flags=syn-", "or --tcp_flags=SYN-ACK"),
            ("--action=r", "--action=Reject"),
            ("--enable_pkt_drop=t", "--enable_pkt_drop=true"),
            ("--enable_dns=F", "--enable_dns=false"),
            ("--interfaces=eth0,l", "--interfaces=eth0,lo"),
            ("--copy=pr", "--copy=prompt"),
        ):
            line += f" {completed}"
            terminal.type(f" {typed}\t")
            terminal.wait_until(
                partial(lambda so_far: words_of(terminal).endswith(so_far), line), line
            )


def words_of(terminal: Terminal) -> str:
    """Of the line, a blank between them: a shell may put one itself."""
    return " ".join(terminal.line().split())


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("--enable_dns=", ("true", "false")),
        ("--protocol=", ("TCP", "UDP", "SCTP", "ICMP", "ICMPv6")),
        ("--direction=", ("Ingress", "Egress")),
        ("--action ", ("Accept", "Reject")),
    ],
)
def test_tab_lists_the_values_there_are(
    shell: str, typed: str, values: tuple[str, ...], tmp_path: Path
) -> None:
    with opened(shell, tmp_path) as terminal:
        terminal.type(f"netobserv flows {typed}\t\t")
        terminal.wait_until(lambda: all(value in terminal.text() for value in values), "values")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_kubectl_completes_the_plugin_too(shell: str, tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    with opened(shell, tmp_path, program="kubectl") as terminal:
        terminal.type("kubectl netobserv fl\t")
        terminal.wait_for("netobserv flows")
        terminal.type(" --tcp_flags=SYN-\t")
        terminal.wait_for("--tcp_flags=SYN-ACK")
        terminal.type(" --protocol=ud\t")
        terminal.wait_for("--protocol=udp")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["fl"], "flows\t*\n:4\n"),
        (["flows", "--direction="], "Ingress\nEgress\n:4\n"),
        (["flows", "--enable_rtt=t"], "true\n:4\n"),
        (["flows", "--action", "a"], "accept\n:4\n"),
        (["flows", "--peer_ip="], ":4\n"),
        (["shell", "--kubeconfig", ""], ":0\n"),
        (["shell", "-i", "lo"], "lo\n:4\n"),
        (["shell", "--enable=dns,d"], "dns,dns\ndns,drops\n:4\n"),
        (["nonsense", "--x"], "*:4\n"),
        ([], "attach\t*\n:4\n"),
    ],
)
@pytest.mark.parametrize("name", ["kubectl_complete-netobserv", "oc_complete-netobserv"])
def test_kubectl_is_answered_as_it_asks(
    name: str, words: list[str], answer: str, tmp_path: Path
) -> None:
    done = subprocess.run([tmp_path / name, *words], env=installed(tmp_path), text=True,
                          capture_output=True, check=True, timeout=60)  # fmt: skip
    assert done.stderr == ""
    begin, _, end = answer.rpartition("*")
    assert done.stdout.startswith(begin)
    assert done.stdout.endswith(end)


def test_a_link_to_the_plugin_completes_it_where_only_that_is_installed(tmp_path: Path) -> None:
    env = installed(tmp_path)
    (tmp_path / "kubectl_complete-netobserv").unlink()
    (tmp_path / "kubectl_complete-netobserv").symlink_to("kubectl-netobserv")
    done = subprocess.run(["kubectl_complete-netobserv", "packets", "--dir"], env=env, text=True,
                          capture_output=True, check=True, timeout=60)  # fmt: skip
    assert done.stdout.startswith("--direction\t")

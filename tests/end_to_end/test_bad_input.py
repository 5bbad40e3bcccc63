"""Bad input: one line that names the word, nothing changed, the capture goes on."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pexpect
import pytest

from tests.session import NETOBSERV, once, session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.network import Pair

pytestmark = pytest.mark.kernel

PROMPT = "netobserv> "

REFUSED = [
    # command, what its one line must name
    ("filter prot tcp", ("'prot'", "'protocol'")),
    ("filter peer_ip 10.129.0", ("'10.129.0'",)),
    ("filter port 80-70000", ("70000", "65535")),
    ("filter port 90-80", ("90-80",)),
    ("filter protocol icmp port 80", ("icmp", "port")),
    ("filter cidr 10.0.0.5/8", ("10.0.0.0/8",)),
    ("filter del 7", ("7",)),
    ("filtr port 80", ("filtr", "filter")),
    ("sql SELECT SrcAdr FROM flow;", ("SrcAdr", "SrcAddr")),
    ("sql SELECT * FROM flw;", ("flw", "flow")),
    ("sql SELEC 1;", ("SELEC",)),
    ("sql DELETE FROM flow;", ("DELETE", "read-only")),
    ("sql ATTACH 'x.db' AS x;", ("ATTACH",)),
    ("sql PRAGMA user_version = 3;", ("PRAGMA",)),
    ("sql WITH t AS (SELECT 1) DELETE FROM flow;", ("DELETE",)),
    ("export pcap /nowhere/at/all.pcap", ("/nowhere/at/all.pcap",)),
    ("export pcap x.pcap where SrcPrt = 1", ("SrcPrt", "SrcPort")),
    ("export csv /tmp/x.csv DELETE FROM flow;", ("DELETE",)),
    ("snaplen 5", ("5",)),
    ("snaplen many", ("many",)),
    ("capture flws off", ("flws", "flows")),
    ("wait forever", ("forever",)),
    ("source /nowhere.nobs", ("/nowhere.nobs",)),
    ("why shop/web 10.129.0.2", ("'shop/web'", "cluster")),
    ("filter pod shop/web", ("pod", "cluster")),
]


def test_a_wrong_command_costs_one_line_and_nothing_else(pair: Pair, tmp_path: Path) -> None:
    """At a terminal: line by line, then what was there before is still there."""
    words = pair.ours.words("env", "TERM=dumb", NETOBSERV, "shell", "--local", "-i", "eth0")
    shell = pexpect.spawn(
        words[0], words[1:], cwd=str(tmp_path), encoding="utf-8", timeout=30,
        dimensions=(50, 300), echo=False,
    )  # fmt: skip
    shell.expect_exact(PROMPT)

    def answer(command: str) -> list[str]:
        shell.sendline(command)
        shell.expect_exact(PROMPT)
        return [line for line in (shell.before or "").splitlines() if line.strip()]

    answer("filter port 80")
    before = answer("filter list")
    for command, named in REFUSED:
        lines = answer(command)
        assert len(lines) == 1, (command, lines)
        assert lines[0].startswith("netobserv: ")
        assert all(word in lines[0] for word in named), lines
    assert answer("filter list") == before
    assert list(tmp_path.iterdir()) == []
    shell.sendline("quit")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 0


@pytest.mark.parametrize(
    "command", ["filter prot tcp", "sql DELETE FROM flow", "export pcap /nowhere/at/all.pcap"]
)
def test_a_script_ends_at_the_first_failing_command_with_status_1(pair: Pair, command: str) -> None:
    done = once(pair.ours, "shell", "--local", "-i", "eth0", "-c", command, "-c", "tables")
    complaints = [line for line in done.stderr.splitlines() if line.startswith("netobserv: ")]
    assert done.returncode == 1
    assert len(complaints) == 1, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--filter", "prot tcp"], ("'prot'", "protocol")),
        (["--snaplen", "many"], ("many",)),
        (["--formt", "json"], ("--formt", "--format")),
        (["--store-limit", "4Gx"], ("4Gx",)),
        (["-f", "/nowhere.nobs"], ("/nowhere.nobs",)),
    ],
)
def test_a_wrong_option_is_status_2_before_anything_starts(
    words: list[str], named: tuple[str, ...]
) -> None:
    done = once(None, "shell", "--local", *words)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in named), done.stderr


@pytest.mark.parametrize(
    ("command", "local"), [("shell", True), ("flows", True), ("attach", False)]
)
def test_without_a_cluster_it_says_so_and_what_there_is_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, local: bool
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    done = once(None, command)
    assert done.returncode == 3
    said = done.stderr.splitlines()[-1]
    assert said.startswith("netobserv: no kubeconfig: ")
    assert said.endswith("; with --local it captures on this host alone") == local
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("capability", ["bpf,-sys_admin", "net_admin,-sys_admin"])
def test_without_the_rights_it_says_which_and_what_to_do(capability: str) -> None:
    done = subprocess.run(
        ["setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}", NETOBSERV,
         "shell", "--local", "-c", "status"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "root" in done.stderr or "CAP_" in done.stderr


def test_the_sixty_fifth_filter_is_refused_and_the_others_stay(pair: Pair) -> None:
    with session(pair.ours, "-i", "eth0") as live:
        live.do(*(f"filter port {1000 + n}" for n in range(64)))
        (listed,) = live.do("filter list")
        assert len(listed) == 64
        live.tell("filter port 3")
        assert live.wait() == 1
        assert any("64" in line and "limit" in line for line in live.narration)
        told = "\n".join(live.narration)
        assert "(generation 65)" in told, "one for each that was taken"
        assert "(generation 66)" not in told, "none for the one that was not"

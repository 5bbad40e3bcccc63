"""The prompt on a real terminal over a real capture: the three commands of the design card."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.docs.transcript import web
from tests.network import tshark
from tests.session import NETOBSERV
from tests.shell.processes import child
from tests.terminal import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.network import Host

pytestmark = pytest.mark.kernel


def terminal(where: Host, folder: Path) -> Terminal:
    command = where.words(NETOBSERV, "shell", "--local", "-i", "eth0", "--packets")
    env = {"XDG_STATE_HOME": str(folder), "NETOBSERV_PAGER": "less"}
    return Terminal(command, cwd=str(folder), columns=160, env=env)


def test_filter_sql_and_export_work_as_typed(tmp_path: Path) -> None:
    with web() as pair, terminal(pair.ours, tmp_path) as shell:
        shell.wait_for("agents 1/1")
        shell.type("filter peer_ip 10.129.0.48\n")
        shell.wait_for("applied 1/1 in")
        shell.wait_for("1 filter applied 1/1")
        shell.type("wait until SELECT count(*) > 3 FROM flow WHERE DstPort = 8080\n")
        shell.type("sql SELECT DISTINCT SrcAddr, DstAddr FROM flow WHERE DstPort = 8080\n")
        shell.wait_for("10.129.0.48  10.129.0.1")
        shell.wait_for("1 row in")
        shell.type("export pcap\n")
        shell.wait_for("wrote ")
        shell.type("quit\n")
        assert shell.wait_end() == 0
    (file,) = tmp_path.glob("netobserv-*.pcap")
    ends = tshark(str(file), ["ip.src", "ip.dst"], where="ip")
    assert ends
    assert all("10.129.0.48" in pair_ for pair_ in ends)


def test_the_toolbar_lives_and_a_notice_leaves_the_line_being_typed_whole(tmp_path: Path) -> None:
    with web() as pair, terminal(pair.ours, tmp_path) as shell:
        shell.wait_for("agents 1/1")
        shell.wait_until(lambda: " 0 rows" not in shell.text(), "rows arrive in the toolbar")
        shell.type("sql SELECT count(*) FROM fl")
        shell.wait_for("FROM fl")
        os.kill(child(shell.pid, "agent.main"), signal.SIGKILL)
        shell.wait_for("started again")
        shell.wait_for("agents 1/1")
        typed = "sql SELECT count(*) FROM fl"
        shell.wait_until(
            lambda: any(line.endswith(typed) for line in shell.screen()), "the line to be whole"
        )
        shell.type("ow\n")
        shell.wait_for("1 row in")
        shell.end_of_input()
        assert shell.wait_end() == 0


ENDLESS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT"


def test_control_c_ends_a_query_that_never_would_and_the_next_one_works(tmp_path: Path) -> None:
    with web() as pair, terminal(pair.ours, tmp_path) as shell:
        shell.wait_for("agents 1/1")
        shell.type(f"{ENDLESS} count(*) FROM c\n")
        shell.wait_until(lambda: "REC" not in shell.screen()[-1], "the query to run")
        shell.interrupt_until("cancelled")
        shell.type("SELECT 40 + 2 AS answer\n")
        shell.wait_for("1 row in")
        shell.type(f"{ENDLESS} n FROM c LIMIT 1000000000\n")
        shell.wait_until(lambda: shell.screen()[-1] == ":", "the pager to have rows")
        shell.type("q")
        shell.wait_for("the pager was closed after ")
        shell.type("run conversations\n")
        shell.wait_for("10.129.0.48  10.129.0.1")
        shell.type("SELECT * FROM flow LIMIT 1\n")
        shell.wait_until(
            lambda: any(line.startswith("-[ 1 ]") for line in shell.screen()), "blocks"
        )
        shell.type("q")
        shell.wait_until(lambda: "REC" in shell.screen()[-1], "the prompt")
        shell.end_of_input()
        assert shell.wait_end() == 0

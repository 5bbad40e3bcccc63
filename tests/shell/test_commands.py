"""Every command against a session, as a script or a reader sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.errors import Failure, SessionLost
from nshell.shell.queries import Library
from nshell.shell.values import Result  # noqa: TC001 - the same
from nshell.tasks import first_of
from tests.shell.fake_session import EMPTY_PCAP

if TYPE_CHECKING:
    from tests.shell.conftest import Shell


async def test_filter_adds_a_rule_and_says_where_it_holds(shell: Shell) -> None:
    await shell.run("filter peer_ip 10.129.0.48")
    assert shell.seen.told == [
        "filter 1 added: peer_ip 10.129.0.48  applied 1/1 in 42 ms (generation 2)"
    ]
    assert shell.capture.rules == {1: "peer_ip 10.129.0.48"}


async def test_filter_alone_lists_rules_with_their_hits(shell: Shell) -> None:
    await shell.run("filter port 80\nfilter reject protocol icmp")
    await shell.run("set format json")
    rows = json.loads(await shell.run("filter"))
    assert [row["filter"] for row in rows] == list(shell.capture.rules.values())
    assert rows[0] == {
        "id": 1,
        "filter": "port 80",
        "flow hits": 7,
        "packet hits": 9,
        "applied": "1/1",
        "generation": 3,
    }


async def test_an_empty_filter_list_is_told_not_drawn(shell: Shell) -> None:
    assert await shell.run("filter list") == ""
    assert shell.seen.told == ["no filters: everything is captured"]
    await shell.run("set format json")
    assert await shell.run("filter list") == "[]\n"


async def test_filters_are_replaced_deleted_and_cleared(shell: Shell) -> None:
    await shell.run("filter port 80\nfilter port 81\nfilter port 82\nfilter replace 2 port 443")
    assert shell.seen.told[-1].startswith("filter 2 replaced: port 443  applied 1/1")
    await shell.run("filter del 1 3")
    assert shell.seen.told[-1].startswith("filters 1, 3 deleted  applied 1/1")
    assert shell.capture.rules == {2: "port 443"}
    await shell.run("filter clear")
    assert shell.seen.told[-1].startswith("1 filter cleared  applied 1/1")
    assert not shell.capture.rules


async def test_a_change_that_a_node_did_not_take_is_a_failure_that_names_it(shell: Shell) -> None:
    shell.capture.agents = {"node-1": True, "node-2": True, "node-3": True}
    shell.capture.deaf = {"node-2": "map is full", "node-3": ""}
    with pytest.raises(Failure) as failed:
        await shell.run("filter port 80")
    assert str(failed.value) == (
        "filter: filter 1 added: port 80  applied 1/3 (generation 2): "
        "node-2: map is full; node-3: no answer in time"
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("filter lsit", "unknown word 'lsit' after 'filter': did you mean 'list'?"),
        ("filter del", "ID... is missing: filter del ID..."),
        ("filter del x", "no filter named 'x': none has a name, `filter list` shows them"),
        ("filter del 0", "'0' is not the number of a filter: `filter list` shows them"),
        ("filter del 9", "no filter 9"),
        ("filter clear all", "unexpected 'all': filter clear"),
        ("capture flwos on", "unknown word 'flwos': did you mean 'flows'?"),
        ("capture flows maybe", "unknown word 'maybe': one of on, off"),
        ("capture flows", "on|off is missing: capture flows|packets on|off"),
        ("snaplen -1", "'-1' is not a number from 0 to 262,144"),
        ("sample 0", "'0' is not a number from 1 to 1,000,000"),
        ("wait 5", "'5' is not a duration: did you mean 5s?"),
        ("wait until SELECT 1 timeout 5", "'5' is not a duration: did you mean 5s?"),
        ("sql", "SELECT ... is missing: sql SELECT ..."),
        ("schema fow", "no table named 'fow': did you mean 'flow'?"),
        ("help fliter", "no help for 'fliter': did you mean 'filter'?"),
        ("export", "export what? pcap, pcapng, csv, json, parquet, db"),
        ("export pcpa", "unknown word 'pcpa' after 'export': did you mean 'pcap'?"),
        ("export pcap a b", "unexpected 'b': `where EXPR` may follow here"),
        ("export pcap where", "an expression must follow `where`"),
        (
            "export csv x.csv",
            "SELECT ...|run NAME is missing: export csv FILE SELECT ...|run NAME",
        ),
        ("\\d flow", "unknown command '\\\\d': here it is `tables`, or `schema TABLE`"),
        (".mode json", "unknown command '.mode': here it is `set format`"),
        ("set format xml", "format cannot be 'xml': table, json, csv, markdown or vertical"),
        ("set format tabel", "format cannot be 'tabel': did you mean 'table'?"),
        ("set timing csv", "timing cannot be 'csv': on or off"),
        ("set fromat csv", "unknown setting 'fromat': did you mean 'format'?"),
        (
            "set x",
            "unknown setting 'x': there are format, expanded, pager, timing, human, theme, keys, "
            "color, dns_port",
        ),
        ("set format csv json", "unexpected 'json': set [NAME [VALUE]]"),
        ("set dns_port 53,5x", "dns_port cannot be '5x': a port is a number from 1 to 65535"),
        ("set dns_port 70000", "dns_port cannot be '70000': a port is a number from 1 to 65535"),
        ("set dns_port 1,2,3,4,5,6,7,8,9", "dns_port takes 1 to 8 ports, not 9"),
        ("set dns_port ,", "dns_port takes 1 to 8 ports, not 0"),
        ("enable", "dns|drops|rtt|tcp... is missing: enable dns|drops|rtt|tcp..."),
        ("enable dns dorps", "unknown feature 'dorps': did you mean 'drops'?"),
        ("enable ,", "which feature? there are dns, drops, rtt, tcp"),
        ("disable x", "unknown feature 'x': there are dns, drops, rtt, tcp"),
        ("sttaus", "unknown command 'sttaus': did you mean 'status'?"),
        ("source 'x", "quote not closed: 'x"),
    ],
)
async def test_a_wrong_line_is_told_what_is_wrong(shell: Shell, line: str, reason: str) -> None:
    with pytest.raises(Failure) as failed:
        await shell.run(line)
    assert failed.value.reason == reason
    assert shell.capture.generation == 1


async def test_a_wrong_filter_is_refused_before_anything_is_asked(shell: Shell) -> None:
    with pytest.raises(Failure, match="filter: "):
        await shell.run("filter prot 80 peer 1")
    assert not shell.capture.calls


async def test_what_is_captured_is_switched(shell: Shell) -> None:
    await shell.run("capture packets on\ncapture flows off\nsnaplen 96\nsample 10\npause")
    capture = shell.capture
    assert (capture.packets, capture.flows, capture.snaplen) == (True, False, 96)
    assert (capture.sampling, capture.paused) == (10, True)
    await shell.run("resume\nsnaplen 0")
    assert not capture.paused
    assert shell.seen.told[-1].startswith("keeping whole packets  applied 1/1")


async def test_a_change_without_any_agent_says_so(shell: Shell) -> None:
    shell.capture.agents = {}
    await shell.run("pause")
    assert shell.seen.told == ["paused  applied 0/0; no agent is connected (generation 2)"]


async def test_sql_prints_rows_and_tells_their_count(shell: Shell) -> None:
    await shell.run("set format csv")
    assert (
        await shell.run("sql SELECT DstPort, Bytes FROM flow") == "DstPort,Bytes\n443,1500\n53,90\n"
    )
    assert shell.seen.told == ["2 rows in 3.0 ms"]
    await shell.run("set timing off")
    await shell.run("VALUES (1)")
    assert shell.seen.told == ["1 row"]


async def test_an_sql_error_is_the_collectors_own_line(shell: Shell) -> None:
    for line in ("SELECT nonsense FROM flow", "sql SELECT nonsense FROM flow"):
        with pytest.raises(Failure) as failed:
            await shell.run(line)
        assert str(failed.value) == "sql: no such column: nonsense"
    with pytest.raises(Failure, match="sql: attempt to write a readonly database"):
        await shell.run("DELETE FROM flow")


MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2500) SELECT i FROM n"


async def test_scripts_get_every_row(shell: Shell) -> None:
    await shell.run("set format csv")
    assert (await shell.run(MANY)).splitlines()[-1] == "2500"
    assert shell.capture.calls[-1].endswith("limit 0")


async def test_a_reader_gets_the_first_rows_and_is_told_so(prompt_shell: Shell) -> None:
    lines = (await prompt_shell.run(MANY)).splitlines()
    assert len(lines) == 202
    assert prompt_shell.seen.told == [
        "200 shown of first 1,000 rows; add LIMIT or export for the rest in 3.0 ms"
    ]
    await prompt_shell.run(f"{MANY} LIMIT 300")
    assert prompt_shell.capture.calls[-1].endswith("limit 0")
    assert prompt_shell.seen.told == ["200 shown of 300 rows in 3.0 ms"]
    await prompt_shell.run("set format csv")
    assert len((await prompt_shell.run(f"{MANY} LIMIT 300")).splitlines()) == 301


async def test_tables_and_schema_come_from_the_collector(shell: Shell) -> None:
    await shell.run("set format csv")
    assert "flow,2,the flow table\n" in await shell.run("tables")
    assert "packet,DstPort,INTEGER,\n" in await shell.run("schema PACKET")
    assert "loss,Stage,TEXT,\n" in await shell.run("schema")


async def test_status_says_what_is_captured_and_lost(shell: Shell) -> None:
    shell.capture.lost = 1204
    shell.capture.paused = True
    text = await shell.run("status")
    assert "capturing    flows (paused)\n" in text
    assert "lost         1,204\n" in text
    assert "flow rows    2 (1.2k/s)\n" in text
    assert "store        1.2 MB of 67.1 MB\n" in text


async def test_agents_shows_who_is_behind_and_why(shell: Shell) -> None:
    shell.capture.agents = {"node-1": True, "node-2": True, "node-3": False}
    shell.capture.deaf = {"node-2": "no memory"}
    await shell.run("set format json")
    rows = json.loads(await shell.run("agents"))
    assert [(r["node"], r["state"], r["applied"], r["problems"]) for r in rows] == [
        ("node-1", "connected", "yes (1/1)", None),
        ("node-2", "connected", "no (0/1)", "no memory"),
        ("node-3", "lost", "no (1/1)", None),
    ]


async def test_losses_without_loss_is_one_line(shell: Shell) -> None:
    assert await shell.run("losses") == "no loss\n"


async def test_losses_are_summed_by_node_and_stage_with_a_total(shell: Shell) -> None:
    shell.service.insert(
        "INSERT INTO loss VALUES ('a', 'ring', 5, 10, 1, 2), ('a', 'ring', 7, 1, 3, 4)"
    )
    shell.service.insert("INSERT INTO loss VALUES ('b', 'flow_map', 1, NULL, 1, 2)")
    await shell.run("set format csv")
    assert await shell.run("losses") == (
        "Node,Stage,Count,Bytes,TimeFromMs,TimeToMs\n"
        "a,ring,12,11,1,4\nb,flow_map,1,,1,2\ntotal,,13,,,\n"
    )


async def test_wait_until_asks_until_it_is_true(shell: Shell) -> None:
    waiting = asyncio.gather(shell.run("wait until SELECT count(*) > 0 FROM loss"))
    while len(shell.capture.calls) < 2:
        await asyncio.sleep(0.01)
    assert not waiting.done()
    shell.service.insert("INSERT INTO loss VALUES ('a', 'ring', 5, 10, 1, 2)")
    await waiting


async def test_wait_until_gives_up_at_its_timeout(shell: Shell) -> None:
    with pytest.raises(Failure) as failed:
        await shell.run("wait until SELECT 0 timeout 50ms")
    assert failed.value.reason == "not true within 0.05 s: SELECT 0"


async def test_wait_waits(shell: Shell) -> None:
    assert await shell.run("wait 1ms") == ""


async def test_export_writes_a_private_file_and_says_what_is_in_it(
    shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "web.pcap"
    await shell.run(f"export pcap {file} where DstPort = 443")
    assert file.read_bytes() == EMPTY_PCAP
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert shell.seen.told == [f"wrote 1,234 packets (24 B) to {file}"]
    assert shell.capture.calls == ["Export pcap DstPort = 443"]
    assert [path.name for path in tmp_path.iterdir()] == ["web.pcap"]


async def test_export_without_a_name_makes_one_that_is_free(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await shell.run("export pcap\nexport pcap\nexport pcapng where 1\nexport db")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 4
    assert all(name.startswith("netobserv-2") for name in names)
    assert [Path(name).suffix for name in names].count(".pcap") == 2


async def test_export_replaces_a_file_and_follows_a_link(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "link").symlink_to("old")
    await shell.run(f"export pcap {tmp_path / 'link'}")
    assert (tmp_path / "old").read_bytes() == EMPTY_PCAP
    assert (tmp_path / "link").is_symlink()


async def test_a_name_with_spaces_is_quoted(shell: Shell, tmp_path: Path) -> None:
    await shell.run(f"export pcap '{tmp_path}/my file.pcap'")
    assert (tmp_path / "my file.pcap").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it is a directory"),
        ("no/such/x.pcap", "no such file or directory"),
        ("file/x.pcap", "not a directory"),
    ],
)
async def test_an_unwritable_file_is_refused_before_anything_is_asked(
    shell: Shell, tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    for line in (f"export pcap {tmp_path}/{name}", f"export csv {tmp_path}/{name} SELECT 1"):
        with pytest.raises(Failure) as failed:
            await shell.run(line)
        assert failed.value.reason == f"cannot write {tmp_path}/{name}: {reason}"
    assert not shell.capture.calls


async def test_a_full_disk_is_one_line(shell: Shell) -> None:
    with pytest.raises(Failure) as failed:
        await shell.run("export pcap /dev/full")
    assert failed.value.reason == "cannot write /dev/full: no space left on device"


async def test_an_export_that_breaks_off_leaves_nothing_behind(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "x.pcap").write_text("precious")
    shell.capture.break_export = True
    with pytest.raises(Failure, match="export pcap: the store is full"):
        await shell.run(f"export pcap {tmp_path / 'x.pcap'}")
    assert [path.name for path in tmp_path.iterdir()] == ["x.pcap"]
    assert (tmp_path / "x.pcap").read_text() == "precious"


async def test_a_wrong_expression_is_the_collectors_own_line(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="export pcap: no such column: nonsense"):
        await shell.run(f"export pcap {tmp_path / 'x.pcap'} where nonsense = 1")
    assert not list(tmp_path.iterdir())


async def test_queries_are_exported_whole(shell: Shell, tmp_path: Path) -> None:
    await shell.run(f"export csv {tmp_path / 'n.csv'} {MANY}")
    assert shell.seen.told == [f"wrote 2,500 rows (11.4 kB) to {tmp_path / 'n.csv'}"]
    assert len((tmp_path / "n.csv").read_text().splitlines()) == 2501
    await shell.run(f"export json {tmp_path / 'n.json'} SELECT NULL AS a, x'00ff' AS b")
    assert json.loads((tmp_path / "n.json").read_text()) == [{"a": None, "b": "00ff"}]
    await shell.run(f"export json {tmp_path / 'none.json'} SELECT 1 WHERE 0")
    assert json.loads((tmp_path / "none.json").read_text()) == []


async def test_a_query_with_a_name_is_exported_whole(shell: Shell, tmp_path: Path) -> None:
    library = Library(tmp_path)
    object.__setattr__(shell.context, "queries", library)
    library.save("to", "-- :most = 1\nSELECT SrcAddr FROM flow WHERE DstPort = :port LIMIT :most")
    await shell.run(f"export csv {tmp_path / 'n.csv'} run to port=443")
    assert (tmp_path / "n.csv").read_text().split() == ["SrcAddr", "10.0.0.1"]
    with contextlib.chdir(tmp_path):
        await shell.run("export csv select.csv run to port=443")
    assert (tmp_path / "select.csv").read_bytes() == (tmp_path / "n.csv").read_bytes()
    await shell.run(f"export json {tmp_path / 'n.json'} RUN to port=53 most=5")
    assert json.loads((tmp_path / "n.json").read_text()) == [{"SrcAddr": "10.0.0.3"}]
    with pytest.raises(Failure, match="port=VALUE is missing"):
        await shell.run(f"export csv {tmp_path / 'no.csv'} run to")
    assert not (tmp_path / "no.csv").exists()


async def broken(ctx: Context) -> Result:  # noqa: ARG001
    """Fail.

    Examples:
        broken
    """
    raise RuntimeError("of ours")


async def test_a_defect_ends_a_command_and_not_the_session(shell: Shell) -> None:
    shell.context.registry.add("broken", broken)
    with pytest.raises(Failure) as failed:
        await shell.run("broken")
    assert str(failed.value) == "broken: a defect of the shell (RuntimeError: of ours)"
    assert "10.0.0.1" in await shell.run("SELECT * FROM flow")


async def test_dash_is_standard_output_in_scripts_only(
    shell: Shell, prompt_shell: Shell, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    await shell.run("export pcap -")
    assert capfdbinary.readouterr().out == EMPTY_PCAP
    with pytest.raises(Failure, match="`-` is for scripts"):
        await prompt_shell.run("export pcap -")


async def test_source_runs_a_file_in_its_place(shell: Shell, tmp_path: Path) -> None:
    inner = tmp_path / "inner.nsh"
    inner.write_text("# rules\nfilter port 80\nSELECT 1\n  AS one;\n")
    outer = tmp_path / "outer.nsh"
    outer.write_text(f"source {inner}\nfilter port 81\n")
    assert "one" in await shell.run(f"source {outer}")
    assert list(shell.capture.rules.values()) == ["port 80", "port 81"]


async def test_a_failing_line_of_a_sourced_file_is_named_with_its_file(
    shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "x.nsh"
    file.write_text("filter port 80\nsttaus\nfilter port 81\n")
    with pytest.raises(Failure) as failed:
        await shell.run(f"source {file}")
    assert str(failed.value) == (
        f"source: {file}: sttaus: unknown command 'sttaus': did you mean 'status'?"
    )
    assert list(shell.capture.rules.values()) == ["port 80"]


async def test_files_that_source_one_another_end(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "loop.nsh"
    file.write_text(f"source {file}\n")
    with pytest.raises(Failure, match="too deeply"):
        await shell.run(f"source {file}")


async def test_a_file_that_cannot_be_read_is_one_line(shell: Shell, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no such file or directory"):
        await shell.run(f"source {tmp_path / 'none'}")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(Failure, match="it is not text"):
        await shell.run(f"source {tmp_path / 'binary'}")


async def test_quit_ends_a_script_where_it_stands(shell: Shell) -> None:
    assert await shell.runner.run_text("filter port 80\nquit\nfilter port 81")
    assert list(shell.capture.rules.values()) == ["port 80"]
    assert await shell.runner.run_text("exit")


async def test_history_lists_what_was_typed(shell: Shell) -> None:
    assert await shell.run("history") == "status\nfilter port 80\n"
    assert await shell.run("history port") == "filter port 80\n"
    assert await shell.run("history nothing like it") == ""


async def test_cancelling_a_query_cancels_it_at_the_collector(shell: Shell) -> None:
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    work = first_of(shell.runner.run_text("SELECT 'hang'"), name="query", unless=[stop])
    running = asyncio.gather(work)
    while not shell.capture.calls:
        await asyncio.sleep(0.01)
    stop.set_exception(KeyError("stop"))
    with pytest.raises(KeyError):
        await running
    await asyncio.wait_for(shell.service.cancelled.wait(), 10)
    assert await shell.run("sql SELECT 1 AS one")


async def test_a_collector_that_is_gone_is_not_a_failed_command(shell: Shell) -> None:
    await shell.server.stop(grace=None)
    with pytest.raises(SessionLost, match="the collector does not answer"):
        await shell.run("status")


async def test_filters_with_a_name_are_meant_by_it(shell: Shell) -> None:
    await shell.run("filter port 80 as web\nfilter port 53\nfilter replace web port 8080 as web")
    await shell.run("set format json")
    rows = json.loads(await shell.run("filter"))
    assert [(row["id"], row["name"], row["filter"]) for row in rows] == [
        (1, "web", "port 8080 as web"), (2, None, "port 53"),
    ]  # fmt: skip
    for line, reason in (
        ("filter del wbe", "no filter named 'wbe': did you mean 'web'?"),
        ("filter del 2 database", "no filter named 'database': there is web"),
        ("filter replace port 80", "'port' is not the number of a filter: `filter list` shows"),
    ):
        with pytest.raises(Failure) as failed:
            await shell.run(line)
        assert failed.value.reason.startswith(reason)
    await shell.run("filter del web 2")
    assert shell.seen.told[-1].startswith("filters 1, 2 deleted  applied 1/1")
    with pytest.raises(Failure) as failed:
        await shell.run("filter del web")
    assert failed.value.reason.startswith("no filter named 'web': none has a name")


async def test_an_export_without_packets_says_when_none_are_captured(
    shell: Shell, tmp_path: Path
) -> None:
    shell.capture.packets_there = 0
    await shell.run(f"export pcap {tmp_path / 'none.pcap'} where DstPort = 9")
    assert shell.seen.told[-1].endswith(
        "none.pcap: packets are not being captured, `capture packets on` starts that"
    )
    await shell.run(f"capture packets on\nexport pcap {tmp_path / 'none.pcap'} where DstPort = 9")
    assert shell.seen.told[-1].endswith("none.pcap")

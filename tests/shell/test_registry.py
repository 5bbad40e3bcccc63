"""The registry: what commands must say of themselves, and what is read from it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.filters import PREDICATES
from nshell.shell.commands import build_registry
from nshell.shell.completion.seen import ColumnValues
from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.errors import CommandError
from nshell.shell.help.text import about, overview
from nshell.shell.kinds import Number, World
from nshell.shell.kinds.queries import Asked
from nshell.shell.queries import Query
from nshell.shell.registry import Registry
from nshell.shell.values import Result  # noqa: TC001 - the same
from nshell.shell.watch.words import Watching

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


WORLD = World(
    tables={
        "flow": {"SrcAddr": "TEXT", "Bytes": "INTEGER"},
        "packet": {"DstPort": "INTEGER", "Time": "INTEGER"},
    },
    functions=("in_cidr",),
    interfaces=("eth0", "wlan0"),
    selectable={
        "pod": ("kube-system/dns-1", "shop/web-1", "shop/web-2"),
        "service": ("shop/web",),
        "namespace": ("kube-system", "shop"),
        "owner": ("deployment/web",),
        "label": ("app=web", "tier=front"),
        "node": ("node1", "node2"),
    },
    filters={1: "port 80", 12: "port 443"},
    commands=dict.fromkeys(build_registry().names(), ""),
)


def offered(text: str) -> list[str]:
    return [candidate.text for candidate in build_registry().complete(text, WORLD)]


async def documented(ctx: Context, n: Annotated[int, Number(0, 9)] = 4) -> Result:  # noqa: ARG001
    """Do nothing.

    Examples:
        nothing 3
    """
    return None


async def untyped(ctx: Context, n: int) -> Result:  # noqa: ARG001
    """Do nothing.

    Examples:
        nothing 3
    """
    return None


async def unexplained(ctx: Context) -> Result:  # noqa: ARG001
    """Do nothing."""
    return None


def test_a_parameter_without_a_kind_fails_at_registration() -> None:
    with pytest.raises(TypeError, match=r"untyped: .* says not how it is read"):
        Registry().add("nothing", untyped)


def test_a_command_without_an_example_fails_at_registration() -> None:
    with pytest.raises(ValueError, match="nothing: its docstring needs"):
        Registry().add("nothing", unexplained)


def test_two_commands_of_one_name_fail_at_registration() -> None:
    registry = Registry()
    registry.add("nothing", documented)
    with pytest.raises(ValueError, match="two commands"):
        registry.add("nothing", documented)


@pytest.mark.parametrize("name", build_registry().names())
def test_every_command_explains_itself_and_its_examples_are_right(name: str) -> None:
    registry = build_registry()
    command = registry.get(name)
    assert command.summary.endswith(".")
    assert command.examples
    first = name.partition(" ")[0]
    for example in command.examples:
        parsed = registry.parse(example).command.name
        assert (
            parsed == name or (name, parsed) == ("wait", "wait until") or parsed.startswith(first)
        )
    assert name in overview(registry)
    assert command.usage in about(registry, name)


def test_commands_do_not_depend_on_who_built_the_registry() -> None:
    assert build_registry().names() == build_registry().names()
    assert build_registry() is not build_registry()


@pytest.mark.parametrize(
    ("line", "name", "arguments"),
    [
        ("filter peer_ip 10.129.0.48", "filter", (("peer_ip", "10.129.0.48"),)),
        ("filter", "filter", (None,)),
        ("FILTER LIST", "filter list", ()),
        ("filter del 1 2", "filter del", ((1, 2),)),
        ("filter replace 3 port 80", "filter replace", (3, ("port", "80"))),
        ("capture packets on", "capture", ("packets", True)),
        ("sql SELECT  1", "sql", ("SELECT  1",)),
        ("select 1", "sql", ("select 1",)),
        ("export pcap", "export pcap", (None, "")),
        ("export pcap a.pcap", "export pcap", ("a.pcap", "")),
        ("export pcap where a = 'b c'", "export pcap", (None, "a = 'b c'")),
        ("export pcap 'x y' WHERE a", "export pcap", ("x y", "a")),
        ("export csv f SELECT 'a  b'", "export csv", ("f", Asked("SELECT 'a  b'"))),
        ("export json f run q a=1 b='x y'", "export json", ("f", Asked("", ("q", "a=1", "b=x y")))),
        ("wait 1m", "wait", (60.0,)),
        ("view", "view", ("flows",)),
        ("watch", "watch", (Watching(""),)),
        ("last", "last", ("",)),
        ("save q", "save", ("q", "")),
        ("source ~nobody-of-that-name/x", "source", ("~nobody-of-that-name/x",)),
        ("wait until SELECT 1 timeout 2s", "wait until", ("SELECT 1 timeout 2s",)),
        ("help export pcap", "help", ("export pcap",)),
    ],
)
def test_a_line_becomes_a_call(line: str, name: str, arguments: tuple[object, ...]) -> None:
    call = build_registry().parse(line)
    assert (call.command.name, call.arguments) == (name, arguments)


def test_a_parameter_left_out_is_its_default() -> None:
    registry = Registry()
    registry.add("nothing", documented)
    assert registry.parse("nothing").arguments == (4,)
    assert registry.parse("nothing 3").arguments == (3,)


@pytest.mark.parametrize(
    "line",
    ["snaplen {}", "sample {}", "filter del {}", "filter replace {} port 80", "filter port {}",
     "set dns_port {}", "alert del {}", "watch count {} SELECT 1", "why 10.0.0.1 10.0.0.2:{}"],
)  # fmt: skip
def test_a_number_without_end_is_one_line(line: str) -> None:
    with pytest.raises(CommandError):
        build_registry().parse(line.format("1" * 5000))


def test_help_knows_predicates_and_groups() -> None:
    registry = build_registry()
    assert "for instance: filter " in about(registry, "peer_ip")
    assert "export pcapng [FILE] [where EXPR]" in about(registry, "export")
    assert all(name in about(registry, "filter") for name in PREDICATES)


@pytest.mark.parametrize(
    "text", ["", "x", "filter ", "export pcap ", "sql ", "help ", "wait until "]
)
def test_completion_never_fails_on_an_empty_world(text: str) -> None:
    build_registry().complete(text, World())


def test_commands_are_completed_with_their_summaries() -> None:
    assert offered("fil") == ["filter"]
    assert offered("expo") == ["export"]
    assert "filter" in offered("")
    assert (offered("sele"), offered("SELE")) == (["select"], ["SELECT"])
    found = build_registry().complete("sta", WORLD)
    assert found[0].meta == build_registry().get("status").summary


def test_second_words_and_predicates_are_completed() -> None:
    assert offered("filter l") == ["list", "label"]
    assert {"add", "accept", "reject", "peer_ip"} <= set(offered("filter "))
    assert offered("filter pee") == ["peer_ip", "peer_cidr"]
    assert offered("export pcapn") == ["pcapng"]
    assert offered("capture ") == ["flows", "packets"]
    assert offered("capture flows o") == ["on", "off"]


def test_predicates_already_there_are_not_offered_again() -> None:
    names = offered("filter port 80 ")
    assert "port" not in names
    assert "for" in names
    assert "accept" not in names
    assert offered("filter port 80 for f") == ["flows"]
    assert offered("filter port 80 for flows ") == ["as"]
    assert offered("filter port 80 as ") == []
    assert offered("filter port 80 as web ") == ["for"]


def test_values_of_a_predicate_are_completed_after_a_comma_too() -> None:
    assert "tcp" in offered("filter protocol ")
    assert offered("filter interface e") == ["eth0"]
    found = build_registry().complete("filter interface eth0,w", WORLD)
    assert [(c.text, c.replaces) for c in found] == [("wlan0", 1)]


def test_pods_are_completed_by_their_namespace_first_then_by_name() -> None:
    assert offered("filter pod ")[:2] == ["kube-system/", "shop/"]
    assert "shop/web-2" in offered("filter pod ")
    assert offered("filter pod sh") == ["shop/", "shop/web-1", "shop/web-2"]
    assert offered("filter pod shop/") == ["shop/web-1", "shop/web-2"]
    assert offered("filter pod we") == ["web-1", "web-2"]
    assert offered("filter service shop/w") == ["shop/web"]


def test_selectors_are_completed_in_a_list_with_what_is_not_in_it_yet() -> None:
    assert offered("filter pod shop/web-1,shop/") == ["shop/web-2"]
    assert offered("filter namespace shop,") == ["kube-system"]
    found = build_registry().complete("filter node node1,n", WORLD)
    assert [(c.text, c.replaces) for c in found] == [("node2", 1)]


def test_owners_labels_and_nodes_are_completed() -> None:
    assert offered("filter owner dep") == ["deployment/web"]
    assert offered("filter label a") == ["app=web"]
    assert offered("filter reject node ") == ["node1", "node2"]
    assert offered("filter try label t") == ["tier=front"]


def test_filters_are_completed_by_number_with_their_text() -> None:
    found = build_registry().complete("filter del 1", WORLD)
    assert [(c.text, c.meta) for c in found] == [("1", "port 80"), ("12", "port 443")]
    assert offered("filter del 1 ") == ["12"]
    assert offered("filter replace ") == ["1", "12"]
    assert "peer_ip" in offered("filter replace 1 ")


def test_an_optional_argument_does_not_hide_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert offered("export pcap ") == ["where"]
    assert offered("export pcap x.pcap w") == ["where"]
    assert offered("export pcap where Dst") == ["DstPort"]
    assert offered("export pcap x where Dst") == ["DstPort"]


def test_files_are_completed_with_their_directories(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    base = tmp_path_factory.mktemp("files")
    (base / "day.nsh").touch()
    (base / "dir").mkdir()
    (base / ".hidden").touch()
    (base / "two words").touch()
    found = build_registry().complete(f"source {base}/d", WORLD)
    assert [(c.text, c.replaces) for c in found] == [("day.nsh", 1), ("dir/", 1)]
    assert offered(f"source {base}/") == ["day.nsh", "dir/"]
    assert offered(f"source {base}/.h") == [".hidden"]


def test_a_name_in_quotes_is_completed_while_they_are_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day.nsh").touch()
    found = build_registry().complete('source "da', WORLD)
    assert [(c.text, c.replaces) for c in found] == [("day.nsh", 2)]
    assert offered('source "da"') == []


def test_a_file_to_be_written_gets_its_extension(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("day.csv", "day.pcap", "days.txt"):
        (tmp_path / name).touch()
    (tmp_path / "dayly").mkdir()
    found = build_registry().complete("export csv d", WORLD)
    assert [c.text for c in found] == ["day.csv", "dayly/", "day.pcap", "days.txt", "d.csv"]
    assert found[-1].meta == "a new file"
    assert offered("export csv day") == ["day.csv", "dayly/", "day.pcap", "days.txt"]
    assert offered("export json dayly/x") == ["x.json"]
    assert "x." not in "".join(offered("source x"))


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        # What follows the cursor is not written twice,
        ("filter po|rt 80", ["pod"]),
        ("filter pr|otocol tcp", []),
        ("export pcap|ng x", []),
        ("SELECT By|tes FROM flow", []),
        ("SELECT * FROM fl|ow WHERE 1", []),
        ("SELECT in_c|(SrcAddr) FROM flow", ["in_cidr"]),
        # nor offered where it stands already,
        ("filter port 80 pro| protocol tcp", []),
        # Within a word those that end as it does come first.
        ("filter d|cidr x", ["dst_", "del", "dport", "direction"]),
        ("SELECT S|Addr FROM flow", ["Src"]),
        # but a word that only begins alike is one of its own.
        ("SELECT By| FROM flow", ["Bytes"]),
        ("filter pro| tcp", ["protocol"]),
        ("st| 80", ["status"]),
    ],
)
def test_in_the_middle_of_a_line_what_follows_is_heeded(marked: str, expected: list[str]) -> None:
    before, _, after = marked.partition("|")
    found = build_registry().complete(before, WORLD, after=after)
    assert [candidate.text for candidate in found] == expected


def test_named_queries_alerts_and_views_are_completed() -> None:
    query = Query("slow_dns", "-- slow answers\n-- :ms = 100\nSELECT :ms, :who", saved=False)
    world = replace(WORLD, queries={"slow_dns": query}, alerts={3: "SELECT 1"})

    def found(text: str) -> list[tuple[str, str]]:
        return [(c.text, c.meta) for c in build_registry().complete(text, world)]

    assert found("run ") == [("slow_dns", "slow answers [ms] who")]
    assert found("watch 2s run sl") == [("slow_dns", "slow answers [ms] who")]
    assert found("export csv f run sl") == [("slow_dns", "slow answers [ms] who")]
    assert found("alert del ") == [("3", "SELECT 1")]
    assert [text for text, _ in found("view ")] == ["flows", "packets", "dns", "drops"]


QUERY = Query(
    "to",
    "-- :name = 'a b'\nSELECT :no, 1 FROM packet WHERE DstPort = :port "
    "AND :name IN (SELECT SrcAddr FROM flow WHERE SrcAddr = :name)",
    saved=False,
)


def of_query(text: str) -> list[tuple[str, str, int | None]]:
    """What is offered where values have been seen."""

    known: dict[object, Sequence[Sequence[object]]] = {
        ColumnValues("packet", "DstPort"): [(443, 5), (53, 1)],
        ColumnValues("flow", "SrcAddr"): [('x"y', 9), ("c d", 2), ("e", 1)],
    }
    world = replace(WORLD, queries={"to": QUERY}, seen=lambda question: known.get(question, ()))
    found = build_registry().complete(text, world)
    return [(c.text, c.meta, c.replaces) for c in found]


@pytest.mark.parametrize(
    "before", ["run ", "watch 2s run ", "export csv f run ", "alert when run "]
)
def test_parameters_of_a_named_query_are_completed(before: str) -> None:
    no, port, name = (
        ("no=", "must be given", 0),
        ("port=", "must be given", 0),
        "a b when not given",
    )
    assert of_query(f"{before}to ") == [no, port, ("name=", name, 0)]
    assert of_query(f"{before}to po") == [("port=", "must be given", 2)]
    assert of_query(f"{before}to no=1 port=2 ") == [("name=", name, 0)]
    assert of_query(f"{before}nothing ") == []


def test_values_of_a_parameter_are_those_of_the_column_it_is_compared_with() -> None:
    assert of_query("run to port=") == [("443", "5 rows", 0), ("53", "1 row", 0)]
    assert of_query("run to port=5") == [("53", "1 row", 1)]
    assert of_query("run to no=") == of_query("run to nothing=") == []


def test_a_value_gets_the_quotes_that_it_needs() -> None:
    assert [text for text, *_ in of_query("run to name=")] == ['"c d"', "e", '"a b"']
    assert of_query('run to name="c') == [('c d"', "2 rows", 1)]
    assert of_query("run to name='x\"") == [("x\"y'", "9 rows", 2)]
    assert of_query('run to name="e"') == []


@pytest.mark.parametrize("name", build_registry().names())
def test_every_command_is_completed_letter_by_letter(name: str) -> None:
    first, _, second = name.partition(" ")
    assert first in offered(first[:2])
    if second:
        assert second in offered(f"{first} {second[:1]}")
        assert second in offered(f"help {first} ")
    assert first in {name.partition(" ")[0] for name in offered(f"help {first[:2]}")}


def test_sql_is_completed_wherever_it_stands() -> None:
    for before in (
        "",
        "sql ",
        "export csv f ",
        "wait until ",
        "watch ",
        "watch 2s ",
        "alert when ",
    ):
        assert offered(f"{before}SELECT * FROM fl") == ["flow"]
    assert offered("schema p") == ["packet"]
    assert offered("help export p") == ["pcap", "pcapng", "parquet"]


REGISTRY = build_registry()
_WORDS = [
    *REGISTRY.names(), *PREDICATES, "run", "to", "name=", 'name="', "count", "when", "2s",
    "SELECT", "FROM", "WHERE", "CASE", "END", "flow", "'", '"', ",", ".", "(", "--", "/*", "=",
    "10.0.0.1", "~nobody-of-that-name/", "é", "\n", "\0",
]  # fmt: skip


@given(st.lists(st.sampled_from(_WORDS), max_size=9).map(" ".join), st.integers(0, 60))
def test_no_line_makes_it_fail(line: str, back: int) -> None:
    registry = REGISTRY
    world = replace(WORLD, queries={"to": QUERY}, alerts={1: "SELECT 1"})
    before = line[: max(0, len(line) - back)]
    registry.complete(before, world, after=line[len(before) :])
    for kind, words in registry.read(line).arguments:
        kind.paint([word.text for word in words], world)
    registry.hint(line)
    with suppress(CommandError):
        registry.parse(line)


def test_the_hint_is_the_usage_of_what_is_typed() -> None:
    hint = build_registry().hint
    assert hint("snaplen ") == "snaplen SIZE"
    assert hint("filter del 1") == "filter del ID..."
    assert hint("snaplen") == ""
    assert hint("SELECT 1") == ""
    assert hint("nonsense ") == ""


def test_a_line_that_is_not_understood_still_has_a_name_for_its_error() -> None:
    registry = build_registry()
    assert registry.name_of("filter del x") == "filter del"
    assert registry.name_of("sttaus now") == "sttaus"
    assert registry.name_of("select") == "sql"
    with pytest.raises(CommandError, match="no command"):
        registry.parse("")


def test_filters_are_offered_by_name_and_number() -> None:
    world = World(filters={1: "port 80 as web", 2: "port 53"})
    found = build_registry().complete("filter del ", world)
    assert [(each.text, each.meta) for each in found] == [
        ("web", "port 80 as web"), ("1", "port 80 as web"), ("2", "port 53"),
    ]  # fmt: skip
    assert [each.text for each in build_registry().complete("filter replace w", world)] == ["web"]

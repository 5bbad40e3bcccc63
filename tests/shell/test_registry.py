"""The registry: what commands must say of themselves, and what is read from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import pytest

from nshell.filters import PREDICATES
from nshell.shell.commands import build_registry
from nshell.shell.context import Context  # noqa: TC001 - read by the registry
from nshell.shell.errors import CommandError
from nshell.shell.help.text import about, overview
from nshell.shell.kinds import Number, World
from nshell.shell.registry import Registry
from nshell.shell.values import Result  # noqa: TC001 - the same

if TYPE_CHECKING:
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


async def documented(ctx: Context, n: Annotated[int, Number(0, 9)] = 0) -> Result:  # noqa: ARG001
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
        ("export pcap", "export pcap", (None, None)),
        ("export pcap a.pcap", "export pcap", ("a.pcap", None)),
        ("export pcap where a = 'b c'", "export pcap", (None, "a = 'b c'")),
        ("export pcap 'x y' WHERE a", "export pcap", ("x y", "a")),
        ("export csv f SELECT 'a  b'", "export csv", ("f", "SELECT 'a  b'")),
        ("wait 1m", "wait", (60.0,)),
        ("wait until SELECT 1 timeout 2s", "wait until", ("SELECT 1 timeout 2s",)),
        ("help export pcap", "help", ("export pcap",)),
    ],
)
def test_a_line_becomes_a_call(line: str, name: str, arguments: tuple[object, ...]) -> None:
    call = build_registry().parse(line)
    assert (call.command.name, call.arguments) == (name, arguments)


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
    assert offered("filter port 80 for flows ") == []


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
    world = replace(WORLD, queries={"slow_dns": "slow answers"}, alerts={3: "SELECT 1"})

    def found(text: str) -> list[tuple[str, str]]:
        return [(c.text, c.meta) for c in build_registry().complete(text, world)]

    assert found("run ") == [("slow_dns", "slow answers")]
    assert found("watch 2s run sl") == [("slow_dns", "slow answers")]
    assert found("alert del ") == [("3", "SELECT 1")]
    assert [text for text, _ in found("view ")] == ["flows", "packets", "dns", "drops"]


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
    assert offered("help export p") == ["pcap", "pcapng"]


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

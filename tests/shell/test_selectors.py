"""What the shell shows of filters that select: addresses, notes, warnings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nshell.proto import session_pb2 as pb
from nshell.shell.commands.acks import applied

if TYPE_CHECKING:
    from tests.shell.conftest import Shell

NOTE = "shop/web-4 has no address yet: waiting"


@pytest.fixture
def selecting(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """On a cluster, with a filter that stands for a hundred addresses."""
    plain = shell.service.status

    def status() -> pb.Status:
        made = plain()
        made.kubernetes.synced = True
        for rule in made.rules:
            if rule.text.startswith("pod"):
                rule.addresses.extend(f"10.1.0.{n}" for n in range(32))
                rule.address_count = 100
                rule.note = NOTE
        return made

    monkeypatch.setattr(shell.service, "status", status)
    return shell


async def test_the_list_shows_the_first_few_addresses_and_a_count(selecting: Shell) -> None:
    await selecting.run("filter pod shop/web-*\nfilter port 80")
    out = await selecting.run("filter list")
    assert "pod shop/web-*  10.1.0.0, 10.1.0.1, 10.1.0.2 and 97 more" in out
    assert NOTE in out


async def test_for_programs_it_has_all_that_is_told(selecting: Shell) -> None:
    await selecting.run("filter pod shop/web-*\nfilter port 80")
    await selecting.run("set format json")
    first, second = json.loads(await selecting.run("filter list"))
    assert first["addresses"].endswith("10.1.0.31 and 68 more")
    assert (first["note"], second["addresses"], second["note"]) == (NOTE, "", "")


async def test_without_a_cluster_nothing_is_said_of_addresses(shell: Shell) -> None:
    await shell.run("filter port 80")
    out = await shell.run("filter list")
    assert "addresses" not in out
    assert "note" not in out


def test_warnings_follow_what_was_done() -> None:
    reply = pb.ChangeReply(
        generation=2,
        elapsed_ms=42,
        nodes=[pb.NodeAck(node="n", applied=True)],
        warnings=["pod shop/\x1bx matches no pod yet: waiting"],
    )
    assert applied("filter 1 added: pod shop/x", reply).text == (
        "filter 1 added: pod shop/x  applied 1/1 in 42 ms (generation 2)\n"
        "note: pod shop/\\x1bx matches no pod yet: waiting"
    )

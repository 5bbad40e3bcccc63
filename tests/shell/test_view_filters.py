"""Filters that a view makes and takes back, over a real connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from nshell.shell.errors import CommandError, SessionLost
from nshell.shell.view.filtering import Filters

if TYPE_CHECKING:
    from tests.shell.conftest import Shell


async def test_the_last_one_is_taken_back_first(shell: Shell) -> None:
    made = Filters(shell.context.client)
    await made.add(("port", "80"))
    assert (await made.add(("port", "443"))).startswith("filter 2 added: port 443  applied 1/1")
    assert made.last == 2
    assert (await made.take_back()).startswith("filter 2 deleted: port 443  applied 1/1")
    assert (await made.take_back()).startswith("filter 1 deleted: port 80  applied 1/1")
    assert shell.capture.rules == {}
    assert (await made.take_back()).startswith("no filter was made in this view")


async def test_one_that_is_still_on_its_way_is_waited_for(shell: Shell) -> None:
    made = Filters(shell.context.client)
    await made.add(("port", "80"))
    await asyncio.gather(made.add(("port", "443")), made.take_back())
    assert list(shell.capture.rules.values()) == ["port 80"]


async def test_one_that_another_shell_has_deleted_does_not_hide_the_one_before(
    shell: Shell,
) -> None:
    made = Filters(shell.context.client)
    await made.add(("port", "80"))
    await made.add(("port", "443"))
    await shell.context.client.delete_filters([2])
    with pytest.raises(CommandError, match="no filter 2"):
        await made.take_back()
    assert made.last == 1


async def test_one_that_not_every_node_took_can_be_taken_back(shell: Shell) -> None:
    made = Filters(shell.context.client)
    shell.capture.deaf["node-1"] = "no room"
    with pytest.raises(CommandError, match="no room"):
        await made.add(("port", "80"))
    shell.capture.deaf.clear()
    assert "filter 1 deleted" in await made.take_back()


async def test_without_a_connection_it_can_still_be_taken_back_later(shell: Shell) -> None:
    made = Filters(shell.context.client)
    await made.add(("port", "80"))
    await shell.server.stop(grace=None)
    with pytest.raises((CommandError, SessionLost)):
        await made.take_back()
    assert made.last == 1

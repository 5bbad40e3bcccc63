"""How a view ends, as those see it that opened it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from nshell.shell.errors import Failure, SessionLost
from nshell.shell.prompt.look import look
from nshell.shell.view import view

if TYPE_CHECKING:
    from nshell.shell.view.screen import View
    from tests.shell.conftest import Shell


async def drawn(made: View, keys: str) -> View:
    """The view when it has ended."""
    with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()):
        typed.send_text(keys)
        await made.draw(look())
    return made


@pytest.mark.parametrize(
    ("keys", "ended_by"),
    [("q", "q"), ("\x03", "c-c"), ("\x04", "c-d"), ("nothing\x03", "c-c"), ("s\x03", "c-c")],
)
async def test_the_key_that_ended_it_is_known(shell: Shell, keys: str, ended_by: str) -> None:
    made = view("flows", shell.context, leaving="Ctrl-C ends the capture", note=lambda: "00:01")
    assert (await drawn(made, keys)).ended_by == ended_by


async def test_a_session_that_is_lost_ends_it(shell: Shell) -> None:
    await shell.server.stop(grace=None)
    made = view("flows", shell.context)
    with pytest.raises(SessionLost, match="the collector does not answer"):
        await drawn(made, "")
    assert made.ended_by == ""


async def test_where_nothing_can_be_drawn_it_says_what_else_there_is(shell: Shell) -> None:
    with pytest.raises(Failure, match="a view needs a terminal: `SELECT") as failed:
        await shell.run("view drops")
    assert failed.value.command == "view"


async def test_a_view_that_there_is_not_is_named(shell: Shell) -> None:
    with pytest.raises(Failure, match="unknown word 'flow': did you mean 'flows'"):
        await shell.run("view flow")

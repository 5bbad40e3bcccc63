"""The completer at a prompt without a terminal: menus that fill up while somebody looks at them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from nshell.shell.commands import build_registry
from nshell.shell.completion.completer import ShellCompleter, Worlds
from nshell.shell.kinds import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from prompt_toolkit.buffer import Buffer

    from tests.shell.conftest import Shell


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe


class Menu:
    """A prompt, its menu, and what has been seen."""

    def __init__(self, keys: PipeInput) -> None:
        self.rows: list[Sequence[Any]] = []
        self.asked, self.gate = threading.Event(), threading.Event()
        self.gate.set()
        world = World(seen=self._seen)
        self.completer = ShellCompleter(build_registry(), lambda: world)
        self.prompt: PromptSession[str] = PromptSession(
            completer=self.completer, complete_in_thread=True
        )
        self._keys = keys

    def _seen(self, _: object) -> Sequence[Sequence[Any]]:
        rows = self.rows
        self.asked.set()
        if not rows:
            self.gate.wait(20)
        return rows

    @property
    def buffer(self) -> Buffer:
        return self.prompt.default_buffer

    @property
    def shown(self) -> list[str]:
        state = self.buffer.complete_state
        return [each.text for each in state.completions] if state is not None else []

    def type(self, text: str) -> None:
        self._keys.send_text(text)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.005)

    async def learn(self, *rows: Sequence[Any]) -> None:
        """An answer has come."""
        self.rows = list(rows)
        await self.completer.offer_again(self.buffer)


@pytest.fixture
async def menu(keys: PipeInput) -> AsyncIterator[Menu]:
    made = Menu(keys)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(made.prompt.prompt_async())
        yield made
        made.type("\r")
        await made.until(reading.done)


A, B = ("10.0.0.1", 9, None), ("10.0.0.2", 8, None)


async def test_a_menu_opens_and_grows_with_what_is_known(menu: Menu) -> None:
    menu.type("filter peer_ip ")
    await menu.until(menu.asked.is_set)
    await menu.learn(A)
    assert menu.shown == ["10.0.0.1"]
    await menu.learn(B, A)
    assert menu.shown == ["10.0.0.2", "10.0.0.1"]


async def test_an_answer_that_overtakes_the_completion_still_opens_the_menu(menu: Menu) -> None:
    menu.gate.clear()
    menu.type("filter peer_ip ")
    await menu.until(menu.asked.is_set)
    await menu.learn(A)
    menu.gate.set()
    # The one that was overtaken ends with nothing to show.
    await asyncio.sleep(0.05)
    assert menu.shown == ["10.0.0.1"]


async def test_a_menu_stays_as_it_is_under_somebody_who_chooses(menu: Menu) -> None:
    menu.rows = [A, B]
    menu.type("filter peer_ip ")
    await menu.until(lambda: len(menu.shown) == 2)
    menu.type("\t")
    await menu.until(lambda: menu.buffer.text == "filter peer_ip 10.0.0.1")
    state = menu.buffer.complete_state
    await menu.learn(B)
    await asyncio.sleep(0)
    assert menu.buffer.complete_state is state


async def test_no_menu_opens_over_a_line_that_has_changed(menu: Menu) -> None:
    menu.type("filter peer_ip ")
    await menu.until(menu.asked.is_set)
    menu.buffer.cursor_left(3)
    await menu.learn(A)
    await asyncio.sleep(0)
    assert menu.buffer.complete_state is None


def test_a_completion_that_fails_offers_nothing_and_raises_nothing() -> None:
    def broken() -> World:
        raise RuntimeError("a defect")

    completer = ShellCompleter(build_registry(), broken)
    assert list(completer.get_completions(Document("fil"), CompleteEvent())) == []


@pytest.mark.parametrize(
    ("marked", "offered"),
    [
        ("filter port 80\nsta|", "status"),
        ("status\n|", "filter"),
        ("status\nfilter po|\nquit", "port"),
        ("filter port 80\nSELECT * FROM fl|", "flow"),
        ("SELECT a FROM flow\nWHERE By|\nstatus", "Bytes"),
        ("-- who\nSELECT * FROM fl|", "flow"),
    ],
)
def test_each_command_of_a_pasted_text_is_completed_as_one(marked: str, offered: str) -> None:
    world = World(tables={"flow": {"Bytes": "INTEGER"}})
    completer = ShellCompleter(build_registry(), lambda: world)
    document = Document(marked.replace("|", ""), marked.index("|"))
    found = [each.text for each in completer.get_completions(document, CompleteEvent())]
    assert offered in found
    assert len(found) < 20 or offered == "filter"


async def test_what_is_offered_is_put_together_of_the_whole_session(shell: Shell) -> None:
    shell.capture.pods.append("shop/web-1")
    await shell.run("filter port 80")
    worlds = Worlds(shell.context)
    assert worlds(None, None).tables == {}
    described = await shell.client.describe()
    world = worlds(described, await shell.client.status())
    assert world.tables["packet"]["DstPort"] == "INTEGER"
    assert world.filters == {1: "port 80"}
    assert "top_talkers" in world.queries
    assert world.selectable["pod"] == ("shop/web-1",)
    before = worlds.schema
    worlds(described, None)
    assert worlds.schema is before

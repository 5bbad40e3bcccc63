"""Enter, Alt-Enter, Ctrl-C, Ctrl-D and the menu, key by key without a terminal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from nshell.shell.commands import build_registry
from nshell.shell.completion.completer import ShellCompleter, world_of
from nshell.shell.prompt.keys import build_keys
from tests.shell.fake_session import FakeSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.buffer import Buffer


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    """What is typed."""
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        yield pipe


def build_prompt() -> PromptSession[str]:
    """As the shell's own, without colours."""
    registry = build_registry()
    return PromptSession(
        multiline=True,
        key_bindings=build_keys(),
        completer=ShellCompleter(
            registry, lambda: world_of(registry, described=None, status=FakeSession().status())
        ),
    )


async def submitted(keys: PipeInput, text: str) -> str:
    """What the prompt gives for these keys."""
    keys.send_text(text)
    return await build_prompt().prompt_async()


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("status\r", "status"),
        ("\r", ""),
        ("filter port 80\r", "filter port 80"),
        ("SELECT 1\r", "SELECT 1"),
        ("SELECT 1;\r", "SELECT 1;"),
        ("SELECT a FROM\rflow\r", "SELECT a FROM\nflow"),
        ("SELECT 'a\rb'\r", "SELECT 'a\nb'"),
        ("SELECT (1,\r2)\r", "SELECT (1,\n2)"),
        ("SELECT 1 \\\r+ 1\r", "SELECT 1 \\\n+ 1"),
        ("SELECT a FROM flow\x1b\rWHERE b\r", "SELECT a FROM flow\nWHERE b"),
        ("sql SELECT a FROM\rflow;\r", "sql SELECT a FROM\nflow;"),
    ],
)
async def test_enter_submits_what_is_finished_and_opens_a_line_otherwise(
    keys: PipeInput, typed: str, text: str
) -> None:
    assert await submitted(keys, typed) == text


def menu_is_open(buffer: Buffer) -> bool:
    return buffer.complete_state is not None and bool(buffer.complete_state.completions)


async def test_enter_on_a_menu_item_takes_it_and_another_submits(keys: PipeInput) -> None:
    prompt = build_prompt()
    buffer = prompt.default_buffer
    reading = asyncio.gather(prompt.prompt_async())
    keys.send_text("filter rep")
    async with asyncio.timeout(20):
        while not menu_is_open(buffer):
            await asyncio.sleep(0.01)
        keys.send_text("\t")
        while buffer.text != "filter replace":
            await asyncio.sleep(0.01)
        keys.send_text("\r")
        while menu_is_open(buffer):
            await asyncio.sleep(0.01)
    assert not reading.done()
    keys.send_text("\r")
    assert (await reading)[0] == "filter replace"


async def test_control_c_and_control_d_leave_the_prompt(keys: PipeInput) -> None:
    with pytest.raises(KeyboardInterrupt):
        await submitted(keys, "half\x03")
    with pytest.raises(EOFError):
        await submitted(keys, "\x04")


def test_the_menu_never_offers_what_a_terminal_would_act_on() -> None:
    registry = build_registry()
    service = FakeSession()
    described = service.describe()
    described.interfaces.append("eth\x1b[2J")
    described.tables[0].columns[0].type = "TEXT\x07"
    completer = ShellCompleter(
        registry, lambda: world_of(registry, described=described, status=None)
    )

    def found(text: str) -> list[tuple[str, str, int]]:
        completions = completer.get_completions(Document(text), CompleteEvent())
        return [(c.text, c.display_meta_text, c.start_position) for c in completions]

    assert [text for text, *_ in found("filter interface ")] == ["eth0", "eth1"]
    assert found("SELECT * FROM flow WHERE SrcA") == [("SrcAddr", "flow TEXT\\x07", -4)]
    service.close()

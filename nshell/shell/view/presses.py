"""What a key does: changes of the state, and what the session is asked for in turn.

Letters are keys while no keyword is being typed; any other begins one, and "/"
begins one that starts with such a letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.view.actions import AddFilter, DrawChart, Leave, ShowPackets, SwitchOn, TakeBack
from nshell.shell.view.chart import Chart
from nshell.shell.view.choices import Menu, choices
from nshell.shell.view.completing import complete
from nshell.shell.view.state import Details, Help
from nshell.shell.view.words import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nshell.shell.view.actions import Action
    from nshell.shell.view.state import Page, State


_MOST_TYPED = 200


def press(state: State, key: str) -> Action:
    """One key: a character, or the name of another such as "up"."""
    escaped, state.escaped = state.escaped, False
    if not state.lasting:
        state.message = ""
    if key == "c-c" or (key == "c-d" and not state.page.in_field):
        return Leave(key)
    if state.over is not None:
        return _over(state, state.over, key)
    if key == "escape":
        return _escape(state, escaped=escaped)
    if state.page.in_field and _in_field(state, state.page, key):
        return None
    return _in_table(state, key)


def _over(state: State, over: Help | Details | Menu | Chart, key: str) -> Action:
    """What lies over the table has the keys."""
    if isinstance(over, Menu):
        return _in_menu(state, over, key)
    if isinstance(over, Chart):
        return _in_chart(state, over, key)
    if isinstance(over, Details) and key == "enter":
        _keep_cell(state, over)
        return None
    return _in_text(state, over, key)


def _escape(state: State, *, escaped: bool) -> Action:
    """Undo the last thing that is open; twice where there is none: leave."""
    page = state.page
    if page.in_field:
        page.typed, page.typing = "", False
        page.changed()
    elif page.selected is not None:
        page.resume()
    elif len(state.pages) > 1:
        state.pages.pop()
    elif escaped:
        return Leave("escape")
    else:
        state.escaped = True
        state.say("Esc again leaves")
    return None


def _in_field(state: State, page: Page, key: str) -> bool:
    """Whether the key was for the keyword that is being typed."""
    if len(key) == 1 and key.isprintable():
        page.typed = (page.typed + key)[:_MOST_TYPED]
    elif key == "enter":
        keep(page)
    elif key == "backspace":
        page.typing = page.typing and bool(page.typed)
        page.typed = page.typed[:-1]
    elif key in ("c-u", "c-w"):
        page.typed, page.typing = "", False
    elif key == "tab":
        page.typed, found = complete(page)
        state.say(", ".join(found) or "nothing that begins like this")
    else:
        return False
    page.changed()
    return True


def keep(page: Page) -> None:
    """The keyword that was typed; the next one may be."""
    word = page.typed.strip()
    if word and word not in page.keywords:
        page.keywords.append(word)
    page.typed, page.typing = "", False


def _in_table(state: State, key: str) -> Action:
    page = state.page
    if key in _MOVES:
        page.move(_MOVES[key])
    elif key in _LOOKS:
        _look(state, page, key)
    elif key in ("f", "p", "enter"):
        return _with_row(state, key)
    elif key in _COMMANDS:
        return _COMMANDS[key](state)
    elif len(key) == 1 and key.isprintable():
        page.typed = key
        page.changed()
    return None


_MOVES = {"j": 1, "k": -1, "tab": 1, "s-tab": -1, "c-down": 1, "c-up": -1, "c-n": 1, "c-p": -1,
          "home": -(10**9), "end": 10**9}  # fmt: skip
_LOOKS = ("left", "right", "pageup", "pagedown", "up", "down", "o", "O")


def _look(state: State, page: Page, key: str) -> None:
    """Which columns, which rows, in which order."""
    if key in ("left", "right"):
        page.set_number = (page.set_number + _step(key == "right")) % len(page.kind.sets)
    elif key in ("pageup", "pagedown"):
        page.level = (page.level + _step(key == "pagedown")) % len(page.kind.levels)
    elif key == "up":
        page.limit = None if page.limit is None or page.limit + 1 >= state.room else page.limit + 1
    elif key == "down":
        page.limit = max(1, min(page.limit or state.room, state.room) - 1)
    elif key == "o":
        page.sort = (page.sort + 1) % len(page.kind.sorts)
    else:
        page.descending = not page.descending
    if key in ("o", "O"):
        page.changed()
    elif key not in ("up", "down"):
        page.widths.clear()


def _step(forward: bool) -> int:
    return 1 if forward else -1


def _hold(state: State) -> None:
    if state.page.paused:
        state.page.resume()
    else:
        state.page.pause()


def _drop_keyword(state: State) -> None:
    if state.page.keywords:
        state.page.keywords.pop()
        state.page.changed()


def _help(state: State) -> None:
    state.over = Help()


def _begin_keyword(state: State) -> None:
    state.page.typing = True


def _chart(state: State) -> Action:
    chart = Chart()
    state.over = chart
    return DrawChart(chart)


def _switch_on(state: State) -> Action:
    if state.lack is None:
        state.say("nothing that this screen needs is switched off")
        return None
    return SwitchOn(state.lack.command)


_COMMANDS: Mapping[str, Callable[[State], Action]] = {
    "q": lambda _: Leave("q"),
    " ": _hold,
    "backspace": _drop_keyword,
    "?": _help,
    "f1": _help,
    "/": _begin_keyword,
    "s": _chart,
    "e": _switch_on,
    "F": lambda _: TakeBack(),
}


def _with_row(state: State, key: str) -> Action:
    page = state.page
    if key == "p" and len(state.pages) > 1:
        state.pages.pop()
        return None
    row = page.under_cursor()
    if row is None:
        state.say("there is no row here yet")
    elif key == "enter":
        state.over = Details(row)
    elif key == "p" and page.kind.name == "packets":
        state.say("these are packets; Enter shows all of one")
    elif key == "p" and any(row[f"{end}Addr"] is None for end in page.kind.ends):
        state.say("this row has no addresses: its packets cannot be told from others")
    elif key == "p":
        return ShowPackets(row)
    elif found := choices(row, page.kind.ends):
        state.over = Menu(found)
    else:
        state.say("this row has no address or protocol to filter by")
    return None


def _in_menu(state: State, menu: Menu, key: str) -> Action:
    if key in ("escape", "q", "f"):
        state.over = None
    elif key in ("up", "k", "s-tab"):
        menu.at = (menu.at - 1) % len(menu.choices)
    elif key in ("down", "j", "tab"):
        menu.at = (menu.at + 1) % len(menu.choices)
    elif key == "r":
        menu.reject = not menu.reject
    elif key == "enter" or (key.isdecimal() and 1 <= int(key) <= len(menu.choices)):
        if key != "enter":
            menu.at = int(key) - 1
        state.over = None
        return AddFilter(menu.words())
    return None


def _in_chart(state: State, chart: Chart, key: str) -> Action:
    if key in ("escape", "s"):
        state.over = None
    elif key == "q":
        return Leave("q")
    elif key in ("left", "right", "+", "-"):
        chart.zoom(_step(key in ("right", "+")))
        return DrawChart(chart)
    return None


def _keep_cell(state: State, over: Details) -> None:
    """Only rows with this in the same column."""
    state.over = None
    if not over.cells:
        return
    name, cell = over.cells[over.at]
    word = f"{name}={plain(cell)}"
    if word not in state.page.keywords:
        state.page.keywords.append(word)
        state.page.changed()


def _in_text(state: State, over: Help | Details, key: str) -> Action:
    """Help and details: something to read."""
    if key in ("escape", "enter", "?", "f1"):
        state.over = None
    elif key == "q":
        return Leave("q")
    else:
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -state.room,
                 "pagedown": state.room, "home": -10**9, "end": 10**9}  # fmt: skip
        if isinstance(over, Details):
            over.at = max(0, min(over.at + steps.get(key, 0), len(over.cells) - 1))
        else:
            over.top = max(0, over.top + steps.get(key, 0))
    return None

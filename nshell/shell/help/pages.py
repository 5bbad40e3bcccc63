"""The pages of help that are of no command: keys, SQL, the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.escape import escape
from nshell.xdg import config_directory, state_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nshell.proto import session_pb2 as pb

PROMPT_KEYS = (
    ("Enter", "run what is finished, open a line otherwise"),
    ("Alt-Enter", "open a line; with vi's keys o does"),
    ("Tab, Shift-Tab", "walk through the menu; Enter takes the item, Esc closes it"),
    ("Tab within a word", "complete what stands before the cursor; the rest stays"),
    ("Up, Down", "lines of the history that begin as this one does"),
    ("Ctrl-R", "search the history, upper and lower case alike"),
    ("Right, Ctrl-E", "take the suggestion shown behind the cursor; Alt-F one word of it"),
    ("Ctrl-X Ctrl-E", "edit the line in $EDITOR, then run it; with vi's keys v, which only edits"),
    ("F4", "emacs' keys or vi's"),
    ("Ctrl-C", "clear the line; cancel the command that runs"),
    ("Ctrl-D", "on an empty line: leave"),
)
WATCH_KEYS = (
    ("space", "hold it, let it go on"),
    ("+ -", "ask less often, more often"),
    ("up down, page up, page down, Home, End", "other rows"),
    ("left right", "other columns"),
    ("any other key, Ctrl-C", "back to the prompt; the capture goes on"),
)
FUNCTIONS = (
    ("in_cidr(Address, '10.0.0.0/8')", "1 where the address lies in the network"),
    ("ip_name(Address)", "pod, service or node with that address, else a name, else itself"),
    ("port_name(Port, Proto)", "service on a port"),
    ("proto_name(Proto)", "name of an IP protocol"),
    ("human_bytes(Bytes)", "with a unit, such as 1.5 MiB"),
    ("filter_name(FilterId)", "name that the filter was given"),
)
SQL_EXAMPLES = (
    "SELECT SrcAddr, DstAddr, sum(Bytes) AS Bytes FROM flow GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10",
    "SELECT ip_name(SrcAddr) AS Src, port_name(DstPort, Proto) AS Port, count(*) AS Flows FROM flow"
    " WHERE in_cidr(SrcAddr, '10.0.0.0/8') GROUP BY 1, 2",
    "SELECT * FROM conversation ORDER BY BytesOut DESC LIMIT 5",
    "SELECT * FROM dns_slow LIMIT 5",
    "SELECT * FROM drop_summary",
)


def keys_page() -> str:
    """Every key."""
    from nshell.shell.view.overlays import HELP  # noqa: PLC0415 - only for this page

    groups = {"at the prompt": PROMPT_KEYS, "in a watch": WATCH_KEYS, "in a view": HELP}
    return "\n\n".join("\n".join([title, *_lines(rows)]) for title, rows in groups.items())


def sql_page(described: pb.Description | None) -> str:
    """What SQL can ask; without a description, how to see that."""
    parts = [
        "Any SELECT of SQLite over what has been captured so far; the capture goes on meanwhile.\n"
        "Enter runs a statement that can be one, `;` ends it for certain; \\G behind it: a block\n"
        "a row. Names of tables and columns are completed, and so are values after = and IN."
    ]
    if described is not None:
        relations = sorted(described.tables, key=lambda table: table.view)
        rows = [(escape(table.name), escape(table.summary)) for table in relations]
        parts.append("\n".join(["tables and views", *_lines(rows)]))
    parts.append("\n".join(["functions, besides SQLite's own", *_lines(FUNCTIONS)]))
    parts.append("\n".join(["examples:", *(f"  {example}" for example in SQL_EXAMPLES)]))
    parts.append("see also: tables, schema, queries, watch, export csv")
    return "\n\n".join(parts)


def config_page() -> str:
    """Every key of the file, as nshell.config has it."""
    from nshell.config import TABLES  # noqa: PLC0415 - only for this page

    parts = [
        f"{escape(str(config_directory()))}/config.toml, or the file that --config or\n"
        "NETOBSERV_CONFIG names; --no-config reads none. An option of the command line goes\n"
        "before a variable of the environment, that before the file, that before the default.\n"
        "`set` shows what holds and where it came from."
    ]
    for table, keys in TABLES.items():
        rows = [(f"[{table}]", "default", "variable", "")]
        for key in keys.values():
            variables = ", ".join(name for name in (key.variable, key.left_to) if name)
            rows.append((key.name, key.default, variables, key.summary))
        parts.append("\n".join(_columns(rows)))
    parts.append(
        "NETOBSERV_PAGER, PAGER   the pager; empty: none\n"
        f"history and other state: {escape(str(state_directory()))}, for their owner only"
    )
    parts.append(
        "for instance:\n"
        "  [shell]\n"
        '  theme = "light"\n'
        '  startup = ["enable dns drops", "filter reject port 22"]'
    )
    return "\n\n".join(parts)


def _lines(rows: Iterable[Sequence[str]]) -> list[str]:
    return _columns([(name, text) for name, text in rows])


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned, but for what stands last."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]

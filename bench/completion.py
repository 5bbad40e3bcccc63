"""What a key costs in completion and colours: 5,000 pods, 40 tables, answers full.

`python -m bench.completion` prints a line per place.
"""

from __future__ import annotations

import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from nshell.shell.commands import build_registry
from nshell.shell.completion.completer import ShellCompleter
from nshell.shell.completion.seen import ColumnValues, Ends, Names
from nshell.shell.kinds import World
from nshell.shell.prompt.highlight import ShellLexer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nshell.shell.registry import Registry

PODS = tuple(f"namespace-{n % 50}/deployment-{n % 700}-7d4b9c6f{n:04x}" for n in range(5_000))
PLACES = (
    "fil|", "filter |", "filter pod |", "filter pod names|", "filter pod deployment-12|",
    "filter pod 4b9|", "filter peer_ip |", "filter src_cidr 10.0|", "filter port |", "why |",
    "why 10.0.0.1 |", "SELECT |", "SELECT Sr| FROM flow", "SELECT lat|",
    "SELECT * FROM |", "SELECT * FROM table7 WHERE Column3 = |",
    "SELECT * FROM table7 a JOIN table8 b ON |",
    "WITH a AS (SELECT * FROM table1), b AS (SELECT * FROM a) SELECT | FROM b, table2, table3",
)  # fmt: skip
ROUNDS = 15


def seen(question: object) -> Sequence[Sequence[Any]]:
    """200 rows to whatever is asked."""
    if isinstance(question, ColumnValues):
        return [(f"value {n}", 500 - n) for n in range(50)]
    if isinstance(question, Ends):
        return [("10.0.0.1", f"10.0.1.{n}", 443, 9000 - n, None) for n in range(200)]
    if isinstance(question, Names):
        named = (pod.split("/") for pod in PODS[:1000])
        return [("Pod", space, name, "Deployment", name[:14], 10_000) for space, name in named]
    return [(f"10.0.{n % 7}.{n}", 90_000 - n, f"shop/web-{n}") for n in range(200)]


def world() -> World:
    columns = {f"Column{n}": "TEXT" for n in range(60)}
    return World(
        tables={f"table{n}": columns for n in range(39)} | {"flow": columns | {"SrcAddr": "TEXT"}},
        functions=tuple(f"function_{n}" for n in range(180)),
        selectable={"pod": PODS, "service": PODS[:500]},
        seen=seen,
    )


def milliseconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return median(taken) * 1000


def paint(registry: Registry, known: World, text: str) -> None:
    ShellLexer(registry, lambda: known)._painted(text)


def main() -> None:
    registry, known = build_registry(), world()
    completer = ShellCompleter(registry, lambda: known)
    slowest = 0.0
    for place in PLACES:
        before, _, after = place.partition("|")
        document = Document(before + after, len(before))
        found: list[Any] = []

        def complete(document: Document = document, found: list[Any] = found) -> None:
            found[:] = completer.get_completions(document, CompleteEvent())

        took = milliseconds(complete)
        slowest = max(slowest, took)
        colours = milliseconds(partial(paint, registry, known, before + after))
        print(f"{took:6.2f} ms for {len(found):4} items, {colours:5.2f} ms colours  {place}")
    print(f"slowest {slowest:.2f} ms")


if __name__ == "__main__":
    main()

"""What may stand next within an expression: an operand, or what joins it to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nshell.shell.completion.sql import words
from nshell.shell.completion.sql.tree import Group, Item, name_of
from nshell.shell.completion.sql.wanted import Compared, Place

if TYPE_CHECKING:
    from collections.abc import Sequence


def ends_operand(before: Sequence[Item]) -> bool:
    """Whether the last thing there is one, so that no other may follow."""
    last = before[-1]
    if last.kind == "operator":
        # SELECT * is one, 2 * is not.
        return last.text == "*" and (
            len(before) < 2 or before[-2].word in ("SELECT", "DISTINCT", "ALL")
            or before[-2].text in (",", ".")
        )  # fmt: skip
    return last.word not in words.ASKS


def in_expression(before: Sequence[Item], clause: str) -> Place:
    if not ends_operand(before):
        return _operand(before, clause)
    return _operator(before, clause)


def _operator(before: Sequence[Item], clause: str) -> Place:
    following = words.AFTER.get(clause, ())
    if clause in ("LIMIT", "VALUES"):
        return Place(keywords=following)
    cases = _open_cases(before)
    if cases:
        return Place(keywords=_within_case(before), more=("AND", "OR", *words.COMPARISONS))
    if _lacks_and(before):
        return Place(keywords=("AND",))
    if _is_compared(before):
        return Place(keywords=following or ("AND", "OR"), more=("AND", "OR", *words.COMPARISONS))
    if clause in ("SELECT", "GROUP", "ORDER"):
        window = ("OVER", "FILTER") if isinstance(before[-1], Group) else ()
        return Place(keywords=following, more=(*window, "AND", "OR", *words.COMPARISONS))
    return Place(keywords=(*words.COMPARISONS, *following), more=("AND", "OR"))


def _operand(before: Sequence[Item], clause: str) -> Place:
    last = before[-1]
    keywords: tuple[str, ...] = words.OPERANDS
    if last.word == "SELECT":
        keywords = ("DISTINCT", *keywords)
    elif last.word == "IS":
        keywords = ("NULL", "NOT NULL", "NOT", "DISTINCT FROM")
    elif last.word == "NOT" and len(before) > 1 and before[-2].word == "IS":
        keywords = ("NULL",)
    elif last.word == "NOT" and len(before) > 1 and ends_operand(before[:-1]):
        return Place(keywords=("IN", "LIKE", "BETWEEN", "GLOB", "NULL"))
    elif last.word == "IN":
        return Place(keywords=("(SELECT",))
    if _open_cases(before):
        keywords = (*_within_case(before), *keywords)
    compared = _compared(before)
    if last.word == "IS":
        return Place(keywords=keywords, compared=compared)
    return Place(
        operand=True,
        compared=compared,
        keywords=keywords,
        aggregates=clause not in ("WHERE", "ON", "GROUP"),
        outputs=clause in ("GROUP", "HAVING", "ORDER"),
    )


def _lacks_and(before: Sequence[Item]) -> bool:
    """BETWEEN has but its first operand yet."""
    for item in reversed(before):
        if item.word in ("AND", "BETWEEN"):
            return item.word == "BETWEEN"
    return False


def _open_cases(before: Sequence[Item]) -> int:
    found = [item.word for item in before]
    return max(0, found.count("CASE") - found.count("END"))


def _within_case(before: Sequence[Item]) -> tuple[str, ...]:
    last = next(i.word for i in reversed(before) if i.word in ("CASE", "WHEN", "THEN", "ELSE"))
    if before[-1].word == "CASE":
        return ("WHEN",)
    if before[-1].word == last:
        return ()
    return {"CASE": ("WHEN",), "WHEN": ("THEN",), "THEN": ("WHEN", "ELSE", "END")}.get(
        last, ("END",)
    )


def _is_compared(before: Sequence[Item]) -> bool:
    """Whether the last operand stands behind a comparison."""
    i = len(before) - 1
    while i > 1 and before[i - 1].text == ".":
        i -= 2
    operator = before[i - 1]
    return i > 0 and (operator.text in _COMPARING or operator.word in words.COMPARES | {"IN"})


_COMPARING: Final = frozenset({"=", "==", "!=", "<>", "<", ">", "<=", ">="})


def _compared(before: Sequence[Item]) -> Compared | None:
    """The column that what comes is compared with."""
    i = len(before) - 1
    operator = before[i]
    if operator.text not in words.COMPARES and operator.word not in words.COMPARES:
        return None
    pattern = operator.word in ("LIKE", "GLOB")
    if operator.word == "NOT" and (i == 0 or before[i - 1].word != "IS"):
        return None
    while i > 0 and before[i].word in words.COMPARES:
        i -= 1
    if operator.kind == "operator":
        i -= 1
    return column_at(before, i, pattern=pattern)


def column_at(
    items: Sequence[Item], i: int, *, taken: tuple[str, ...] = (), pattern: bool = False
) -> Compared | None:
    if i < 0 or not name_of(items[i]) or items[i].word in words.KEYWORDS:
        return None
    dotted = i > 1 and items[i - 1].text == "."
    return Compared(name_of(items[i - 2]) if dotted else "", name_of(items[i]), taken, pattern)

"""What a function is called with and what it gives, as the menu shows it."""

from __future__ import annotations

from typing import Final

OWN: Final = {
    "ip_name": "(address): who has it, else itself",
    "in_cidr": "(address, '10.0.0.0/8'): 1 when in it",
    "port_name": "(port, proto): service, such as https",
    "proto_name": "(proto): such as TCP",
    "human_bytes": "(n): such as 1.5 MiB",
}
AGGREGATES: Final = {
    "count": "(*), (x), (DISTINCT x): rows",
    "sum": "(x): NULL of nothing",
    "max": "(x): of rows; (x, y, ...): of values",
    "min": "(x): of rows; (x, y, ...): of values",
    "avg": "(x): mean",
    "total": "(x): sum, 0.0 of nothing",
    "group_concat": "(x, separator): as one text",
    "median": "(x)",
    "percentile": "(x, 0 to 100)",
    "json_group_array": "(x): as a JSON array",
    "json_group_object": "(name, x): as a JSON object",
}
_OTHERS: Final = {
    "round": "(x, digits)",
    "coalesce": "(x, y, ...): the first that is not NULL",
    "iif": "(condition, x, y)",
    "ifnull": "(x, y)",
    "nullif": "(x, y): NULL when equal",
    "abs": "(x)",
    "substr": "(text, start, length)",
    "instr": "(text, part): place, 0: not in it",
    "length": "(x): characters",
    "lower": "(text)",
    "upper": "(text)",
    "trim": "(text, characters)",
    "replace": "(text, old, new)",
    "hex": "(x)",
    "printf": "(format, x, ...)",
    "format": "(format, x, ...)",
    "typeof": "(x)",
    "unixepoch": "(time): seconds since 1970",
    "datetime": "(time, 'unixepoch', 'localtime')",
    "strftime": "(format, time, ...): such as '%H:%M'",
    "date": "(time, ...)",
    "time": "(time, ...)",
    "json_extract": "(json, path)",
    "json_array_length": "(json)",
    "json_each": "(json): a table, FROM it",
    "row_number": "() OVER (ORDER BY x)",
    "rank": "() OVER (ORDER BY x)",
    "lag": "(x, offset) OVER (ORDER BY y)",
    "lead": "(x, offset) OVER (ORDER BY y)",
    "first_value": "(x) OVER (ORDER BY y)",
    "last_value": "(x) OVER (ORDER BY y)",
    "ntile": "(n) OVER (ORDER BY x)",
}
SIGNATURES: Final = OWN | AGGREGATES | _OTHERS
"""Of the functions that are of use here; SQLite has more, offered without."""

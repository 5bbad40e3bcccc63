"""Names of kernel functions by an address inside them, from /proc/kallsyms.

The file is read through for each set of addresses not asked for before and
nothing of it is kept: 200,000 symbols would be most of an agent's memory.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

KALLSYMS = Path("/proc/kallsyms")

_FUNCTION_BYTES = 1 << 20
"""No function is that long: an address further from any symbol is in none."""


def look_up(addresses: list[int], kallsyms: Path = KALLSYMS) -> dict[int, str]:
    """`name+0xoffset` of each; those are left out that cannot be told.

    Empty where the kernel hides its addresses (kptr_restrict), which shows as
    zeros.
    """
    wanted = sorted(set(addresses))
    best = [(0, "")] * len(wanted)
    try:
        with kallsyms.open() as lines:
            for line in lines:
                address = int(line[:16], 16)
                # The last one wanted that is not below decides for those before it.
                at = bisect_right(wanted, address + _FUNCTION_BYTES) - 1
                while at >= 0 and wanted[at] >= address:
                    if line[17] in "tTwW" and address > best[at][0]:
                        best[at] = (address, line[19:].split(None, 1)[0])
                    at -= 1
    except OSError:
        return {}
    return {
        address: f"{name}+{address - start:#x}"
        for address, (start, name) in zip(wanted, best, strict=True)
        if name
    }

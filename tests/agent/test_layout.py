"""The records as the compiler laid them out, against the numpy dtypes that read them."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from agent import wire

pytestmark = pytest.mark.kernel

# bcc turns clang's record layouts into ctypes; a process of its own, for its memory.
ASK_COMPILER = """
import json, os, sys
from agent.kernel import compile as c
os.environ["BCC_KERNEL_SOURCE"] = str(c._HERE / "shim")
import bcc
sizes = ["-DFLOW_CAPACITY=8", "-DRING_PAGES=1", "-DCPUS=1", "-DPAGE_SIZE=4096",
         "-DEVENT_PAGES=1"]
# Structs show in tables only.
events = "".join(
    f'BPF_TABLE("array", u32, struct {name}, t_{name}, 1);'
    for name in ("event_head", "dns_event", "drop_event", "tcp_event")
)
unit = bcc.BPF(text=c.source(c.CORE) + events, cflags=sizes)
def layout(t):
    return {n: (getattr(t, n).offset, getattr(t, n).size) for n, *_ in t._fields_}
scratch = unit["scratch"].Leaf
json.dump({
    "flow_key": layout(unit["flows0"].Key),
    "flow_value": layout(unit["flows0"].Leaf),
    "packet_head": layout(dict((n, t) for n, t, *_ in scratch._fields_)["head"]),
    "flow_extra": layout(unit["extras0"].Leaf),
    **{n: layout(unit["t_" + n].Leaf)
       for n in ("event_head", "dns_event", "drop_event", "tcp_event")},
    "counters": layout(unit["counters"].sLeaf),
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def compiled() -> dict[str, dict[str, tuple[int, int]]]:
    asked = subprocess.run(
        [sys.executable, "-c", ASK_COMPILER], capture_output=True, text=True, check=True
    )
    found: dict[str, dict[str, list[int]]] = json.loads(asked.stdout)
    return {
        record: {name: (place[0], place[1]) for name, place in members.items()}
        for record, members in found.items()
    }


@pytest.mark.parametrize(
    "record",
    [
        wire.FLOW_KEY,
        wire.FLOW_VALUE,
        wire.FLOW_EXTRA,
        wire.PACKET,
        wire.EVENT_HEAD,
        wire.DNS_EVENT,
        wire.DROP_EVENT,
        wire.TCP_EVENT,
    ],
)
def test_the_dtype_has_the_compilers_offsets_and_sizes(
    record: wire.Record, compiled: dict[str, dict[str, tuple[int, int]]]
) -> None:
    dtype = np.dtype(record.dtype())
    assert dtype.fields is not None
    ours = {name: (field[1], field[0].itemsize) for name, field in dtype.fields.items()}
    assert ours == compiled[record.name]
    assert dtype.itemsize == record.size


def test_the_counters_stand_in_the_order_of_their_names(
    compiled: dict[str, dict[str, tuple[int, int]]],
) -> None:
    assert compiled["counters"] == {
        name: (8 * index, 8) for index, (name, _) in enumerate(wire.COUNTERS)
    }

"""The kernel's types as bpftool reads them, and made ones of a module."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.kernel import btf, features
from tests.network import sh

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kernel

VMLINUX = btf.DIRECTORY / "vmlinux"


@pytest.fixture(scope="module")
def types() -> btf.Types:
    return btf.kernel()


@pytest.fixture(scope="module")
def dumped() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        sh("bpftool", "-j", "btf", "dump", "file", str(VMLINUX), "format", "raw")
    )["types"]
    return found


def test_every_enum_is_as_bpftool_has_it(types: btf.Types, dumped: list[dict[str, Any]]) -> None:
    for name in ("skb_drop_reason", "sk_rst_reason", "skb_drop_reason_subsys"):
        (theirs,) = (t for t in dumped if t["kind"] == "ENUM" and t["name"] == name)
        # bpftool 7.1 extends the sign of the largest.
        values = {v["val"] & 0xFFFFFFFF: v["name"] for v in reversed(theirs["values"])}
        assert types.enumerators(name) == values


def test_offsets_are_as_bpftool_has_them(types: btf.Types, dumped: list[dict[str, Any]]) -> None:
    for name in ("sk_buff", "sock_common", "net_device", "tcp_sock"):
        theirs = next(t for t in dumped if t["kind"] == "STRUCT" and t["name"] == name)
        plain = [
            m for m in theirs["members"] if m["name"] != "(anon)" and not m.get("bitfield_size")
        ]
        assert plain
        for member in plain:
            assert types.offset(name, member["name"]) * 8 == member["bits_offset"], member


@pytest.mark.parametrize(
    ("structure", "member", "said"),
    [
        ("sk_buff", "hed", "this kernel's sk_buff has no member hed"),
        ("sk_buff", "cloned", "this kernel's sk_buff has no member cloned"),  # a bit field
        ("sk_buf", "head", "this kernel has no sk_buf"),
        ("net", "ns.inumber", "this kernel's net has no member ns.inumber"),
    ],
)
def test_what_is_missing_is_named(types: btf.Types, structure: str, member: str, said: str) -> None:
    with pytest.raises(btf.BtfError, match=f"^{said}$"):
        types.offset(structure, member)


def test_a_missing_tracepoint_is_named(types: btf.Types) -> None:
    assert types.tracepoint_arguments("inet_sock_set_state") == 3
    with pytest.raises(btf.BtfError, match="btf_trace_no_such_thing"):
        types.tracepoint_arguments("no_such_thing")


@given(st.data())
def test_damaged_images_are_refused_and_break_nothing(data: st.DataObject) -> None:
    image = bytearray(split_image(btf.kernel(), "x_drop_reason", {"X": 1}))
    for _ in range(data.draw(st.integers(1, 4))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = btf.Types.parse(bytes(image[: data.draw(st.integers(0, len(image)))]))
        found.enums_like("drop_reason")
    except btf.BtfError:
        pass


def split_image(base: btf.Types, name: str, values: dict[str, int]) -> bytes:
    """What a module with one enum carries: numbers and strings go on from the base's."""
    strings = bytearray()
    places = {}
    for text in (name, *values):
        places[text] = base.string_end + len(strings)
        strings += text.encode() + b"\0"
    kind = struct.pack("<III", places[name], 6 << 24 | len(values), 4)
    kind += b"".join(struct.pack("<II", places[text], value) for text, value in values.items())
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(kind), len(kind), len(strings))
    return head + kind + bytes(strings)


def test_reasons_of_modules_are_named_too(types: btf.Types, tmp_path: Path) -> None:
    subsystem = types.enumerators("skb_drop_reason_subsys")
    (number,) = (n for n, name in subsystem.items() if name.endswith("OPENVSWITCH"))
    values = {"OVS_DROP_LAST_ACTION": number << 16 | 1, "OVS_DROP_EXPLICIT": number << 16 | 3}
    (tmp_path / "openvswitch").write_bytes(split_image(types, "ovs_drop_reason", values))
    (tmp_path / "broken").write_bytes(b"no types")
    names = features.drop_reasons(types, tmp_path)
    assert names[number << 16 | 1] == "OVS_DROP_LAST_ACTION"
    assert names[number << 16 | 3] == "OVS_DROP_EXPLICIT"
    assert "NETFILTER_DROP" in names.values()
    assert "MAX" not in names.values()


def test_each_feature_needs_only_what_it_reads(types: btf.Types) -> None:
    for feature in features.FEATURES:
        assert features.flags(feature, types)[0] == "-DFEATURE_UNIT"
    dns, *others = features.FEATURES
    assert features.flags(dns, None)
    for feature in others:
        with pytest.raises(btf.BtfError, match="carries no types"):
            features.flags(feature, None)


def test_reasons_that_are_no_loss_are_this_kernels(types: btf.Types) -> None:
    named = set(features.drop_reasons(types).values())
    assert named >= features.NO_LOSS, features.NO_LOSS - named

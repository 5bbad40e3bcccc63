"""The running kernel's own types, as its BTF tells them.

Member offsets, enumerators and the arguments of tracepoints; nothing else.
Format: Documentation/bpf/btf.rst of the kernel.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = Path("/sys/kernel/btf")

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM = 1, 2, 3, 4, 5, 6
_TYPEDEF, _VOLATILE, _CONST, _RESTRICT = 8, 9, 10, 11
_FUNC_PROTO, _VAR, _DATASEC, _DECL_TAG, _TYPE_TAG, _ENUM64 = 13, 14, 15, 17, 18, 19
_TRANSPARENT = (_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG)

# Bytes behind a type's head: (fixed, each of its vlen members).
_BEHIND = {
    _INT: (4, 0), _ARRAY: (12, 0), _STRUCT: (0, 12), _UNION: (0, 12), _ENUM: (0, 8),
    _FUNC_PROTO: (0, 8), _VAR: (4, 0), _DATASEC: (0, 12), _DECL_TAG: (4, 0), _ENUM64: (0, 12),
}  # fmt: skip


class BtfError(ValueError):
    """What was asked for is not there, or not in this form; str() says what."""


@contextmanager
def _reading() -> Iterator[None]:
    """Damage shows as BtfError."""
    try:
        yield
    except BtfError:
        raise
    except (IndexError, ValueError, struct.error) as error:
        raise BtfError("BTF is damaged") from error


@dataclass(frozen=True, slots=True)
class Type:
    """One type's head."""

    kind: int
    name: str
    vlen: int
    bitfields: bool
    size_or_type: int
    at: int
    """Of what follows its head."""


@dataclass(slots=True)
class Types:
    """One BTF image; that of a module is split: its numbers go on from its base's.

    Names are looked for in the image itself, not in its base.
    """

    _data: bytes
    _base: Types | None = None
    _strings: int = 0
    """Where the strings start in the image."""
    _first_string: int = 0
    _first: int = 1
    """Number of the first type."""
    _heads: list[int] = field(default_factory=list)
    """Where each type starts in the image."""

    @classmethod
    def parse(cls, data: bytes, base: Types | None = None) -> Types:
        """BtfError if this is no BTF."""
        if len(data) < _HEADER.size:
            raise BtfError("BTF is cut short")
        magic, _version, _flags, length, types, types_len, strings, strings_len = (
            _HEADER.unpack_from(data)
        )
        if magic != _MAGIC or length + strings + strings_len > len(data):
            raise BtfError("not BTF")
        made = cls(data, base, length + strings)
        if base is not None:
            made._first_string, made._first = base.string_end, base.end
        with _reading():
            made._walk(length + types, length + types + types_len)
        return made

    @property
    def string_end(self) -> int:
        """Offset of the first string that a split image has for itself."""
        return self._first_string + int(_HEADER.unpack_from(self._data)[7])

    @property
    def end(self) -> int:
        """Number of the first type that a split image has for itself."""
        return self._first + len(self._heads)

    def _walk(self, at: int, end: int) -> None:
        words = memoryview(self._data)[: len(self._data) & ~3].cast("I")
        heads, behind = self._heads, _BEHIND
        while at < end:
            heads.append(at)
            info = words[(at >> 2) + 1]
            fixed, each = behind.get(info >> 24 & 31, (0, 0))
            at += 12 + fixed + each * (info & 0xFFFF)
        if at != end:
            raise BtfError("BTF types do not end where they should")

    def name(self, offset: int) -> str:
        """The string there."""
        if offset < self._first_string:
            if self._base is None:
                raise BtfError(f"no string {offset}")
            return self._base.name(offset)
        start = self._strings + offset - self._first_string
        return self._data[start : self._data.index(b"\0", start)].decode()

    def type(self, number: int) -> Type:
        """BtfError if there is none of that number."""
        if number < self._first:
            if self._base is None:
                raise BtfError(f"no type {number}")
            return self._base.type(number)
        at = self._heads[number - self._first]
        name, info, size_or_type = _TYPE.unpack_from(self._data, at)
        return Type(
            info >> 24 & 31,
            self.name(name),
            info & 0xFFFF,
            bool(info >> 31),
            size_or_type,
            at + 12,
        )

    def _resolve(self, number: int) -> Type:
        """Behind typedefs and qualifiers."""
        found = self.type(number)
        while found.kind in _TRANSPARENT:
            found = self.type(found.size_or_type)
        return found

    def _find(self, kinds: tuple[int, ...], name: str) -> Type:
        """The first of that name; BtfError if there is none."""
        wanted = self._data.find(b"\0" + name.encode() + b"\0", self._strings)
        if wanted >= 0:
            offset = wanted + 1 - self._strings + self._first_string
            for index, at in enumerate(self._heads):
                number, info, _ = _TYPE.unpack_from(self._data, at)
                if number == offset and info >> 24 & 31 in kinds:
                    return self.type(self._first + index)
        raise BtfError(f"this kernel has no {name}")

    def offset(self, structure: str, path: str) -> int:
        """Bytes from the start of a struct to a member, `a.b` for one inside a member.

        Members of anonymous structs and unions are found too. BtfError where
        there is none of that name, or it is a bit field.
        """
        found = self._find((_STRUCT,), structure)
        total = 0
        for name in path.split("."):
            member = self._member(found, name)
            if member is None:
                raise BtfError(f"this kernel's {structure} has no member {path}")
            total += member[0] // 8
            found = self._resolve(member[1])
        return total

    def _member(self, found: Type, name: str) -> tuple[int, int] | None:
        """Offset in bits, and the type."""
        for index in range(found.vlen if found.kind in (_STRUCT, _UNION) else 0):
            string, number, bits = _TYPE.unpack_from(self._data, found.at + 12 * index)
            width, bits = divmod(bits, 1 << 24) if found.bitfields else (0, bits)
            if not string:
                inner = self._member(self._resolve(number), name)
                if inner is not None:
                    return bits + inner[0], inner[1]
            elif self.name(string) == name and not width:
                return bits, number
        return None

    def enumerators(self, name: str) -> dict[int, str]:
        """Name by value, the first where several have one; BtfError if there is no such enum."""
        return self._enumerators(self._find((_ENUM,), name))

    def _enumerators(self, found: Type) -> dict[int, str]:
        names: dict[int, str] = {}
        for index in range(found.vlen):
            string, value = struct.unpack_from("<II", self._data, found.at + 8 * index)
            names.setdefault(value, self.name(string))
        return names

    def enums_like(self, suffix: str) -> dict[int, str]:
        """The enumerators of every enum of this image whose name ends so."""
        names: dict[int, str] = {}
        with _reading():
            for index, at in enumerate(self._heads):
                string, info, _ = _TYPE.unpack_from(self._data, at)
                if info >> 24 & 31 == _ENUM and string and self.name(string).endswith(suffix):
                    names |= self._enumerators(self.type(self._first + index))
        return names

    def tracepoint_arguments(self, name: str) -> int:
        """How many a raw tracepoint hands over; BtfError if there is none of that name."""
        pointer = self._resolve(self._find((_TYPEDEF,), f"btf_trace_{name}").size_or_type)
        prototype = self._resolve(pointer.size_or_type) if pointer.kind == _PTR else pointer
        return prototype.vlen - 1  # the first is the tracepoint's own


def kernel() -> Types:
    """Of the running kernel; BtfError if it carries none."""
    try:
        return Types.parse((DIRECTORY / "vmlinux").read_bytes())
    except OSError as error:
        raise BtfError(f"this kernel carries no types (BTF): {error.strerror}") from error

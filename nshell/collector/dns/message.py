"""What a DNS message says: questions, response code, addresses (RFC 1035, 6891).

Invariant: any bytes give a message. What cannot be read is told by `problem`,
and what came before it is kept. Time and size of the result are bounded by the
length of the message. No IO.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from nshell.collector.dns.codes import AAAA, OPT, A

HEADER_BYTES = 12
MAX_NAME_BYTES = 255
"""Of a name on the wire, RFC 1035 2.3.4."""
MAX_POINTERS = 127
"""Jumps within one name; with one behind every label there are no more."""
MAX_QUESTIONS = 32
"""Questions that are read; a name may be two bytes long and a thousand letters wide."""
RESPONSE = 0x8000
"""Of the second word of the header."""
NO_HEADER = "shorter than a header"
CUT_SHORT = "ends before what its header counts"

_HEADER = struct.Struct(">HHHHHH")
_QUESTION = struct.Struct(">HH")
_RECORD = struct.Struct(">HHIH")
_POINTER = 0xC0
_INTERNET = 1
_ADDRESS_BYTES = {A: 4, AAAA: 16}
_V4_MAPPED = bytes(10) + b"\xff\xff"


def _escapes() -> tuple[str, ...]:
    """Presentation of each octet of a label, RFC 1035 5.1 and RFC 4343 2.1."""
    special = set('.\\"();@$')
    return tuple(
        f"\\{chr(octet)}"
        if chr(octet) in special
        else chr(octet)
        if 0x21 <= octet <= 0x7E
        else f"\\{octet:03}"
        for octet in range(256)
    )


_ESCAPES = _escapes()
_PLAIN = bytes(octet for octet, text in enumerate(_ESCAPES) if len(text) == 1)


@dataclass(frozen=True, slots=True)
class Question:
    """One entry of the question section."""

    name: str
    """Presentation format, without the final dot; the root is a dot."""
    type: int


@dataclass(slots=True)
class Message:
    """As much of a message as could be read."""

    id: int = 0
    flags: int = 0
    """Second word of the header."""
    question_count: int = 0
    """As the header says; so are the answers."""
    answer_count: int = 0
    rcode: int = 0
    """With the upper bits of an OPT record."""
    questions: tuple[Question, ...] = ()
    addresses: tuple[bytes, ...] = ()
    """Of the A and AAAA records among the answers; 16 bytes each, IPv4 mapped."""
    problem: str = ""
    """What is wrong with it in a few words, empty when nothing is."""


class _Malformed(Exception):  # noqa: N818  never leaves this module
    """Reading cannot go on; str() says why."""


def parse_message(data: bytes) -> Message:
    """The message in these bytes, from its id on."""
    message = Message()
    if len(data) < HEADER_BYTES:
        message.problem = NO_HEADER
        return message
    message.id, message.flags, questions, answers, authority, additional = _HEADER.unpack_from(data)
    message.question_count, message.answer_count = questions, answers
    message.rcode = message.flags & 0xF
    try:
        _read_records(data, _read_questions(data, message), message, authority + additional)
    except _Malformed as malformed:
        message.problem = str(malformed)
    return message


def _read_questions(data: bytes, message: Message) -> int:
    """Offset behind the questions."""
    offset = HEADER_BYTES
    read: list[Question] = []
    try:
        for _ in range(message.question_count):
            if len(read) == MAX_QUESTIONS:
                raise _Malformed(f"more than {MAX_QUESTIONS} questions")
            name, offset = read_name(data, offset)
            type_, _ = _unpack(_QUESTION, data, offset)
            offset += _QUESTION.size
            read.append(Question(name, type_))
    finally:
        message.questions = tuple(read)
    return offset


def _read_records(data: bytes, offset: int, message: Message, others: int) -> None:
    """Addresses among the answers and the OPT record among the others."""
    addresses: list[bytes] = []
    try:
        for number in range(message.answer_count + others):
            offset = _skip_name(data, offset)
            type_, class_, ttl, size = _unpack(_RECORD, data, offset)
            offset += _RECORD.size
            if offset + size > len(data):
                raise _Malformed(CUT_SHORT)
            if number >= message.answer_count:
                if type_ == OPT:
                    message.rcode |= ttl >> 24 << 4
            elif type_ in _ADDRESS_BYTES and class_ == _INTERNET:
                if size != _ADDRESS_BYTES[type_]:
                    raise _Malformed(f"an address of {size} bytes")
                address = data[offset : offset + size]
                addresses.append(_V4_MAPPED + address if type_ == A else address)
            offset += size
    finally:
        message.addresses = tuple(dict.fromkeys(addresses))


def _unpack(layout: struct.Struct, data: bytes, offset: int) -> tuple[int, ...]:
    try:
        return layout.unpack_from(data, offset)
    except struct.error:
        raise _Malformed(CUT_SHORT) from None


def read_name(data: bytes, offset: int) -> tuple[str, int]:
    """A name in presentation format, and the offset behind it."""
    labels: list[str] = []
    end = -1
    length = 1
    # A pointer leads to an earlier place, RFC 1035 4.1.4; so there is no loop.
    limit = offset
    jumps = 0
    while True:
        size = _octet(data, offset)
        if size >= _POINTER:
            target = (size & 0x3F) << 8 | _octet(data, offset + 1)
            end = offset + 2 if end < 0 else end
            jumps += 1
            if target >= limit:
                raise _Malformed("a compression pointer that leads forward or in a circle")
            if jumps > MAX_POINTERS:
                raise _Malformed("too many compression pointers in one name")
            offset = limit = target
            continue
        if size > 63:
            raise _Malformed(f"a label of unknown kind {size >> 6:#x}")
        offset += 1
        if not size:
            break
        length += size + 1
        if length > MAX_NAME_BYTES:
            raise _Malformed(f"a name longer than {MAX_NAME_BYTES} bytes")
        label = data[offset : offset + size]
        if len(label) < size:
            raise _Malformed(CUT_SHORT)
        labels.append(_label_text(label))
        offset += size
    return ".".join(labels) or ".", offset if end < 0 else end


def _label_text(label: bytes) -> str:
    if not label.translate(None, _PLAIN):
        return label.decode("ascii")
    return "".join(map(_ESCAPES.__getitem__, label))


def _skip_name(data: bytes, offset: int) -> int:
    """Offset behind a name, whatever its pointers lead to."""
    while True:
        size = _octet(data, offset)
        if size >= _POINTER:
            _octet(data, offset + 1)
            return offset + 2
        if size > 63:
            raise _Malformed(f"a label of unknown kind {size >> 6:#x}")
        offset += size + 1
        if not size:
            return offset


def _octet(data: bytes, offset: int) -> int:
    if offset >= len(data):
        raise _Malformed(CUT_SHORT)
    return data[offset]

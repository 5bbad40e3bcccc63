"""DNS messages are read as an independent reader does; no bytes stop the reading."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nshell.collector.dns.codes import rcode_name, type_name
from nshell.collector.dns.message import (
    CUT_SHORT,
    MAX_QUESTIONS,
    Question,
    parse_message,
)
from tests.collector.wiretap import address

HEADER = bytes.fromhex("1234 8180 0001 0000 0000 0000")

labels = st.binary(min_size=1, max_size=63)


def _fits(parts: list[bytes]) -> bool:
    return sum(len(part) + 1 for part in parts) + 1 <= 255


names = st.lists(labels, max_size=8).filter(_fits).map(lambda parts: dns.name.Name([*parts, b""]))
types = st.sampled_from(["A", "AAAA", "MX", "TXT", "HTTPS", "ANY", "TYPE65280"])


def question(*names_: bytes, count: int | None = None) -> bytes:
    """A response that has questions of type A for names on the wire."""
    header = bytearray(HEADER)
    header[4:6] = (len(names_) if count is None else count).to_bytes(2, "big")
    return bytes(header) + b"".join(name + b"\x00\x01\x00\x01" for name in names_)


def response(
    name: str = "example.com.", *, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, edns: bool = False
) -> bytes:
    """With two A records, one AAAA record and what else may stand there."""
    query = dns.message.make_query(name, "A", use_edns=edns)
    made = dns.message.make_response(query)
    made.set_rcode(rcode)
    made.answer = [
        dns.rrset.from_text(name, 60, "IN", "CNAME", "other.example."),
        dns.rrset.from_text("other.example.", 60, "IN", "A", "192.0.2.1", "192.0.2.2"),
        dns.rrset.from_text("other.example.", 60, "IN", "AAAA", "2001:db8::1"),
    ]
    made.additional = [dns.rrset.from_text("ns.example.", 60, "IN", "A", "192.0.2.99")]
    return made.to_wire()


@given(names, types, st.integers(0, 65535), st.booleans())
def test_a_query_is_read_as_another_reader_reads_it(
    name: dns.name.Name, type_: str, id_: int, edns: bool
) -> None:
    query = dns.message.make_query(name, type_, use_edns=edns)
    query.id = id_
    message = parse_message(query.to_wire())
    assert (message.id, message.flags, message.problem) == (id_, int(query.flags), "")
    text = name.to_text(omit_final_dot=True)
    assert [(each.name, type_name(each.type)) for each in message.questions] == [(text, type_)]
    assert text.isascii()
    assert dns.name.from_text(message.questions[0].name) == name


@given(
    st.lists(names, min_size=1, max_size=4),
    st.lists(st.ip_addresses(), max_size=10, unique=True),
    st.sampled_from([each for each in dns.rcode.Rcode if each not in (12, 13, 14, 15)]),
)
def test_a_response_is_read_as_another_reader_reads_it(
    asked: list[dns.name.Name], addresses: list[object], rcode: dns.rcode.Rcode
) -> None:
    made = dns.message.Message(7)
    made.flags = dns.flags.QR | dns.flags.AA
    made.use_edns(0)
    made.set_rcode(rcode)
    made.question = [dns.rrset.RRset(name, dns.rdataclass.IN, dns.rdatatype.A) for name in asked]
    for each in addresses:
        kind = "AAAA" if ":" in str(each) else "A"
        made.answer.append(dns.rrset.from_text(asked[0], 1, "IN", kind, str(each)))
    message = parse_message(made.to_wire(max_size=65535))
    assert message.problem == ""
    assert [each.name for each in message.questions] == [
        name.to_text(omit_final_dot=True) for name in asked
    ]
    assert message.question_count == len(asked)
    assert message.answer_count == len(addresses)
    assert message.addresses == tuple(address(str(each)) for each in addresses)
    assert message.rcode == rcode


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 17, 18, 23])
def test_response_codes_have_the_names_of_the_registry(number: int) -> None:
    assert rcode_name(number).upper() == dns.rcode.Rcode(number).name.replace("BADSIG", "BADVERS")


def test_a_response_code_without_a_name_says_its_number() -> None:
    assert rcode_name(15) == "RCODE15"


def test_types_have_the_names_of_the_registry() -> None:
    # The other reader writes NSAP-PTR with an underscore, and both may lack a name.
    for number in range(1, 65536):
        theirs = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(number))
        ours = type_name(number)
        assert theirs in (ours, f"TYPE{number}", ours.replace("-", "_")) or ours.startswith("TYPE")
    assert type_name(65281) == "TYPE65281"


def test_the_addresses_of_the_answer_are_read_and_no_others() -> None:
    message = parse_message(response())
    assert set(message.addresses) == set(map(address, ("192.0.2.1", "192.0.2.2", "2001:db8::1")))
    assert message.answer_count == 4


def test_the_upper_bits_of_a_response_code_are_in_the_opt_record() -> None:
    message = parse_message(response(rcode=dns.rcode.BADVERS, edns=True))
    assert (message.flags & 0xF, rcode_name(message.rcode)) == (0, "BADVERS")


def test_several_questions_are_all_read() -> None:
    message = parse_message(question(b"\x01a\x00", b"\x01b\x00", b"\x00"))
    assert [each.name for each in message.questions] == ["a", "b", "."]
    assert message.question_count == 3


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"\x00", "."),
        (b"\x03www\x07example\x00", "www.example"),
        (b"\x03a.b\x01\\\x00", "a\\.b.\\\\"),
        (b"\x05\x00 \x7f\xff\n\x00", "\\000\\032\\127\\255\\010"),
        (b"\x04\xc3\xa9\x1b[\x00", "\\195\\169\\027["),
        (b'\x07";()@$,\x00', '\\"\\;\\(\\)\\@\\$,'),
    ],
)
def test_names_are_written_as_in_a_zone_file(wire: bytes, text: str) -> None:
    assert parse_message(question(wire)).questions == (Question(text, 1),)


def test_a_name_of_full_length_is_whole() -> None:
    wire = b"".join(b"\x3f" + bytes([letter]) * 63 for letter in b"abc") + b"\x3d" + b"d" * 61
    (asked,) = parse_message(question(wire + b"\x00")).questions
    assert asked.name == ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 61))
    longer = wire[:-62] + b"\x3e" + b"d" * 62 + b"\x00"
    assert parse_message(question(longer)).problem == "a name longer than 255 bytes"


def test_a_compressed_question_is_followed_backwards() -> None:
    message = parse_message(question(b"\x01a\x07example\x00", b"\x01b\xc0\x0e"))
    assert [each.name for each in message.questions] == ["a.example", "b.example"]


LOOP = "a compression pointer that leads forward or in a circle"


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        (b"\xc0\x0c", LOOP),
        (b"\x01a\xc0\x0c", LOOP),
        (b"\xc0\x20" + bytes(40), LOOP),
        (b"\x40a\x00", "a label of unknown kind 0x1"),
        (b"\x80a\x00", "a label of unknown kind 0x2"),
        (b"\x3fabc", CUT_SHORT),
        (b"\xc0", CUT_SHORT),
        (b"", CUT_SHORT),
    ],
)
def test_a_name_that_is_none_is_named_as_the_problem(wire: bytes, problem: str) -> None:
    message = parse_message(question(wire)[: 12 + len(wire)])
    assert (message.problem, message.questions, message.id) == (problem, (), 0x1234)


def test_two_names_that_point_at_each_other_end() -> None:
    # The first one leads on to the second, which leads back.
    message = parse_message(question(b"\x01a\xc0\x14", b"\x01b\xc0\x0c"))
    assert message.problem == LOOP


def _chain(links: int) -> bytes:
    """A message whose last question follows so many pointers, hidden in labels before it."""
    names_: list[bytes] = []
    offset, target = 12, 3  # of the next name; of the end of the chain, a zero in the header
    while links > 0:
        # A label of 31 pointers, each to the one before.
        places = [offset + 1 + 2 * number for number in range(min(31, links))]
        pointers = [0xC000 | each for each in (target, *places[:-1])]
        label = b"".join(pointer.to_bytes(2, "big") for pointer in pointers)
        names_.append(bytes([len(label)]) + label + b"\x00")
        offset += len(names_[-1]) + 4
        target, links = places[-1], links - len(places)
    return question(*names_, (0xC000 | target).to_bytes(2, "big"))


def test_a_long_chain_of_pointers_ends() -> None:
    message = parse_message(_chain(100).replace(HEADER[:4], b"\x12\x34\x81\x00"))
    assert (message.questions[-1].name, message.problem) == (".", "")
    message = parse_message(_chain(200).replace(HEADER[:4], b"\x12\x34\x81\x00"))
    assert message.problem == "too many compression pointers in one name"


def test_more_questions_than_are_read_are_said_to_be_there() -> None:
    message = parse_message(question(*[b"\x01a\x00"] * 100))
    assert len(message.questions) == MAX_QUESTIONS
    assert (message.question_count, message.problem) == (
        100,
        f"more than {MAX_QUESTIONS} questions",
    )


def test_what_came_before_the_end_is_kept() -> None:
    whole = response(edns=True)
    for length in range(len(whole)):
        message = parse_message(whole[:length])
        assert message.problem
        if length >= 12:
            assert message.id == int.from_bytes(whole[:2], "big")
        if length >= 29:
            assert message.questions == (Question("example.com", 1),)
    assert len(parse_message(whole[:-30]).addresses) >= 2


def test_an_address_of_another_length_is_a_problem() -> None:
    data = bytearray(question(b"\x01a\x00"))
    data[7] = 1
    data += b"\xc0\x0c" + bytes.fromhex("0001 0001 0000003c 0005 c000020100")
    assert parse_message(bytes(data)).problem == "an address of 5 bytes"


def _is_sound(data: bytes) -> None:
    message = parse_message(data)
    for each in message.questions:
        assert each.name.isascii()
        assert each.name.isprintable()
        assert len(each.name) <= 4 * 255
    assert len(message.questions) <= MAX_QUESTIONS
    assert len(message.addresses) <= len(data)
    assert message.problem.isascii()
    assert len(message.problem) < 80


@given(st.binary(max_size=600))
def test_any_bytes_give_a_message(data: bytes) -> None:
    _is_sound(data)


@given(st.binary(max_size=600))
def test_any_bytes_behind_a_header_give_a_message(data: bytes) -> None:
    _is_sound(b"\x12\x34\x81\x80\x00\x05\x00\x05\x00\x05\x00\x05" + data)


@given(st.data())
def test_a_damaged_message_gives_a_message(data: st.DataObject) -> None:
    damaged = bytearray(response(edns=True))
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(
            st.sampled_from([0x00, 0x3F, 0x40, 0xC0, 0xC1, 0xFF]) | st.integers(0, 255)
        )
    _is_sound(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))

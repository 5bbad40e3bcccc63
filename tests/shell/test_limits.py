"""What a shell says of limits, of their being reached, and of a collector that was lost."""

from __future__ import annotations

from nshell.proto import session_pb2 as pb
from nshell.shell.notices import events
from nshell.shell.statustext import status_text

NS = 10**9


def status(**fields: object) -> pb.Status:
    made = pb.Status(session="s", flows=True, now_ns=100 * NS, started_ns=40 * NS)
    made.MergeFrom(pb.Status(**fields))  # type: ignore[arg-type]
    return made


def line(text: str, label: str) -> str:
    """What a status says under a label, empty where it has none."""
    found = [each for each in text.splitlines() if each.startswith(f"{label} ")]
    return found[0].removeprefix(label).strip() if found else ""


def test_limits_are_said_where_there_are_any() -> None:
    assert line(status_text(status()), "limits") == ""
    text = status_text(status(ends_ns=700 * NS, max_bytes=10**9))
    assert line(text, "limits") == "00:10:00 left, 1.0 GB stored"


def test_what_was_reached_stands_with_what_was_captured() -> None:
    text = status_text(status(ended="max-time of 10m reached", ends_ns=90 * NS))
    assert line(text, "capturing") == "flows (ended: max-time of 10m reached)"
    assert line(text, "limits") == ""


def test_notices_are_shown_and_told_once() -> None:
    before, after = status(), status(notices=["a collector was lost\x1b"])
    assert line(status_text(after), "notices") == "a collector was lost\\x1b"
    assert [each.text for each in events(before, after)] == ["a collector was lost\\x1b"]
    assert list(events(after, after)) == []


def test_the_end_of_capturing_is_told_once() -> None:
    before, after = status(), status(ended="max-bytes of 1G reached")
    assert [each.text for each in events(before, after)] == [
        "capturing has ended: max-bytes of 1G reached"
    ]
    assert list(events(after, after)) == []

"""How far a session is, in words; the port-forward's frames; what a shell's words lead to."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from nshell.capturing import CaptureOptions
from nshell.cluster.manifests import Deployment, Object, objects
from nshell.cluster.progress import ATTACHED, Changes, Progress, Stage, node_of, redraw, stage
from nshell.cluster.tracker import not_created
from nshell.cluster.websocket import Broken, PortStream

if TYPE_CHECKING:
    from collections.abc import Iterator


def pod(**container: Any) -> Object:
    return {"status": {"containerStatuses": [container]}, "spec": {"nodeName": "node1"}}


WAITING = {
    "ContainerCreating": "starting",
    "ErrImageNeverPull": "ErrImageNeverPull: no such image",
    "ImagePullBackOff": "ImagePullBackOff: no such image",
}


@pytest.mark.parametrize(("reason", "said"), WAITING.items())
def test_a_container_that_waits_says_why(reason: str, said: str) -> None:
    waiting = {"reason": reason}
    if reason != "ContainerCreating":
        waiting["message"] = "no such\n image"
    assert str(stage(pod(state={"waiting": waiting}))) == said
    pulling = stage(pod(state={"waiting": waiting}), pulling=True)
    assert (str(pulling) == "pulling") == (said == "starting")


def test_a_container_that_keeps_ending_says_its_last_line_and_how_it_ended() -> None:
    crashed = pod(
        state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}},
        lastState={"terminated": {"exitCode": 3}},
    )
    assert str(stage(crashed, said="needs BTF")) == "CrashLoopBackOff: status 3: needs BTF"
    killed = pod(state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
    assert str(stage(killed)) == "ended: out of memory"
    assert str(stage(pod(state={"running": {}}, lastState=crashed))) == "running"


def test_a_pod_that_no_node_takes_says_why() -> None:
    unschedulable: Object = {
        "status": {
            "phase": "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                 "message": "0/2 nodes are available: 2 Insufficient memory."},
            ],
        },
        "spec": objects(Deployment(image="x", nodes=("node2",)))[-1]["spec"]["template"]["spec"],
    }  # fmt: skip
    assert str(stage(unschedulable)).startswith("Unschedulable: 0/2 nodes are available")
    assert node_of(unschedulable) == "node2"
    assert str(stage({"status": {"phase": "Pending"}})) == "waiting"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('Error creating: pods "a-x7k" is forbidden: exceeded quota: q', "exceeded quota: q"),
        ('(combined from similar events): Error creating: pods "a-b2c" is forbidden: violates'
         ' PodSecurity "baseline:latest": host namespaces',
         'violates PodSecurity "baseline:latest": host namespaces'),
    ],
)  # fmt: skip
def test_a_pod_that_the_server_refuses_says_why_once(message: str, said: str) -> None:
    assert str(not_created(message)) == f"FailedCreate: forbidden: {said}"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_session_is_complete_once_all_agents_are_at_work() -> None:
    progress = Progress(clock=Clock())
    running = {"b": Stage("running"), "a": Stage("running")}
    progress.update(collector=Stage("running"), agents=running, linked={}, expected=2)
    assert (progress.attached, progress.complete) == (0, False)
    progress.update(collector=Stage("running"), agents=running, linked={"a": ""}, expected=2)
    assert (progress.attached, progress.complete, progress.final) == (1, False, False)
    assert progress.missing() == ["b (running)"]
    assert progress.lines() == ["collector  running", "a          attached", "b          running"]
    progress.update(collector=None, agents=running, linked={"a": "", "b": ""}, expected=2)
    assert (progress.attached, progress.complete) == (2, True)
    assert progress.missing() == []


def test_what_fails_for_good_is_not_waited_for() -> None:
    clock = Clock()
    progress = Progress(clock=clock)
    agents = {"a": Stage("running"), "b": Stage("ImagePullBackOff", "no such image")}
    for _ in range(2):
        progress.update(collector=Stage("running"), agents=agents, linked={"a": ""}, expected=2)
        assert progress.final == (clock.now > 0)
        clock.now = 60.0
    assert progress.missing() == ["b (ImagePullBackOff: no such image)"]
    progress.update(collector=None, agents={}, linked={"a": "no BTF"}, expected=1)
    assert progress.final
    assert progress.missing() == ["a (Refused: no BTF)"]


def test_of_many_nodes_those_that_fail_are_shown_and_the_rest_counted() -> None:
    progress = Progress(clock=Clock())
    agents = {f"n{i:03}": Stage("running") for i in range(500)}
    agents["n007"] = Stage("CrashLoopBackOff", "status 3")
    progress.update(collector=Stage("running"), agents=agents, linked={"n001": ""}, expected=500)
    assert progress.lines() == [
        "collector  running",
        "n007       CrashLoopBackOff: status 3",
        "agents: 498 running, 1 attached, 1 CrashLoopBackOff",
    ]


def test_a_pipe_is_told_changes_alone() -> None:
    progress, changes = Progress(clock=Clock()), Changes()
    progress.update(collector=Stage("running"), agents={"a": ATTACHED}, linked={}, expected=1)
    assert changes.of(progress) == ["collector: running", "a: attached"]
    assert changes.of(progress) == []


def test_hostile_names_do_not_reach_the_terminal() -> None:
    progress = Progress(clock=Clock())
    agents = {
        "a\x1b[2J": stage(pod(state={"waiting": {"reason": "Bad", "message": "\x1b]0;x\x07"}}))
    }
    progress.update(collector=None, agents=agents, linked={}, expected=1)
    drawn = redraw(progress.lines(), before=2, width=40)
    assert drawn.startswith("\x1b[2A\r\x1b[J")
    assert "\x1b" not in drawn.removeprefix("\x1b[2A\r\x1b[J")
    assert all(len(line) < 40 for line in drawn.split("\n")[1:])


@pytest.fixture
def ends() -> Iterator[tuple[PortStream, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        far.settimeout(5)
        yield PortStream(near), far


def frame(payload: bytes, kind: int = 2) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes([0x80 | kind, size]) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x80 | kind, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | kind, 127, size) + payload


GREETING = frame(b"\0\xe3\x24") + frame(b"\1\xe3\x24")


@pytest.mark.parametrize("size", [1, 125, 126, 65_534, 65_535, 200_000])
def test_frames_of_any_size_arrive_whole_however_they_are_cut(
    ends: tuple[PortStream, socket.socket], size: int
) -> None:
    stream, far = ends
    sent = bytes(range(256)) * (size // 256) + bytes(size % 256)
    wire, got = GREETING + frame(b"\0" + sent), b""
    step = max(1, len(wire) // 7)
    for start in range(0, len(wire), step):
        far.sendall(wire[start : start + step])
        got += stream.receive()
    while len(got) < size:
        got += stream.receive()
    assert got == sent


@pytest.mark.parametrize("size", [1, 125, 126, 65_534, 65_535, 200_000])
def test_what_is_put_arrives_in_a_masked_frame(
    ends: tuple[PortStream, socket.socket], size: int
) -> None:
    stream, far = ends
    stream.put(b"x" * size)
    received = b""
    while stream.unsent or len(received) < size + 5:
        stream.flush()
        received += far.recv(1 << 20)
    assert received[0] == 0x82
    assert received[1] & 0x80
    assert received.endswith(b"\0\0\0\0\0" + b"x" * size)


def test_last_words_come_before_the_end(ends: tuple[PortStream, socket.socket]) -> None:
    stream, far = ends
    far.sendall(GREETING + frame(b"\0bye") + frame(b"\1it fell over"))
    assert stream.receive() == b"bye"
    with pytest.raises(Broken, match="it fell over"):
        stream.receive()


def test_a_ping_is_answered(ends: tuple[PortStream, socket.socket]) -> None:
    stream, far = ends
    far.sendall(frame(b"?", kind=9))
    assert stream.receive() == b""
    stream.flush()
    assert far.recv(100) == b"\x8a\x81\0\0\0\0?"


@pytest.mark.parametrize(
    "wire", [b"\x02\x01x", b"\x82\x81\0\0\0\0x", frame(b"\7x"), frame(b"x", kind=3),
             b"\x82\x7f" + b"\xff" * 8],
    ids=["parts", "masked", "channel", "kind", "size"],
)  # fmt: skip
def test_what_is_no_port_forward_is_refused(
    ends: tuple[PortStream, socket.socket], wire: bytes
) -> None:
    stream, far = ends
    far.sendall(wire)
    with pytest.raises(Broken, match="not understood"):
        stream.receive()


def test_the_programs_are_told_alike_wherever_they_run() -> None:
    capture = CaptureOptions(
        interfaces=("eth0",), filters=("port 80",), packets=True, snaplen=96, attach="tcx",
        max_seconds=90.0, max_bytes=1 << 20,
    )  # fmt: skip
    made = objects(
        Deployment(
            image="x", agent_arguments=capture.agent_arguments(),
            collector_arguments=capture.collector_arguments(),
        )
    )  # fmt: skip
    arguments = {
        item["kind"]: item["spec"]["template"]["spec"]["containers"][0]["args"]
        for item in made
        if item["kind"] in ("Deployment", "DaemonSet")
    }
    assert arguments["Deployment"][-5:] == [
        "--max-time=90.0", "--max-bytes=1048576", "--filter=port 80", "--packets", "--snaplen=96",
    ]  # fmt: skip
    assert arguments["DaemonSet"][-2:] == ["--interface=eth0", "--attach=tcx"]

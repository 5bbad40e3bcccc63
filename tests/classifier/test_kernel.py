"""The kernel's classifier against the plain-Python reference, pair by pair."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nshell.filters import Direction, Rule
from tests.classifier import reference, strategies

if TYPE_CHECKING:
    from tests.kernel import Kernel

pytestmark = pytest.mark.kernel

FRAMES_EACH = 16
RULE_SETS = 160
COUNTED_SETS = 60


SHORTEST = {b"\x08\x00": 14 + 20, b"\x86\xdd": 14 + 40}


def runnable(frame: bytes) -> bool:
    """BPF_PROG_TEST_RUN refuses IP with less than a header; behind a VLAN tag it does not look."""
    return len(frame) >= SHORTEST.get(frame[12:14], 14)


@pytest.mark.timeout(600)
@settings(
    max_examples=RULE_SETS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
@given(
    rules=strategies.rule_sets(),
    ifname=st.sampled_from(strategies.IFNAMES),
    seen=st.lists(
        st.tuples(strategies.frames().filter(runnable), st.sampled_from(Direction)),
        min_size=FRAMES_EACH,
        max_size=FRAMES_EACH,
    ),
)
def test_the_kernel_and_the_reference_agree_on_verdict_and_deciding_rule(
    kernel: Kernel, rules: list[Rule], ifname: str, seen: list[tuple[bytes, Direction]]
) -> None:
    kernel.apply(rules, ifname=ifname)
    for frame, direction in seen:
        kernel.forget("fragments")
        packet = reference.parse(frame, direction=direction, ifname=ifname)
        expected = {"packets": reference.decide(rules, packet, "packets")}
        if packet.src is not None:
            expected["flows"] = reference.decide(rules, packet, "flows")
        assert kernel.decide(frame, direction) == expected


@pytest.mark.timeout(300)
@settings(
    max_examples=COUNTED_SETS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
@given(
    rules=strategies.rule_sets(max_size=63),
    counted=strategies.rules(),
    seen=st.lists(
        st.tuples(strategies.frames().filter(runnable), st.sampled_from(Direction)),
        min_size=FRAMES_EACH,
        max_size=FRAMES_EACH,
    ),
    capturing=st.booleans(),
)
def test_a_rule_that_governs_nothing_is_counted_and_decides_nothing(
    kernel: Kernel,
    rules: list[Rule],
    counted: Rule,
    seen: list[tuple[bytes, Direction]],
    capturing: bool,
) -> None:
    counts_only = replace(counted, flows=False, packets=False)
    kernel.apply([*rules, counts_only], ifname="eth0", flows=capturing, packets=capturing)
    for frame, direction in seen:
        kernel.forget("fragments")
        packet = reference.parse(frame, direction=direction, ifname="eth0")
        expected: Counter[tuple[str, int]] = Counter()
        if capturing:
            expected["packets", reference.decide(rules, packet, "packets")[1]] += 1
        if capturing and packet.src is not None:
            expected["flows", reference.decide(rules, packet, "flows")[1]] += 1
        if reference.holds(counted, packet):
            expected["flows", len(rules)] += 1
        before = kernel.read_hits()
        kernel.run(frame, direction)
        assert kernel.read_hits() - before == expected


def test_the_pairs_of_a_normal_run_are_two_thousand_at_least() -> None:
    assert FRAMES_EACH * RULE_SETS >= 2000

"""What selectors are resolved to decides as they mean: in Python for many filters, in
the kernel for some of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nshell.collector.kube.select import resolve
from nshell.filters import Direction, FilterError, Rule, parse_rule, split_words
from tests.classifier import clusters as c
from tests.classifier import frames as f
from tests.classifier import reference

if TYPE_CHECKING:
    from tests.kernel import Kernel

KNOWN = c.cluster(*c.SHOP)
CLIENT = "10.1.0.9"


def parsed(line: str) -> Rule | None:
    try:
        return parse_rule(split_words(line))
    except FilterError:
        return None


def made_rules() -> st.SearchStrategy[Rule]:
    return c.filter_lines().map(parsed).filter(lambda rule: rule is not None)  # type: ignore[return-value]


def packets() -> st.SearchStrategy[bytes]:
    """Frames between any two addresses of one family, with any ports that count."""
    four = st.sampled_from([a for a in c.ADDRESSES if ":" not in a])
    six = st.sampled_from([a for a in c.ADDRESSES if ":" in a])
    ports = st.sampled_from(c.PORTS)

    def make(make_frame: object, hosts: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
        return st.builds(
            lambda a, b, x, y: make_frame(a, b, sport=x, dport=y),  # type: ignore[operator]
            hosts, hosts, ports, ports,
        )  # fmt: skip

    return (
        make(f.tcp4, four) | make(f.udp4, four) | make(f.tcp6, six) | st.builds(f.icmp4, four, four)
    )


def seen(frame: bytes) -> reference.Packet:
    return reference.parse(frame, direction=Direction.INGRESS, ifname="eth0")


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(rule=made_rules(), frames=st.lists(packets(), min_size=20, max_size=40))
def test_the_rules_of_a_filter_hold_where_the_filter_does(rule: Rule, frames: list[bytes]) -> None:
    rules = resolve(rule, KNOWN).rules
    assert all(not each.selectors and each.text == rule.text for each in rules)
    for frame in frames:
        packet = seen(frame)
        held = any(reference.holds(each, packet) for each in rules)
        assert held == c.holds(rule, packet, KNOWN)


@pytest.mark.kernel
@pytest.mark.timeout(300)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
@given(
    filters=st.lists(made_rules(), min_size=1, max_size=4),
    frames=st.lists(packets(), min_size=16, max_size=16),
)
def test_the_kernel_decides_as_the_filters_mean(
    kernel: Kernel, filters: list[Rule], frames: list[bytes]
) -> None:
    rules = [each for rule in filters for each in resolve(rule, KNOWN).rules]
    kernel.apply(rules, ifname="eth0")
    for frame in frames:
        kernel.forget("fragments")
        accepted, _ = kernel.decide(frame, Direction.INGRESS)["flows"]
        assert accepted == any(c.holds(rule, seen(frame), KNOWN) for rule in filters)


@pytest.mark.kernel
def test_a_service_is_its_addresses_with_its_ports_and_its_pods_with_theirs(
    kernel: Kernel,
) -> None:
    kernel.apply(resolve(parse_rule(["service", "shop/web"]), KNOWN).rules, ifname="eth0")

    def captured(frame: bytes) -> bool:
        return kernel.decide(frame, Direction.INGRESS)["flows"][0]

    there = [("10.96.0.1", 80), ("10.1.0.1", 8080), ("10.1.1.2", 8081)]
    for address, port in there:
        assert captured(f.tcp4(CLIENT, address, sport=5000, dport=port))
        assert captured(f.tcp4(address, CLIENT, sport=port, dport=5000))
        assert not captured(f.udp4(CLIENT, address, sport=5000, dport=port))
        # Its port at the other end.
        assert not captured(f.tcp4(CLIENT, address, sport=port, dport=5000))
    for address, port in [
        ("10.96.0.1", 8080),  # the target's port at the service's address
        ("10.1.0.1", 80),
        ("10.1.0.1", 8081),  # another pod's
        ("10.1.0.3", 8080),  # a pod of another service
        ("10.1.0.9", 8080),  # a pod of another namespace with that label
    ]:
        assert not captured(f.tcp4("203.0.113.5", address, sport=5000, dport=port))
    for address, port in [("10.96.0.1", 53), ("10.1.0.1", 5353), ("10.1.1.2", 5353)]:
        assert captured(f.udp4(CLIENT, address, sport=5000, dport=port))
        assert not captured(f.tcp4(CLIENT, address, sport=5000, dport=port))


@pytest.mark.kernel
@pytest.mark.parametrize("line", ["pod shop/nobody", "service shop/no", "pod shop/new"])
def test_a_selector_of_nothing_accepts_nothing(kernel: Kernel, line: str) -> None:
    (rule,) = resolve(parse_rule(split_words(line)), KNOWN).rules
    kernel.apply([rule], ifname="eth0")
    for frame in (f.tcp4(CLIENT, "10.1.0.1"), f.udp6("::1", "::1"), f.udp6("::", "::1")):
        assert kernel.decide(frame, Direction.INGRESS)["flows"] == (False, reference.NO_RULE)

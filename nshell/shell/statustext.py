"""The state of a session in words: for `status`, `agents` and the toolbar.

Pure functions of one status message; what agents say of themselves is escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nshell.shell.escape import escape
from nshell.shell.units import human_bytes, human_elapsed, human_rate

if TYPE_CHECKING:
    from nshell.proto import session_pb2 as pb
    from nshell.shell.values import Cell


def status_text(status: pb.Status) -> str:
    """Several lines, a label and a value each."""
    done, known = applied_on(status)
    limit = f" of {human_bytes(status.store_limit_bytes)}" if status.store_limit_bytes else ""
    lines = {
        "session": escape(status.session),
        "elapsed": elapsed(status),
        "capturing": capturing(status),
        "features": ", ".join(status.features) or "none",
        "dns ports": ", ".join(map(str, status.dns_ports)),
        "snap length": f"{status.snaplen:,} bytes" if status.snaplen else "whole packets",
        "sampling": f"one of {status.sampling:,} packets"
        if status.sampling > 1
        else "every packet",
        "filters": f"{len(status.rules)}, generation {status.generation}",
        "agents": f"{known}, {done} applied",
        "flow rows": f"{status.flow_rows:,} ({human_rate(status.flow_rate)})",
        "events": f"{status.event_rows:,}",
        "packets": f"{status.packet_rows:,} ({human_rate(status.packet_rate)})",
        "lost": f"{status.lost:,}",
        "store": f"{human_bytes(status.store_bytes)}{limit}",
        "directory": escape(status.directory),
    }
    if limits := _limits(status):
        lines["limits"] = limits
    if status.notices:
        lines["notices"] = "; ".join(map(escape, status.notices))
    width = max(map(len, lines))
    return "\n".join(f"{label:<{width}}  {value}" for label, value in lines.items())


def capturing(status: pb.Status) -> str:
    """ "flows and packets", "nothing", "flows (paused)", "flows (ended: max-time reached)"."""
    kinds = [kind for kind, on in (("flows", status.flows), ("packets", status.packets)) if on]
    over = f" (ended: {escape(status.ended)})" if status.ended else ""
    return (" and ".join(kinds) or "nothing") + (over or (" (paused)" if status.paused else ""))


def _limits(status: pb.Status) -> str:
    """What ends capturing, empty where nothing does."""
    left = (status.ends_ns - status.now_ns) / 1e9
    limits = [f"{human_elapsed(left)} left"] if status.ends_ns and not status.ended else []
    if status.max_bytes:
        limits.append(f"{human_bytes(status.max_bytes)} stored")
    return ", ".join(limits)


def elapsed(status: pb.Status) -> str:
    """Since the session began."""
    return human_elapsed((status.now_ns - status.started_ns) / 1e9)


def applied_on(status: pb.Status) -> tuple[int, int]:
    """Agents that hold the present generation, and all agents."""
    done = sum(a.connected and a.generation == status.generation for a in status.agents)
    return done, len(status.agents)


def agent_rows(status: pb.Status) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """One row an agent."""
    columns = (
        "node", "state", "kernel", "attach", "interfaces", "applied", "features",
        "clock offset ms", "memory", "cpu s", "problems",
    )  # fmt: skip
    return columns, [_agent_row(agent, status.generation) for agent in status.agents]


def _agent_row(agent: pb.AgentStatus, generation: int) -> tuple[Cell, ...]:
    applied = agent.connected and agent.generation == generation
    return (
        agent.node,
        "connected" if agent.connected else "lost",
        agent.kernel,
        agent.attach,
        agent.interfaces,
        f"{'yes' if applied else 'no'} ({agent.generation}/{generation})",
        " ".join(agent.features) or None,
        round(agent.clock_offset_ms, 3),
        human_bytes(agent.rss_bytes),
        round(agent.cpu_seconds, 2),
        "; ".join([*([agent.error] if agent.error else []), *agent.problems]) or None,
    )


def toolbar_parts(status: pb.Status | None) -> list[tuple[str, str]]:
    """Style and text of each field of the toolbar."""
    if status is None:
        return [("", "connecting...")]
    done, known = applied_on(status)
    state = "PAUSED" if status.paused else "REC"
    filters = len(status.rules)
    return [
        ("class:paused" if status.paused else "class:rec", state),
        ("", f"{status.flow_rows:,} rows {human_rate(status.flow_rate)}"),
        ("", f"{status.packet_rows:,} packets {human_rate(status.packet_rate)}"),
        ("class:alarm" if status.lost else "", f"lost {status.lost:,}"),
        (
            "" if done == known else "class:alarm",
            f"{filters} filter{'' if filters == 1 else 's'} applied {done}/{known}",
        ),
        ("" if connected(status) else "class:alarm", f"agents {connected(status)}/{known}"),
        ("", elapsed(status)),
        *([("", " ".join(status.features))] if status.features else []),
    ]


def connected(status: pb.Status) -> int:
    """Agents that are there."""
    return sum(agent.connected for agent in status.agents)

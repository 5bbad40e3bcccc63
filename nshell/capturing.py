"""What a session is to capture, and how collector and agents are told.

Invariant: options are spelled here alone, whoever starts the two programs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """What the command line says of the capture; None leaves the default to the programs."""

    interfaces: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    flows: bool = True
    packets: bool = False
    features: tuple[str, ...] = ()
    snaplen: int | None = None
    sampling: int | None = None
    flow_capacity: int | None = None
    ring_bytes: int | None = None
    tcx_anchor: str | None = None
    attach: str | None = None
    store_limit: int | None = None
    max_seconds: float | None = None
    """Capturing stops then."""
    max_bytes: int | None = None
    """Capturing stops when so much is stored."""

    def collector_arguments(self) -> list[str]:
        """Of nshell.collector.main."""
        return [
            *_given("--store-limit", self.store_limit),
            *_given("--max-time", self.max_seconds),
            *_given("--max-bytes", self.max_bytes),
            *(f"--filter={text}" for text in self.filters),
            *(f"--enable={name}" for name in self.features),
            *(["--packets"] if self.packets else []),
            *([] if self.flows else ["--no-flows"]),
            *_given("--snaplen", self.snaplen),
            *_given("--sampling", self.sampling),
        ]

    def agent_arguments(self) -> list[str]:
        """Of agent.main."""
        return [
            *(f"--interface={name}" for name in self.interfaces),
            *_given("--flow-capacity", self.flow_capacity),
            *_given("--ring-bytes", self.ring_bytes),
            *_given("--tcx-anchor", self.tcx_anchor),
            *_given("--attach", self.attach),
        ]


def _given(option: str, value: object) -> list[str]:
    return [] if value is None else [f"{option}={value}"]

"""Switches the features: their programs go to the hooks when told, and off again."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.kernel import bpf
from agent.kernel.features import FEATURES, Feature

if TYPE_CHECKING:
    from collections.abc import Collection

    from agent.kernel.bpf import Map
    from agent.kernel.compile import LoadedFeatures

_TAIL_DNS = struct.pack("<I", 0)


@dataclass(slots=True)
class FeatureHooks:
    """The features of one agent; close() takes them all off."""

    loaded: LoadedFeatures
    tails: Map
    """Programs that capture programs end with."""
    links: dict[str, list[int]] = field(default_factory=dict)
    """Descriptors by the feature's name, of those that are on."""

    def is_on(self, name: str) -> bool:
        return name in self.links

    def switch_on(self, wanted: Collection[str]) -> dict[str, str]:
        """Attach what is wanted and not on; why each of the wanted is not on, or nothing."""
        problems = {}
        for feature in FEATURES:
            if feature.name in wanted and feature.name not in self.links:
                problem = self.loaded.problems.get(feature.name, "") or self._attach(feature)
                problems[feature.name] = problem
        return {name: problem for name, problem in problems.items() if problem}

    def switch_off(self, wanted: Collection[str]) -> None:
        """Take off what is on and not wanted."""
        for name in self.links.keys() - set(wanted):
            if name == "dns":
                self.tails.delete(_TAIL_DNS)
            for fd in self.links.pop(name):
                os.close(fd)

    def _attach(self, feature: Feature) -> str:
        programs = self.loaded.loaded.programs
        links: list[int] = []
        try:
            if feature.program:
                program = programs[feature.program]
                self.tails.update(_TAIL_DNS, struct.pack("<I", program))
            for tracepoint in feature.tracepoints:
                program = programs[tracepoint.program]
                links.append(bpf.attach_raw_tracepoint(tracepoint.name, program))
        except OSError as error:
            for fd in links:
                os.close(fd)
            return f"cannot be attached: {error.strerror}"
        self.links[feature.name] = links
        return ""

    def close(self) -> None:
        self.switch_off(())
        self.loaded.loaded.close()

"""All scenarios, by subject."""

from __future__ import annotations

from parity.scenario import Scenario
from parity.scenarios import life, limits, modes, networks, packets, publish, traffic, without_proxy

ALL: tuple[Scenario, ...] = (
    *traffic.SCENARIOS,
    *publish.SCENARIOS,
    *without_proxy.SCENARIOS,
    *networks.SCENARIOS,
    *modes.SCENARIOS,
    *limits.SCENARIOS,
    *packets.SCENARIOS,
    *life.SCENARIOS,
)

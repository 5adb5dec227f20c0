"""Why a packet got lost: what stood there, read from the kernel where it was seen last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from natlab.engine.journey_scene import Scene
from natlab.engine.node import Node
from natlab.model.journey import Journey, Sighting, Stage
from natlab.model.packet import Packet
from natlab.model.state import RouteEntry

_DNAT: Final = re.compile(r"\bdnat to ([\d.]+)")
_RESOLVED: Final = ("reachable", "stale", "delay", "probe", "permanent")
_STRICT: Final = "1"


@dataclass(frozen=True)
class _Place:
    """Where a packet was seen last, how it looked there, and where it was to go by then."""

    name: str
    node: Node
    interface: str
    packet: Packet
    dst: str


def reason(scene: Scene, journey: Journey, sightings: Sequence[Sighting]) -> str | None:
    """Say why no answer came, in words; None where the facts do not tell, or a rule dropped it.

    Args:
        scene: The lab.
        journey: What was told of the packet.
        sightings: What it was told from.
    """
    if any(stage.verdict == "drop" for stage in journey.stages):
        return None
    looks = [stage for stage in journey.stages if stage.kind == "interface"]
    if not looks:
        origin = journey.flow.origin
        return _not_sent(origin, scene.nodes[origin], journey.flow.dst)
    last = looks[-1]
    packet = next((s.packet for s in sightings if _is(s, last)), None)
    if packet is None or last.direction == "out" or last.interface is None:
        return None
    dst = _destination(journey.stages[journey.stages.index(last) :], packet.dst or "")
    place = _Place(last.node, scene.nodes[last.node], last.interface, packet, dst)
    if last.node in scene.owners(dst):
        return _not_answered(place, journey, last)
    return _not_forwarded(scene, place)


def _is(sighting: Sighting, stage: Stage) -> bool:
    place = (sighting.node, sighting.interface, sighting.at_ns)
    return place == (stage.node, stage.interface, stage.at_ns)


def _destination(later: Sequence[Stage], dst: str) -> str:
    """Where it was to go after what rules did to it behind its last interface."""
    for stage in later:
        if stage.kind == "rule" and (found := _DNAT.search(stage.rule or "")):
            return found[1]
        if stage.rewrite is not None and stage.rewrite.what == "destination":
            return stage.rewrite.after.address
    return dst


def _not_sent(name: str, node: Node, dst: str) -> str | None:
    route = node.route_to(dst)
    if route is None:
        return f"{name} has no route to {dst}"
    return _unresolved(name, node, route, dst)


def _not_answered(place: _Place, journey: Journey, last: Stage) -> str | None:
    """It reached the node that it was for."""
    if last.way == "back" and place.name == journey.flow.origin:
        return None
    source = place.packet.src or ""
    route = place.node.route_to(source)
    if route is None:
        return f"{place.name} has no route back to {source}"
    if route.dev != place.interface and _filters(place):
        return f"{place.name} expects {source} at {route.dev} (rp_filter) and drops it"
    return _unresolved(place.name, place.node, route, source) or f"nothing on {place.name} answered"


def _filters(place: _Place) -> bool:
    keys = (f"net/ipv4/conf/{name}/rp_filter" for name in ("all", place.interface))
    return _STRICT in [place.node.sysctl(key) for key in keys]


def _not_forwarded(scene: Scene, place: _Place) -> str | None:
    """It reached a node that had to pass it on."""
    link = next((each for each in scene.links[place.name] if each.name == place.interface), None)
    if link is not None and link.master is not None:
        return f"the bridge {link.master} on {place.name} did not pass it on"
    if place.node.sysctl(f"net/ipv4/conf/{place.interface}/forwarding") == "0":
        return f"forwarding is off on {place.name}"
    route = place.node.route_to(place.dst)
    if route is None:
        return f"{place.name} has no route to {place.dst}"
    return _unresolved(place.name, place.node, route, place.dst)


def _unresolved(name: str, node: Node, route: RouteEntry, dst: str) -> str | None:
    """Whether the next hop's MAC address was asked for in vain."""
    hop = route.gateway or dst
    if route.dev in (None, "lo") or route.kind != "unicast":
        return None
    known = [each for each in node.neighbours() if (each.address, each.dev) == (hop, route.dev)]
    if any(each.state in _RESOLVED for each in known):
        return None
    return f"nobody answered when {name} asked by ARP for {hop} at {route.dev}"

"""A packet's stays on nodes: what was seen there, in order, with the routing in between.

Routing takes one off the time to live and bridging does not, which tells the two apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from natlab.model.journey_follow import Track, Visit
from natlab.model.journey_input import Sighting
from natlab.model.journey_place import place
from natlab.model.packet import Packet

_BEFORE_ROUTING: Final = ("prerouting", "output")


@dataclass(frozen=True, slots=True)
class Routing:
    """A routing decision, between what comes before it and what comes after."""

    came: Sighting | None
    goes: Sighting | None


Item = Sighting | Visit | Routing


def runs(track: Track, origin: str) -> Iterator[tuple[str, list[Item]]]:
    """Yield each stay on a node, with its visits between its sightings."""
    by_node = {
        node: [each for each in track.sightings if each.node == node]
        for node in dict.fromkeys([*(each.node for each in track.sightings), *track.visits])
    }
    gaps = {node: place(seen, track.visits.get(node, ())) for node, seen in by_node.items()}
    if not by_node.get(origin) and origin in gaps:
        yield origin, list(gaps[origin][0])
    position = dict.fromkeys(by_node, 0)
    for node, run in groupby(track.sightings, key=lambda each: each.node):
        items: list[Item] = list(gaps[node][0]) if position[node] == 0 else []
        for sighting in run:
            position[node] += 1
            items += [sighting, *gaps[node][position[node]]]
        yield node, items
    for node, seen in by_node.items():
        if not seen and node != origin:
            yield node, list(gaps[node][0])


def with_routing(items: Sequence[Item], *, begins: bool, ends: bool) -> list[Item]:
    """Put routing decisions in: from a process, between two interfaces, to a process."""
    told: list[Item] = []
    came: Sighting | None = None
    pending: list[Visit] = []
    for item in items:
        if isinstance(item, Visit):
            pending.append(item)
        elif isinstance(item, Sighting):
            from_process = begins and came is None and item.outgoing
            decides = from_process or _routed(came, item)
            told += _around(pending, Routing(came, item)) if decides else pending
            told.append(item)
            came, pending = item, []
    if ends:
        return told + _around(pending, Routing(came, None))
    return told + pending


def _around(visits: Sequence[Visit], routing: Routing) -> list[Item]:
    """Put a routing decision behind the hooks that come before it."""
    before = [number for number, each in enumerate(visits, start=1) if _precedes(each, routing)]
    count = max(before, default=0)
    return [*visits[:count], routing, *visits[count:]]


def _precedes(visit: Visit, routing: Routing) -> bool:
    """Whether a visit comes before a routing decision, judged by interfaces if need be."""
    if visit.hook is not None:
        return visit.hook in _BEFORE_ROUTING
    if routing.came is None:
        return visit.events[0].iif is None
    return routing.goes is not None and visit.events[0].oif is None


def _routed(came: Sighting | None, goes: Sighting) -> bool:
    """Whether the packet was routed between two sightings: a router takes one off its TTL."""
    if came is None or came.outgoing or not goes.outgoing:
        return False
    return came.packet.ttl is not None and goes.packet.ttl != came.packet.ttl


def packet_of(item: Item) -> Packet | None:
    """Return the look at the packet that an item is, if it is one."""
    return None if isinstance(item, Routing) else item.packet

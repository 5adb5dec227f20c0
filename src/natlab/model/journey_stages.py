"""From what was seen of a packet to what happened to it, node by node.

A rewrite is a difference between two looks at the packet on one node. NAT of a destination
happens before routing, NAT of a source after it, so a rewrite that is noticed late is still
told in its place.

Source of the order: netfilter's hook priorities, linux uapi netfilter_ipv4.h.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from natlab.model.conntrack import ConntrackEntry, Tuple
from natlab.model.journey_follow import Track, Visit, table_of
from natlab.model.journey_input import Lookups, Sighting
from natlab.model.journey_runs import Item, Routing, packet_of, runs, with_routing
from natlab.model.journey_values import LOCAL, Stage
from natlab.model.packet import Packet
from natlab.model.rewrite import Rewrite, Side
from natlab.model.trace import TraceEvent

_NAT_WORDS: Final = re.compile(r"\b(dnat|snat|masquerade|redirect|netmap)\b", re.IGNORECASE)
_UNDONE: Final = "conntrack undoes the NAT from its entry; no rule is asked"
_UNTRACED: Final = "NAT; the rule was not traced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What is needed to tell one packet's way.

    Attributes:
        name: "forward" or "back".
        track: What was seen of the packet.
        origin: The node that sent it.
        meant: The packet as its sender meant it, where that is known.
        delivered: The node that took it in, or None if it got lost.
        arrives: The packet as the receiver's process sees it, where that is known.
        lookups: How to put names to numbers.
        entries: Conntrack entries by host.
    """

    name: str
    track: Track
    origin: str
    meant: Packet | None
    delivered: str | None
    arrives: Packet | None
    lookups: Lookups
    entries: Mapping[str, Sequence[ConntrackEntry]]


def tell(way: Way) -> tuple[Stage, ...]:
    """Return everything that happened to a packet on its way, in order."""
    stays = list(runs(way.track, way.origin))
    stages: list[Stage] = []
    for number, (node, items) in enumerate(stays):
        first, last = number == 0, number == len(stays) - 1
        teller = _Teller(way, node)
        if first and node == way.origin and way.meant is not None:
            teller.look = way.meant
        ends_here = last and node == way.delivered
        stages += teller.tell(
            with_routing(items, begins=first and node == way.origin, ends=ends_here),
            ends_here=ends_here,
        )
    return tuple(stages)


@dataclass(slots=True)
class _Teller:
    """Tells one stay on one node; remembers how the packet looked last."""

    way: Way
    node: str
    look: Packet | None = None
    came: Sighting | None = None
    nat: str | None = None
    stages: list[Stage] = field(default_factory=list)
    entry: ConntrackEntry | None = None

    def tell(self, items: Sequence[Item], *, ends_here: bool) -> list[Stage]:
        first = self.look or next((packet_of(each) for each in items if packet_of(each)), None)
        self.entry = find_entry(first, self.way.entries.get(self.node, ()), self.way.name)
        for index, item in enumerate(items):
            if isinstance(item, Routing):
                self._routing(item, items[index + 1 :], ends_here=ends_here)
            elif isinstance(item, Visit):
                self._sees(item.packet)
                self._visit(item)
            else:
                self._sees(item.packet)
                self._interface(item)
        if ends_here and self.way.arrives is not None:
            self._sees(self.way.arrives)
        if self.entry is not None and self.way.name == "forward":
            self._add("conntrack", entry=str(self.entry))
        return self.stages

    def _add(self, kind: str, **values: object) -> None:
        packet = self.look.summary() if self.look else None
        stage = Stage(way=self.way.name, node=self.node, kind=kind, packet=packet)
        self.stages.append(replace(stage, **values))  # type: ignore[arg-type]

    def _sees(self, packet: Packet, *ends: str) -> None:
        """Take a new look, and tell what was rewritten since the last one."""
        before = self.look
        for rewrite in rewrites(before, packet) if before else ():
            if ends and rewrite.what not in ends:
                continue
            self.look = _rewritten(self.look or packet, rewrite, packet)
            undone = self.way.name == "back"
            note = _UNDONE if undone else None if self.nat else _UNTRACED
            entry = str(self.entry) if undone and self.entry else None
            rule = None if undone else self.nat
            self._add("rewrite", rewrite=rewrite, rule=rule, entry=entry, note=note)
        if not ends:
            self.look = packet

    def _routing(self, routing: Routing, later: Sequence[Item], *, ends_here: bool) -> None:
        """Tell a decision, after the rewriting of the destination that it goes by."""
        following = next((packet_of(each) for each in later if packet_of(each)), None)
        if following is None and ends_here:
            following = self.way.arrives
        if following is not None:
            self.look = self.look or following
            self._sees(following, "destination")
        goes = routing.goes.interface if routing.goes else LOCAL
        hop = None
        if routing.goes is not None and self.look is not None:
            hop = self.way.lookups.next_hop(self.node, self.look, goes)
        came = routing.came.interface if routing.came else LOCAL
        self._add("routing", in_interface=came, out_interface=goes, next_hop=hop)

    def _interface(self, sighting: Sighting) -> None:
        self._add(
            "interface",
            interface=sighting.interface,
            direction="out" if sighting.outgoing else "in",
            at_ns=sighting.at_ns,
            note=_bridge_note(self.came, sighting),
        )
        self.came = sighting

    def _visit(self, visit: Visit) -> None:
        rules = [self._rule(visit, each) for each in visit.events if each.rule_handle is not None]
        nat = next((text for text, each in rules if _NAT_WORDS.search(text)), None)
        self.nat = nat or self.nat
        if visit.table in self.way.lookups.hidden_tables:
            return
        chain, verdict = visit.events[0].chain, visit.events[-1].verdict
        shared = {"hook": visit.hook, "table": visit.table}
        self._add("hook", chain=chain, verdict=verdict, **shared)
        for text, event in rules:
            told = {"chain": event.chain, "handle": event.rule_handle, "verdict": event.verdict}
            self._add("rule", rule=text, **told, **shared)

    def _rule(self, visit: Visit, event: TraceEvent) -> tuple[str, TraceEvent]:
        handle = event.rule_handle or 0
        text = self.way.lookups.rule_text(visit.host, table_of(event), event.chain, handle)
        return text, event


def rewrites(before: Packet, after: Packet) -> tuple[Rewrite, ...]:
    """Return what was changed between two looks at a packet: the destination, the source."""
    pairs = (
        ("destination", Side(before.dst or "", before.dport), Side(after.dst or "", after.dport)),
        ("source", Side(before.src or "", before.sport), Side(after.src or "", after.sport)),
    )
    return tuple(Rewrite(what, old, new) for what, old, new in pairs if old != new)


def find_entry(
    packet: Packet | None, entries: Sequence[ConntrackEntry], way: str
) -> ConntrackEntry | None:
    """Find the entry of a packet: by the original tuple, or by the reply's on the way back."""
    for entry in entries if packet else ():
        wanted = entry.original if way == "forward" else entry.reply
        if packet is not None and _is_of(packet, wanted):
            return entry
    return None


def _is_of(packet: Packet, wanted: Tuple) -> bool:
    proto = "icmpv6" if packet.proto == "icmp6" else packet.proto
    ports = (packet.sport, packet.dport, packet.icmp_id)
    return (proto, packet.src, packet.dst, *ports) == (
        wanted.proto,
        wanted.src,
        wanted.dst,
        wanted.sport,
        wanted.dport,
        wanted.icmp_id,
    )


def _rewritten(packet: Packet, rewrite: Rewrite, after: Packet) -> Packet:
    if rewrite.what == "destination":
        return packet.replace(dst=after.dst, dport=after.dport)
    return packet.replace(src=after.src, sport=after.sport)


def _bridge_note(came: Sighting | None, now: Sighting) -> str | None:
    """Say how a bridge is involved: two looks with one TTL were not routed in between."""
    if came is None or came.packet.ttl != now.packet.ttl or came.interface == now.interface:
        return None
    if came.outgoing and now.outgoing:
        return f"a port of {came.interface}"
    if not came.outgoing and not now.outgoing:
        return f"handed up by its port {came.interface}"
    return "bridged, not routed" if now.outgoing else None

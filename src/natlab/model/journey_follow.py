"""Following one packet through captures and traces, although NAT keeps changing its tuple.

What NAT leaves alone identifies the packet: TCP sequence number and flags, the payload of UDP
and of pings, and the IPv4 identification where the sender set one. A retransmission has the
same sequence number but another identification, so it is another packet here.

Source of what is kept: linux nf_nat_proto.c (ports, addresses and checksums are mangled only).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from natlab.model.journey_input import Flow, Lookups, Sighting
from natlab.model.packet import Packet
from natlab.model.trace import TraceEvent, group

_SEQUENCE_MASK: Final = 0xFFFFFFFF
Key = tuple[object, ...]
Ends = tuple[str | None, int | None, str | None, int | None]


@dataclass(frozen=True, slots=True)
class Visit:
    """One packet's way through one base chain of one host, jumps included.

    Attributes:
        host: The host.
        events: The trace events, the first of which carries the packet.
        packet: The packet as it came in.
        hook: The base chain's hook, or None if unknown.
        iif: Name of the incoming interface, if any and known.
        oif: Name of the outgoing interface, if any and known.
    """

    host: str
    events: tuple[TraceEvent, ...]
    packet: Packet
    hook: str | None
    iif: str | None
    oif: str | None

    @property
    def table(self) -> str:
        """Family and name of the table: "ip nat"."""
        return table_of(self.events[0])


@dataclass(frozen=True, slots=True)
class Track:
    """Everything that was seen of one packet.

    Attributes:
        packet: The packet when it was seen first.
        sightings: Where captures saw it, in order of time.
        visits: The base chains that it passed, by host, in order.
    """

    packet: Packet
    sightings: tuple[Sighting, ...]
    visits: Mapping[str, tuple[Visit, ...]]

    def looks(self, node: str) -> list[Packet]:
        """Return the packet in every form it had on one node."""
        seen = [each.packet for each in self.sightings if each.node == node]
        return seen + [visit.packet for visit in self.visits.get(node, ())]


def table_of(event: TraceEvent) -> str:
    """Return family and name of an event's table, as nft commands write them."""
    return f"{event.family} {event.table}"


def visits_of(
    traces: Mapping[str, Iterable[TraceEvent]], lookups: Lookups
) -> dict[str, tuple[Visit, ...]]:
    """Sort every host's trace events into visits, with names for interfaces and hooks."""
    return {
        host: tuple(_visit(host, events, lookups) for events in group(found))
        for host, found in traces.items()
    }


def same_packet(one: Packet, other: Packet) -> bool:
    """Whether two looks are at the same packet, addresses and ports aside."""
    if (one.kind, one.version) != (other.kind, other.version) or one.kind == "unknown":
        return False
    if one.ident and other.ident and one.ident != other.ident:
        return False
    if one.is_error and other.is_error:
        return one.icmp_code == other.icmp_code and _same_quote(one.quoted, other.quoted)
    return _fixed(one) == _fixed(other) and _same_payload(one, other)


def answers(reply: Packet, request: Packet, forms: frozenset[Ends]) -> bool:
    """Whether a packet answers another, by acceptance, reset, echo or ICMP error.

    Args:
        reply: The packet that may be an answer.
        request: The first packet of the flow.
        forms: Every form that the request's addresses had on its way.
    """
    if reply.is_error:
        return reply.quoted is not None and _quotes(reply.quoted, request)
    if reply.kind != request.kind:
        return False
    if reply.kind == "tcp":
        return is_tcp_answer(reply) and reply.ack == ((request.seq or 0) + 1) & _SEQUENCE_MASK
    if reply.kind == "udp":
        return turned(ends(reply)) in forms
    return reply.is_echo_reply and reply.seq == request.seq and _same_payload(reply, request)


def is_tcp_answer(packet: Packet) -> bool:
    """Whether this is what a SYN is answered with: SYN and ACK, or a reset."""
    return "." in packet.flags and ("S" in packet.flags or "R" in packet.flags)


def ends(packet: Packet) -> Ends:
    """Return a packet's addresses and ports."""
    return packet.src, packet.sport, packet.dst, packet.dport


def turned(given: Ends) -> Ends:
    """Return addresses and ports of the opposite direction."""
    return given[2], given[3], given[0], given[1]


def find_request(
    flow: Flow, sightings: Sequence[Sighting], visits: Mapping[str, Sequence[Visit]]
) -> Packet | None:
    """Find the flow's first packet at its origin; an exact match goes before a rewritten one.

    On its origin a packet may be rewritten before any interface sees it, so a trace's view of
    it counts too, and as a last resort the source port or the payload alone.
    """
    out = [each.packet for each in sightings if each.node == flow.origin and each.outgoing]
    looks = [visit.packet for visit in visits.get(flow.origin, ())] + out
    candidates = [look for look in looks if _could_be(look, flow)]
    exact = (look for look in candidates if (look.dst, look.dport) == (flow.dst, flow.dport))
    return next(exact, None) or next((look for look in candidates if _unmistakable(flow)), None)


def find_reply(
    track: Track, sightings: Iterable[Sighting], forms: frozenset[Ends]
) -> Packet | None:
    """Find the first packet that answers the one of a track, or None."""
    since = track.sightings[0].at_ns if track.sightings else 0
    return next(
        (
            each.packet
            for each in sightings
            if each.at_ns >= since and answers(each.packet, track.packet, forms)
        ),
        None,
    )


def follow(
    packet: Packet, sightings: Iterable[Sighting], visits: Mapping[str, Sequence[Visit]]
) -> Track:
    """Gather everything that was seen of one packet, each thing once."""
    seen: dict[Key, Sighting] = {}
    for each in _of_packet(packet, sightings):
        seen.setdefault(_place(each), each)
    ordered = sorted(seen.values(), key=lambda each: each.at_ns)
    passed = {
        host: tuple(visit for visit in found if same_packet(visit.packet, packet))
        for host, found in visits.items()
    }
    passed = {host: found for host, found in passed.items() if found}
    involved = {each.node for each in ordered if each.direction != "other"} | passed.keys()
    return Track(packet, tuple(each for each in ordered if each.node in involved), passed)


def _of_packet(packet: Packet, sightings: Iterable[Sighting]) -> list[Sighting]:
    return [each for each in sightings if same_packet(each.packet, packet)]


def _visit(host: str, events: tuple[TraceEvent, ...], lookups: Lookups) -> Visit:
    first = events[0]
    iif, oif = (lookups.interface(host, each) if each else None for each in (first.iif, first.oif))
    hook = lookups.hook_of(host, table_of(first), first.chain)
    return Visit(host, events, first.packet or Packet(kind="unknown"), hook, iif, oif)


def _place(each: Sighting) -> Key:
    return each.node, each.interface, each.outgoing, each.packet.ttl


def _fixed(packet: Packet) -> Key:
    """Return what neither NAT nor routing changes, payload aside."""
    icmp = (packet.icmp_type, packet.icmp_code)
    tcp = (packet.seq, packet.ack, packet.flags)
    return (packet.proto, packet.fragment_offset, packet.length, *icmp, *tcp)


def _same_payload(one: Packet, other: Packet) -> bool:
    """Whether two payloads agree as far as both were captured."""
    common = min(len(one.payload), len(other.payload))
    return one.payload[:common] == other.payload[:common]


def _same_quote(one: Packet | None, other: Packet | None) -> bool:
    """Whether two ICMP errors are about the same packet, as far as both say so."""
    known = one is not None and other is not None and "unknown" not in (one.kind, other.kind)
    return not known or _quotes(one, other)


def _quotes(quoted: Packet | None, request: Packet | None) -> bool:
    """Whether a quotation, of which eight bytes of transport are certain, is of a packet."""
    if quoted is None or request is None or quoted.kind != request.kind:
        return False
    if quoted.ident and request.ident and quoted.ident != request.ident:
        return False
    same = (quoted.seq, quoted.icmp_type) == (request.seq, request.icmp_type)
    return same and quoted.length == request.length and _same_payload(quoted, request)


def _could_be(packet: Packet, flow: Flow) -> bool:
    if packet.proto != flow.proto or is_tcp_answer(packet):
        return False
    if packet.kind == "tcp" and "S" not in packet.flags:
        return False
    if packet.kind in ("icmp", "icmp6") and not packet.is_echo_request:
        return False
    common = min(len(flow.payload), len(packet.payload))
    wanted = ((flow.sport, packet.sport), (flow.icmp_id, packet.icmp_id))
    return flow.payload[:common] == packet.payload[:common] and all(
        want is None or want == have for want, have in wanted
    )


def _unmistakable(flow: Flow) -> bool:
    return bool(flow.sport or flow.payload or flow.icmp_id)

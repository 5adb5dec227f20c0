"""One packet's journey, told from captures, traces and conntrack tables.

`assemble` is given what was seen while a single connection, datagram or ping was under way,
and returns a `Journey`: each interface, hook, rule, rewrite and routing decision that the
first packet met, and the way its answer came back. It reads nothing from the system.

    journey = assemble(
        Flow("web", "tcp", "192.168.33.20", 8080),
        sightings,
        traces={"ubuntu1": events},
        conntrack={"ubuntu1": entries},
        lookups=Lookups(rule_text=text_of_rule),
    )
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from natlab.model.conntrack import ConntrackEntry
from natlab.model.journey_follow import (
    Ends,
    Track,
    Visit,
    ends,
    find_reply,
    find_request,
    follow,
    turned,
    visits_of,
)
from natlab.model.journey_input import Flow, Lookups, Sighting
from natlab.model.journey_stages import Way, find_entry, tell
from natlab.model.journey_values import LOCAL, Journey, Stage
from natlab.model.packet import UNREACHABLE, Packet
from natlab.model.trace import TraceEvent

__all__ = ["LOCAL", "Flow", "Journey", "Lookups", "Sighting", "Stage", "assemble"]

_FROM_THE_END: Final = (2, 3)
"""The codes of an ICMP unreachable that a packet's last node sends: protocol, port."""

Entries = Mapping[str, Sequence[ConntrackEntry]]


def assemble(
    flow: Flow,
    sightings: Iterable[Sighting],
    *,
    traces: Mapping[str, Iterable[TraceEvent]] | None = None,
    conntrack: Entries | None = None,
    lookups: Lookups | None = None,
) -> Journey:
    """Tell a flow's first packet's way, and its answer's.

    Args:
        flow: What was sent, as its sender meant it.
        sightings: What captures on every interface of every node saw, in the order of each
            capture: of two sightings with one timestamp, the one given first came first.
        traces: Trace events by host, in the order of their arrival.
        conntrack: Conntrack entries by host, read when the flow was over.
        lookups: How to put names to numbers.

    Returns:
        The journey; if nothing was seen of the flow, one with an end only.
    """
    names = lookups or Lookups()
    ordered = sorted(sightings, key=lambda each: each.at_ns)
    visits = visits_of(traces or {}, names)
    request = find_request(flow, ordered, visits)
    if request is None:
        verdict = f"no answer: nothing was sent by {flow.origin}"
        return Journey(
            flow=flow, outcome="no answer", verdict=verdict, stages=(_end(flow.origin, verdict),)
        )
    there = follow(request, ordered, visits)
    reply = find_reply(there, ordered, _forms(there, flow))
    back = follow(reply, ordered, visits) if reply else None
    return _journey(flow, there, back, names, conntrack or {})


def _journey(
    flow: Flow, there: Track, back: Track | None, names: Lookups, entries: Entries
) -> Journey:
    outcome, verdict = _outcome(flow, there, back)
    replier = back.sightings[0].node if back else _taken_in(there)
    reached = _last_node(there) == replier and not _turned_back(there, back)
    meant = there.packet.replace(dst=flow.dst, dport=flow.dport)
    forward = Way(
        name="forward",
        track=there,
        origin=flow.origin,
        meant=meant,
        delivered=replier if reached else None,
        arrives=_arriving(there, replier, entries) if reached else None,
        lookups=names,
        entries=entries,
    )
    stages = tell(forward)
    if back is not None:
        stages += tell(_way_back(forward, flow, back, came_home=outcome != "no answer"))
    end_node = flow.origin if outcome != "no answer" else _last_node(back or there)
    way = "back" if back is not None else "forward"
    stages += (_end(end_node or flow.origin, verdict, way),)
    return Journey(flow=flow, outcome=outcome, verdict=verdict, stages=stages)


def _turned_back(there: Track, back: Track | None) -> bool:
    """Whether the one who answered was to pass the packet on: no route, or a rule that rejects."""
    if back is None:
        return False
    last = _last_node(there)
    forwarded = any(visit.hook == "forward" for visit in there.visits.get(last or "", ()))
    error = back.packet
    from_its_end = error.icmp_type == UNREACHABLE["icmp"] and error.icmp_code in _FROM_THE_END
    return forwarded or (error.is_error and not from_its_end)


def _way_back(forward: Way, flow: Flow, back: Track, *, came_home: bool) -> Way:
    """Turn a way round: the answer is sent where the request was taken in."""
    asked = forward.meant
    arrives = None
    if came_home and asked is not None and not back.packet.is_error:
        last = back.sightings[-1].packet
        arrives = last.replace(src=asked.dst, sport=asked.dport, dst=asked.src, dport=asked.sport)
    return Way(
        name="back",
        track=back,
        origin=back.sightings[0].node,
        meant=None,
        delivered=flow.origin if came_home else None,
        arrives=arrives,
        lookups=forward.lookups,
        entries=forward.entries,
    )


def _forms(there: Track, flow: Flow) -> frozenset[Ends]:
    """Return every form of the request's ends on its way, as it was meant included."""
    looks = [each.packet for each in there.sightings]
    looks += [visit.packet for found in there.visits.values() for visit in found]
    return frozenset({_meant_ends(there, flow), *map(ends, looks)})


def _meant_ends(there: Track, flow: Flow) -> Ends:
    return flow.src or there.packet.src, there.packet.sport, flow.dst, flow.dport


def _outcome(flow: Flow, there: Track, back: Track | None) -> tuple[str, str]:
    if back is None:
        return "no answer", _lost(flow, there)
    home = [each for each in back.sightings if each.node == flow.origin and not each.outgoing]
    if not home:
        return "no answer", f"{_lost(flow, back)} on the way back"
    if back.packet.is_error:
        return "refused", f"refused by {back.sightings[0].node}: {back.packet.summary()}"
    asked = {_meant_ends(there, flow), *map(ends, there.looks(flow.origin))}
    if turned(ends(home[-1].packet)) not in asked:
        source = home[-1].packet.source
        return "no answer", f"{_lost(flow, back)}: the reply is from {source}, who was not asked"
    if "R" in back.packet.flags:
        return "refused", f"refused by {back.sightings[0].node}: reset"
    return "answered", f"answered by {back.sightings[0].node}"


def _lost(flow: Flow, track: Track) -> str:
    """Say where a packet was seen last, and which chain dropped it if a trace tells."""
    dropped = next((visit for visit in _all_visits(track) if _drops(visit)), None)
    by = f"; dropped in {dropped.events[-1].chain} on {dropped.host}" if dropped else ""
    if not track.sightings:
        return f"no answer: it never left {flow.origin}{by}"
    last = track.sightings[-1]
    return f"no answer: last seen at {last.node} {last.interface}{by}"


def _all_visits(track: Track) -> list[Visit]:
    return [visit for found in track.visits.values() for visit in found]


def _drops(visit: Visit) -> bool:
    return visit.events[-1].verdict == "drop"


def _last_node(track: Track) -> str | None:
    return track.sightings[-1].node if track.sightings else None


def _taken_in(there: Track) -> str | None:
    """Return the node whose INPUT hook let the packet in, if a trace tells."""
    last = _last_node(there)
    found = there.visits.get(last, ()) if last else ()
    taken = any(visit.hook == "input" and not _drops(visit) for visit in found)
    return last if taken else None


def _arriving(there: Track, node: str | None, entries: Entries) -> Packet | None:
    """Return the request as a process on the last node gets it, by the node's conntrack entry."""
    if node is None or not there.sightings or _last_node(there) != node:
        return None
    last = there.sightings[-1].packet
    entry = find_entry(last, entries.get(node, ()), "forward")
    if entry is None or entry.dnat is None:
        return last
    return last.replace(dst=entry.reply.src, dport=entry.reply.sport)


def _end(node: str, verdict: str, way: str = "forward") -> Stage:
    return Stage(way=way, node=node, kind="end", verdict=verdict)

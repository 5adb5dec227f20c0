"""Putting hooks between interfaces: where in a packet's way a chain was passed.

Trace events carry no time, so the order has to be found: a host's events are in order among
themselves, and each hook has its place. PREROUTING and INPUT come after the interface a packet
came in by, OUTPUT and POSTROUTING before the one it leaves by, FORWARD between the two. Of all
the ways to put the visits between the sightings, in order, the one with the fewest
contradictions is taken. This also covers bridges that call iptables (`br_netfilter`), where
PREROUTING happens before the bridge itself sees the packet.

Source of the order: linux ip_input.c, ip_forward.c, ip_output.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from natlab.model.journey_follow import Visit, ends
from natlab.model.journey_input import Sighting

_WRONG: Final = 4
_NOT_SEEN: Final = 2
_NEARBY: Final = 1
_REWRITTEN: Final = 2


def place(sightings: Sequence[Sighting], visits: Sequence[Visit]) -> list[list[Visit]]:
    """Distribute one node's visits over the gaps around its sightings.

    Args:
        sightings: Where the node's captures saw the packet, in order of time.
        visits: The base chains that the packet passed there, in order.

    Returns:
        One list for each gap: before the first sighting, after the first, …, after the last.
    """
    gaps: list[list[Visit]] = [[] for _ in range(len(sightings) + 1)]
    for visit, gap in zip(visits, _cheapest(sightings, visits), strict=True):
        gaps[gap].append(visit)
    return gaps


def _cheapest(sightings: Sequence[Sighting], visits: Sequence[Visit]) -> tuple[int, ...]:
    """Return a gap for each visit, never falling, at the least cost; earlier gaps on a tie."""
    best: list[tuple[int, tuple[int, ...]]] = [(0, ())] * (len(sightings) + 1)
    for visit in visits:
        costs = [_cost(visit, sightings, gap) for gap in range(len(sightings) + 1)]
        best = [
            min((best[earlier][0] + cost, (*best[earlier][1], gap)) for earlier in range(gap + 1))
            for gap, cost in enumerate(costs)
        ]
    return min(best)[1]


def _cost(visit: Visit, sightings: Sequence[Sighting], gap: int) -> int:
    before = sightings[gap - 1] if gap else None
    after = sightings[gap] if gap < len(sightings) else None
    hook = visit.hook or _hook_like(visit)
    if hook in ("prerouting", "input"):
        return _cost_of_coming(visit, before)
    if hook == "forward":
        return _cost_of_coming(visit, before) + _cost_of_going(visit, after)
    return _cost_of_going(visit, after)


def _hook_like(visit: Visit) -> str:
    """Return a hook with the same interfaces, for a base chain whose hook is not known."""
    if visit.iif and visit.oif:
        return "forward"
    return "output" if visit.oif else "input"


def _cost_of_coming(visit: Visit, before: Sighting | None) -> int:
    if before is None or before.outgoing:
        return _WRONG
    elsewhere = visit.iif is not None and before.interface != visit.iif
    changed = ends(before.packet) != ends(visit.packet)
    return _NEARBY * elsewhere + _REWRITTEN * changed


def _cost_of_going(visit: Visit, after: Sighting | None) -> int:
    if after is None:
        return _NOT_SEEN
    if not after.outgoing:
        return _WRONG
    return _NEARBY * (visit.oif is not None and after.interface != visit.oif)

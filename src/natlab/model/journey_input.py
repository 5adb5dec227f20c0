"""What a journey is put together from.

A `Flow` says what was sent, `Sighting`s what captures saw of it, `Lookups` how to put names
to the numbers of trace events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from natlab.errors import UsageError
from natlab.model import dissect
from natlab.model.packet import Packet

DIRECTIONS: Final = ("in", "out", "other")
HOOKS: Final = ("prerouting", "input", "forward", "output", "postrouting")

_OTHERHOST, _OUTGOING = 3, 4


@dataclass(frozen=True, slots=True)
class Flow:
    """What the prober sends: the first packet as its sender means it.

    Attributes:
        origin: The node it is sent from.
        proto: "tcp", "udp", "icmp" or "icmp6".
        dst: Destination address, before any rewriting.
        dport: Destination port; None for ICMP.
        src: Source address; None if the kernel chose it.
        sport: Source port; None if the kernel chose it.
        icmp_id: Echo identifier, if known.
        payload: The payload, if it is known and unique: how UDP and pings are told apart.
    """

    origin: str
    proto: str
    dst: str
    dport: int | None = None
    src: str | None = None
    sport: int | None = None
    icmp_id: int | None = None
    payload: bytes = b""

    def __post_init__(self) -> None:
        if self.proto not in ("tcp", "udp", "icmp", "icmp6"):
            raise UsageError(f"a journey is of tcp, udp, icmp or icmp6, not {self.proto!r}")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A packet seen passing an interface.

    Attributes:
        node: The node (host, container, LAN) that the interface belongs to.
        interface: The interface's name there.
        direction: "in", "out", or "other" for a frame that came in for somebody else's MAC
            (as on every port of a bridge).
        packet: What was seen.
        at_ns: When, in nanoseconds of one clock for all nodes.
    """

    node: str
    interface: str
    direction: str
    packet: Packet
    at_ns: int

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise UsageError(f"direction {self.direction!r}: use {', '.join(DIRECTIONS)}")

    @classmethod
    def from_capture(
        cls, node: str, interface: str, packet_type: int, frame: bytes, at_ns: int
    ) -> Sighting:
        """Make a sighting of what an AF_PACKET, SOCK_RAW socket received.

        Args:
            node: The node whose namespace the socket was made in.
            interface: Name for the `sll_ifindex` of the received address.
            packet_type: Its `sll_pkttype`, 0 (to this host) to 4 (outgoing).
            frame: The Ethernet frame.
            at_ns: Its SO_TIMESTAMPNS.
        """
        direction = {_OUTGOING: "out", _OTHERHOST: "other"}.get(packet_type, "in")
        return cls(node, interface, direction, dissect.ethernet(frame), at_ns)

    @property
    def outgoing(self) -> bool:
        """Whether it was on its way out of the node's network stack."""
        return self.direction == "out"


def handle_text(host: str, table: str, chain: str, handle: int) -> str:
    """Name a rule by its handle: what stands in when no ruleset is at hand."""
    return f"handle {handle} of {table} {chain} on {host}"


def hook_by_name(host: str, table: str, chain: str) -> str | None:  # noqa: ARG001 - a Lookups signature
    """Guess a base chain's hook from its name (`POSTROUTING`, `nat-POSTROUTING`), or None."""
    return next((hook for hook in HOOKS if chain.lower().split("-")[-1] == hook), None)


def _no_interface(host: str, index: int) -> str | None:  # noqa: ARG001 - a Lookups signature
    return None


def _no_next_hop(host: str, packet: Packet, interface: str) -> str | None:  # noqa: ARG001 - likewise
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookups:
    """How to put names to numbers; every table is given as "FAMILY NAME", like "ip nat".

    Attributes:
        rule_text: (host, table, chain, handle) → the rule's text.
        hook_of: (host, table, base chain) → its hook in lower case, or None if unknown.
        interface: (host, index) → the interface's name, or None if unknown.
        next_hop: (host, packet, outgoing interface) → "192.168.33.1", "on link", or None.
        hidden_tables: Tables that are there for the tracing only and are not to be told.
    """

    rule_text: Callable[[str, str, str, int], str] = handle_text
    hook_of: Callable[[str, str, str], str | None] = hook_by_name
    interface: Callable[[str, int], str | None] = _no_interface
    next_hop: Callable[[str, Packet, str], str | None] = _no_next_hop
    hidden_tables: frozenset[str] = field(default_factory=frozenset)

"""Conntrack entries as values: what the kernel remembers about each connection.

An entry has two tuples. The *original* one is the first packet as its sender wrote it, the
*reply* one is the answer as the kernel expects it. Without NAT the second is the first turned
round; whatever differs was rewritten, which is how `snat` and `dnat` here are derived.

`natlab.model.conntrack_read` makes entries from text and from the values of netlink messages.
Source: linux nf_conntrack_tuple.h and uapi nf_conntrack_common.h (status bits).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from natlab.errors import UsageError
from natlab.model.rewrite import Rewrite, Side

STATUS_BITS: Final = {
    "seen_reply": 1 << 1,
    "assured": 1 << 2,
    "src_nat": 1 << 4,
    "dst_nat": 1 << 5,
    "offload": 1 << 14,
    "hw_offload": 1 << 15,
}
"""The bits of the kernel's `enum ip_conntrack_status` that a person sees."""

_MAX_WORD: Final = 65535


@dataclass(frozen=True, slots=True)
class Tuple:
    """One direction of a connection as conntrack keys it.

    Attributes:
        src: Source address as text.
        dst: Destination address.
        sport: Source port, 0 to 65535; None for a protocol without ports.
        dport: Destination port.
        proto: "tcp", "udp", "icmp", "icmpv6", … or "unknown".
        icmp_type: ICMP type, 0 to 255.
        icmp_code: ICMP code, 0 to 255.
        icmp_id: ICMP echo identifier, 0 to 65535.
    """

    src: str
    dst: str
    sport: int | None
    dport: int | None
    proto: str
    icmp_type: int | None = None
    icmp_code: int | None = None
    icmp_id: int | None = None

    def __post_init__(self) -> None:
        for address in (self.src, self.dst):
            _checked_address(address)
        for number in (self.sport, self.dport, self.icmp_id):
            if number is not None and not 0 <= number <= _MAX_WORD:
                raise UsageError(f"{number} in a conntrack tuple is not between 0 and {_MAX_WORD}")

    @property
    def source(self) -> Side:
        """Where packets of this direction come from."""
        return Side(self.src, self.sport)

    @property
    def destination(self) -> Side:
        """Where packets of this direction go."""
        return Side(self.dst, self.dport)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConntrackEntry:
    """One connection in the kernel's table.

    Equivalent to: one line of `conntrack -L`.

    Attributes:
        original: The first packet's tuple.
        reply: The tuple that an answer will have.
        proto: Protocol name, as in the tuples.
        number: Protocol number, 0 to 255.
        state: TCP (SCTP, DCCP) state; None for others.
        status: Those of `STATUS_BITS` that are set, by name.
        timeout: Seconds until the entry goes; None for an offloaded one.
        packets: Packets (original, reply), if `net.netfilter.nf_conntrack_acct` is on.
        bytes: Bytes (original, reply), likewise.
        mark: The connection's mark; None where the kernel has no marks.
        zone: Conntrack zone, None for zone 0.
        use: Reference count of the entry.
    """

    original: Tuple
    reply: Tuple
    proto: str
    number: int
    state: str | None = None
    status: frozenset[str] = field(default_factory=frozenset)
    timeout: int | None = None
    packets: tuple[int, int] | None = None
    bytes: tuple[int, int] | None = None
    mark: int | None = None
    zone: int | None = None
    use: int | None = None

    def __post_init__(self) -> None:
        unknown = sorted(self.status - STATUS_BITS.keys())
        if unknown:
            raise UsageError(f"conntrack status {unknown[0]!r}: use {', '.join(STATUS_BITS)}")

    @property
    def snat(self) -> Rewrite | None:
        """What the source was rewritten to (SNAT, masquerade); None if it was kept."""
        return _rewrite("source", self.original.source, self.reply.destination)

    @property
    def dnat(self) -> Rewrite | None:
        """What the destination was rewritten to (DNAT, redirect); None if it was kept."""
        return _rewrite("destination", self.original.destination, self.reply.source)

    def matches(
        self,
        *,
        src: str | None = None,
        dst: str | None = None,
        sport: int | None = None,
        dport: int | None = None,
        proto: str | None = None,
        state: str | None = None,
        reply_src: str | None = None,
        reply_dst: str | None = None,
    ) -> bool:
        """Whether the entry has every value that is given.

        Addresses and ports are those of the original direction unless named `reply_…`.
        Equivalent to: `conntrack -L -s SRC -d DST --sport N --dport N -p PROTO -r … -q …`.
        """
        pairs = (
            (src, self.original.src),
            (dst, self.original.dst),
            (sport, self.original.sport),
            (dport, self.original.dport),
            (proto, self.proto),
            (state, self.state),
            (reply_src, self.reply.src),
            (reply_dst, self.reply.dst),
        )
        return all(wanted is None or wanted == found for wanted, found in pairs)

    def __str__(self) -> str:
        tail = [
            self._confirmed_word,
            _named("mark", self.mark),
            _named("zone", self.zone),
            _named("use", self.use),
        ]
        words = [
            f"{self.proto:<8} {self.number}",
            *(str(word) for word in (self.timeout, self.state) if word is not None),
            *_tuple_words(self.original),
            *self._counter_words(0),
            "" if "seen_reply" in self.status else "[UNREPLIED]",
            *_tuple_words(self.reply),
            *self._counter_words(1),
            *tail,
        ]
        return " ".join(word for word in words if word)

    @property
    def _confirmed_word(self) -> str:
        found = (name for name in ("hw_offload", "offload", "assured") if name in self.status)
        return f"[{name.upper()}]" if (name := next(found, "")) else ""

    def _counter_words(self, way: int) -> list[str]:
        if self.packets is None or self.bytes is None:
            return []
        return [f"packets={self.packets[way]}", f"bytes={self.bytes[way]}"]


def _named(name: str, value: int | None) -> str:
    return "" if value is None else f"{name}={value}"


def _tuple_words(side: Tuple) -> list[str]:
    words = [f"src={side.src}", f"dst={side.dst}"]
    numbers = {
        "sport": side.sport,
        "dport": side.dport,
        "type": side.icmp_type,
        "code": side.icmp_code,
        "id": side.icmp_id,
    }
    return words + [f"{name}={value}" for name, value in numbers.items() if value is not None]


def _rewrite(what: str, before: Side, after: Side) -> Rewrite | None:
    return None if before == after else Rewrite(what, before, after)


def _checked_address(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise UsageError(f"{text!r} in a conntrack tuple is not an IP address") from None

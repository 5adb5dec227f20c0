"""One packet as a value, and the one line that `tcpdump -n` would print for it.

`natlab.model.dissect` makes packets out of captured bytes, `natlab.model.craft` makes bytes
out of intentions; this module only says what a packet *is*. It is flat on purpose: a lesson
asks `packet.src` and `packet.dport`, never for the third header of a stack of layers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from natlab.errors import UsageError

KINDS: Final = frozenset({"arp", "tcp", "udp", "icmp", "icmp6", "ip", "fragment", "unknown"})
"""What a packet can be: `ip` is a transport that is not taken apart, `fragment` has no ports."""

ECHO_REQUEST: Final = {"icmp": 8, "icmp6": 128}
ECHO_REPLY: Final = {"icmp": 0, "icmp6": 129}
UNREACHABLE: Final = {"icmp": 3, "icmp6": 1}
TIME_EXCEEDED: Final = {"icmp": 11, "icmp6": 3}

IPV6: Final = 6
_MAX_PORT: Final = 65535
_UNREACHABLE_WORDS: Final = {
    0: "net {dst} unreachable",
    1: "host {dst} unreachable",
    2: "{dst} protocol unreachable",
    3: "{dst} {proto} port {dport} unreachable",
    4: "{dst} unreachable - need to frag",
    9: "net {dst} unreachable - admin prohibited",
    10: "host {dst} unreachable - admin prohibited",
    13: "host {dst} unreachable - admin prohibited filter",
}
_NEIGHBOUR_WORDS: Final = {
    135: "neighbor solicitation, who has {target}",
    136: "neighbor advertisement, tgt is {target}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """What one captured packet says, header by header; what is absent is None.

    Attributes:
        kind: One of `KINDS`; "unknown" is a frame that could not be read as anything.
        ether_src: Sender's MAC, lower case with colons; None without a link header.
        ether_dst: Receiver's MAC.
        ethertype: The protocol of the frame after any VLAN tags, 0 to 65535.
        vlan: The outermost VLAN id, 0 to 4095.
        version: 4 or 6; None for ARP and unknown frames.
        src: Source address as text (ARP: the sender's).
        dst: Destination address (ARP: the one asked for).
        sport: Source port, TCP and UDP only, 0 to 65535.
        dport: Destination port.
        proto: "tcp", "udp", "icmp", "icmp6", "arp" or the protocol number as text.
        ttl: Time to live, or IPv6 hop limit: a router takes one off, a bridge does not.
        ident: IPv4 identification; 0 when the sender did not set one. Kept by NAT.
        df: The don't-fragment bit.
        more_fragments: Another fragment of the same datagram follows.
        fragment_offset: Place of this fragment in its datagram, in bytes.
        flags: TCP flags as tcpdump writes them: "S", "S.", "P.", "R.", or "" for none.
        seq: TCP sequence number or ICMP echo sequence. Kept by NAT.
        ack: TCP acknowledgement number when the ACK flag is set.
        window: TCP window, unscaled.
        mss: TCP maximum segment size option.
        timestamps: TCP timestamps option, (value, echo reply).
        icmp_type: ICMP type.
        icmp_code: ICMP code.
        icmp_id: ICMP echo identifier, which NAT may change.
        quoted: The packet that an ICMP error is about.
        target: IPv6 neighbour discovery's target address.
        arp_op: 1 request, 2 reply.
        arp_sender_mac: MAC of the ARP sender.
        length: Bytes of transport payload as the headers declare them (ICMP: with its header).
        payload: The transport payload as far as it was captured.
    """

    kind: str
    ether_src: str | None = None
    ether_dst: str | None = None
    ethertype: int | None = None
    vlan: int | None = None
    version: int | None = None
    src: str | None = None
    dst: str | None = None
    sport: int | None = None
    dport: int | None = None
    proto: str | None = None
    ttl: int | None = None
    ident: int = 0
    df: bool = False
    more_fragments: bool = False
    fragment_offset: int = 0
    flags: str = ""
    seq: int | None = None
    ack: int | None = None
    window: int | None = None
    mss: int | None = None
    timestamps: tuple[int, int] | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    icmp_id: int | None = None
    quoted: Packet | None = None
    target: str | None = None
    arp_op: int | None = None
    arp_sender_mac: str | None = None
    length: int = 0
    payload: bytes = b""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"packet kind {self.kind!r} is not one of {', '.join(sorted(KINDS))}")
        for port in (self.sport, self.dport):
            if port is not None and not 0 <= port <= _MAX_PORT:
                raise UsageError(f"port {port} of a packet is not between 0 and {_MAX_PORT}")

    @property
    def is_echo_request(self) -> bool:
        """Whether this is a ping."""
        return self.icmp_type is not None and ECHO_REQUEST.get(self.kind) == self.icmp_type

    @property
    def is_echo_reply(self) -> bool:
        """Whether this answers a ping."""
        return self.icmp_type is not None and ECHO_REPLY.get(self.kind) == self.icmp_type

    @property
    def is_error(self) -> bool:
        """Whether this is an ICMP unreachable or time exceeded, about the packet in `quoted`."""
        types = (UNREACHABLE.get(self.kind), TIME_EXCEEDED.get(self.kind))
        return self.icmp_type is not None and self.icmp_type in types

    @property
    def source(self) -> str:
        """Source as tcpdump writes it: `172.17.0.2.40000`, or the address alone."""
        return _dotted(self.src, self.sport)

    @property
    def destination(self) -> str:
        """Destination as tcpdump writes it."""
        return _dotted(self.dst, self.dport)

    def replace(self, **changes: object) -> Packet:
        """Return a copy with some fields changed, checked again."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def summary(self) -> str:
        """Return the packet in one line, for example `IP 10.0.0.1.5 > 10.0.0.2.80: Flags [S], …`.

        Equivalent to: `tcpdump -n -t`, without TCP sequence numbers, window and options.
        """
        if self.kind == "arp":
            return f"ARP, {_arp_words(self)}, length 28"
        if self.kind == "unknown":
            return f"unknown frame, ethertype {_hex(self.ethertype)}, length {self.length}"
        name = "IP6" if self.version == IPV6 else "IP"
        return f"{name} {self.source} > {self.destination}: {_transport_words(self)}"


def _dotted(address: str | None, port: int | None) -> str:
    return f"{address}" if port is None else f"{address}.{port}"


def _hex(ethertype: int | None) -> str:
    return "none" if ethertype is None else f"0x{ethertype:04x}"


def _arp_words(packet: Packet) -> str:
    if packet.arp_op == 1:
        return f"Request who-has {packet.dst} tell {packet.src}"
    return f"Reply {packet.src} is-at {packet.arp_sender_mac}"


def _transport_words(packet: Packet) -> str:
    if packet.kind == "tcp":
        return f"Flags [{packet.flags or 'none'}], length {packet.length}"
    if packet.kind == "udp":
        return f"UDP, length {packet.length}"
    if packet.kind in ECHO_REQUEST:
        return f"{_icmp_words(packet)}, length {packet.length}"
    if packet.kind == "fragment":
        return f"{packet.proto}"
    return f"ip-proto-{packet.proto}, length {packet.length}"


def _icmp_words(packet: Packet) -> str:
    prefix, comma = ("ICMP", "") if packet.kind == "icmp" else ("ICMP6", ",")
    if packet.is_echo_request or packet.is_echo_reply:
        way = "request" if packet.is_echo_request else "reply"
        return f"{prefix}{comma} echo {way}, id {packet.icmp_id}, seq {packet.seq}"
    if packet.target and packet.icmp_type in _NEIGHBOUR_WORDS:
        return f"{prefix}{comma} {_NEIGHBOUR_WORDS[packet.icmp_type].format(target=packet.target)}"
    if packet.is_error:
        return f"{prefix}{comma} {_error_words(packet)}"
    return f"{prefix}{comma} type-{packet.icmp_type} code-{packet.icmp_code}"


def _error_words(packet: Packet) -> str:
    if packet.icmp_type == TIME_EXCEEDED[packet.kind]:
        return "time exceeded in-transit"
    about = packet.quoted
    if about is None or about.dst is None:
        return f"destination unreachable, code {packet.icmp_code}"
    if packet.kind == "icmp6":
        return f"destination unreachable, code {packet.icmp_code}, {about.destination}"
    words = _UNREACHABLE_WORDS.get(packet.icmp_code or 0, "host {dst} unreachable")
    return words.format(dst=about.dst, proto=about.proto, dport=about.dport)

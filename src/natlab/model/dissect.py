"""Bytes into packets: Ethernet, ARP, IPv4, IPv6, TCP, UDP, ICMP.

Reading is total: whatever the bytes, the answer is a `Packet`, at worst one of kind
"unknown". A capture sees what is on the wire, and what is on the wire may be anything.
Truncated headers (an ICMP error quotes eight bytes of TCP, a trace event shows twenty)
yield as many fields as they hold.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from natlab.model.packet import UNREACHABLE, Packet

ETH_P_IP: Final = 0x0800
ETH_P_ARP: Final = 0x0806
ETH_P_IPV6: Final = 0x86DD
IPV4: Final = 4
IPV6: Final = 6
_VLAN_TAGS: Final = frozenset({0x8100, 0x88A8})
_ETHER: Final = 14
_IPV4: Final = 20
_IPV6: Final = 40
_ARP: Final = 28
_PROTOCOLS: Final = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
_EXTENSIONS: Final = frozenset({0, 43, 60, 135})
_FRAGMENT: Final = 44
_MAX_EXTENSIONS: Final = 16
_MAX_QUOTES: Final = 2
_IPV4_ARP: Final = (1, ETH_P_IP, 6, 4)
_TCP_FLAGS: Final = (
    (0x01, "F"),
    (0x02, "S"),
    (0x04, "R"),
    (0x08, "P"),
    (0x10, "."),
    (0x20, "U"),
    (0x40, "E"),
    (0x80, "W"),
)
_ACK: Final = 0x10
_NEIGHBOUR_TYPES: Final = frozenset({135, 136})

Fields = dict[str, Any]


def ethernet(frame: bytes) -> Packet:
    """Read one Ethernet frame, with or without VLAN tags, as AF_PACKET hands it out.

    Args:
        frame: The frame from its destination MAC on; padding at the end is ignored.

    Returns:
        The packet; kind "unknown" if the frame carries neither ARP nor IP, or is too short.
    """
    if len(frame) < _ETHER:
        return Packet(kind="unknown", length=len(frame))
    link: Fields = {"ether_dst": _mac(frame[:6]), "ether_src": _mac(frame[6:12])}
    (ethertype,), offset = struct.unpack_from("!H", frame, 12), _ETHER
    while ethertype in _VLAN_TAGS and len(frame) >= offset + 4:
        tag, ethertype = struct.unpack_from("!HH", frame, offset)
        link.setdefault("vlan", tag & 0xFFF)
        offset += 4
    return _network(ethertype, frame[offset:]).replace(ethertype=ethertype, **link)


def ip(data: bytes) -> Packet:
    """Read a packet that begins with its IPv4 or IPv6 header, as a tun device gives it."""
    return _ip(data, quotes=0)


def headers(network: bytes, transport: bytes, link: bytes = b"") -> Packet:
    """Read the separate, cut-off headers of an nftables trace event.

    Args:
        network: Up to 40 bytes from the IP header on.
        transport: Up to 20 bytes from the transport header on.
        link: The link header; empty where the packet has none.

    Returns:
        The packet; `payload` holds only what fits in `transport` (12 bytes of UDP).

    Source: nf_tables_trace.c, NFT_TRACETYPE_NETWORK_HSIZE and NFT_TRACETYPE_TRANSPORT_HSIZE.
    """
    version = network[0] >> 4 if network else 0
    if version == IPV4 and len(network) >= _IPV4:
        found = _ipv4(network, transport, quotes=0)
    elif version == IPV6 and len(network) >= _IPV6:
        found = _ipv6(network, transport, quotes=0)
    else:
        found = _arp(network)
    if len(link) < _ETHER:
        return found
    return found.replace(ether_dst=_mac(link[:6]), ether_src=_mac(link[6:12]))


def _network(ethertype: int, data: bytes) -> Packet:
    if ethertype == ETH_P_ARP:
        return _arp(data)
    if ethertype in (ETH_P_IP, ETH_P_IPV6):
        return _ip(data, quotes=0)
    return Packet(kind="unknown", length=len(data))


def _arp(data: bytes) -> Packet:
    if len(data) < _ARP or struct.unpack_from("!HHBB", data) != _IPV4_ARP:
        return Packet(kind="unknown", length=len(data))
    (operation,) = struct.unpack_from("!H", data, 6)
    return Packet(
        kind="arp",
        proto="arp",
        arp_op=operation,
        arp_sender_mac=_mac(data[8:14]),
        src=str(IPv4Address(data[14:18])),
        dst=str(IPv4Address(data[24:28])),
        length=_ARP,
    )


def _ip(data: bytes, *, quotes: int) -> Packet:
    version = data[0] >> 4 if data else 0
    if version == IPV4 and len(data) >= _IPV4:
        return _ipv4(data, None, quotes=quotes)
    if version == IPV6 and len(data) >= _IPV6:
        return _ipv6(data, None, quotes=quotes)
    return Packet(kind="unknown", length=len(data))


def _ipv4(data: bytes, transport: bytes | None, *, quotes: int) -> Packet:
    size, _tos, total, ident, fragment, ttl, protocol = struct.unpack_from("!BBHHHBB", data)
    header = (size & 0xF) * 4
    if header < _IPV4:
        return Packet(kind="unknown", length=len(data))
    body = data[header : total or None] if transport is None else transport
    fields: Fields = {
        "version": 4,
        "src": str(IPv4Address(data[12:16])),
        "dst": str(IPv4Address(data[16:20])),
        "ttl": ttl,
        "ident": ident,
        "df": bool(fragment & 0x4000),
        "more_fragments": bool(fragment & 0x2000),
        "fragment_offset": (fragment & 0x1FFF) * 8,
    }
    declared = max(0, total - header) if total else len(body)
    return _transport(protocol, body, declared, fields, quotes=quotes)


def _ipv6(data: bytes, transport: bytes | None, *, quotes: int) -> Packet:
    declared, protocol, hops = struct.unpack_from("!HBB", data, 4)
    fields: Fields = {
        "version": 6,
        "src": str(IPv6Address(data[8:24])),
        "dst": str(IPv6Address(data[24:40])),
        "ttl": hops,
    }
    protocol, offset, offset_in_datagram, more = _skip_extensions(protocol, data)
    fields |= {"fragment_offset": offset_in_datagram, "more_fragments": more}
    skipped = offset - _IPV6
    body = data[offset : _IPV6 + declared if declared else None] if transport is None else transport
    declared = max(0, declared - skipped) if declared else len(body)
    return _transport(protocol, body, declared, fields, quotes=quotes)


def _skip_extensions(protocol: int, data: bytes) -> tuple[int, int, int, bool]:
    """Return (transport protocol, its offset, offset in the datagram, more fragments follow)."""
    offset, place, more = _IPV6, 0, False
    for _ in range(_MAX_EXTENSIONS):
        if len(data) < offset + 8:
            break
        if protocol == _FRAGMENT:
            (word,) = struct.unpack_from("!H", data, offset + 2)
            place, more = word & 0xFFF8, bool(word & 1)
            protocol, offset = data[offset], offset + 8
        elif protocol in _EXTENSIONS:
            protocol, offset = data[offset], offset + (data[offset + 1] + 1) * 8
        else:
            break
    return protocol, offset, place, more


def _transport(protocol: int, body: bytes, declared: int, ip: Fields, *, quotes: int) -> Packet:
    name = _PROTOCOLS.get(protocol, str(protocol))
    if ip.get("fragment_offset"):
        return Packet(kind="fragment", proto=name, length=declared, payload=body, **ip)
    if name == "tcp":
        return Packet(kind="tcp", proto=name, **ip, **_tcp(body, declared))
    if name == "udp":
        return Packet(kind="udp", proto=name, **ip, **_udp(body, declared))
    if name in UNREACHABLE:
        return Packet(kind=name, proto=name, **ip, **_icmp(name, body, declared, quotes=quotes))
    return Packet(kind="ip", proto=name, length=declared, payload=body, **ip)


def _ports(body: bytes) -> Fields:
    if len(body) < 4:  # noqa: PLR2004 - two ports of two bytes
        return {}
    sport, dport = struct.unpack_from("!HH", body)
    return {"sport": sport, "dport": dport}


def _udp(body: bytes, declared: int) -> Fields:
    return {**_ports(body), "length": max(0, declared - 8), "payload": body[8:declared]}


def _tcp(body: bytes, declared: int) -> Fields:
    fields = _ports(body)
    if len(body) >= 8:  # noqa: PLR2004 - the part that an ICMP error always quotes
        fields["seq"] = struct.unpack_from("!I", body, 4)[0]
    if len(body) < 20:  # noqa: PLR2004 - the TCP header without options
        return fields
    ack, size, bits, window = struct.unpack_from("!IBBH", body, 8)
    header = max(20, (size >> 4) * 4)
    fields |= {
        "flags": "".join(letter for bit, letter in _TCP_FLAGS if bits & bit),
        "ack": ack if bits & _ACK else None,
        "window": window,
        "length": max(0, declared - header),
        "payload": body[header:declared],
    }
    return fields | _tcp_options(body[20:header])


def _tcp_options(options: bytes) -> Fields:
    fields: Fields = {}
    while options and options[0] != 0:
        if options[0] == 1:
            options = options[1:]
            continue
        size = options[1] if len(options) > 1 else 0
        if size < 2 or size > len(options):  # noqa: PLR2004 - kind and length themselves
            break
        if options[0] == 2 and size == 4:  # noqa: PLR2004 - RFC 9293, maximum segment size
            fields["mss"] = struct.unpack_from("!H", options, 2)[0]
        elif options[0] == 8 and size == 10:  # noqa: PLR2004 - RFC 7323, timestamps
            fields["timestamps"] = struct.unpack_from("!II", options, 2)
        options = options[size:]
    return fields


def _icmp(name: str, body: bytes, declared: int, *, quotes: int) -> Fields:
    fields: Fields = {"length": declared}
    if len(body) < 8:  # noqa: PLR2004 - the ICMP header
        return fields
    kind, code, _checksum, ident, seq = struct.unpack_from("!BBHHH", body)
    fields |= {"icmp_type": kind, "icmp_code": code, "payload": body[8:declared]}
    probe = Packet(kind=name, icmp_type=kind)
    if probe.is_echo_request or probe.is_echo_reply:
        fields |= {"icmp_id": ident, "seq": seq}
    elif probe.is_error and quotes < _MAX_QUOTES:
        fields["quoted"] = _ip(body[8:], quotes=quotes + 1)
    elif name == "icmp6" and kind in _NEIGHBOUR_TYPES and len(body) >= 24:  # noqa: PLR2004
        fields["target"] = str(IPv6Address(body[8:24]))
    return fields


def _mac(raw: bytes) -> str:
    return raw.hex(":")

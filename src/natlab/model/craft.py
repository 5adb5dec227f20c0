"""Intentions into bytes: packets with the right checksums, for raw sockets and for tests.

Source of the formats: RFC 791 (IPv4), 9293 (TCP), 768 (UDP), 792 (ICMP), 1071 (checksum).
"""

from __future__ import annotations

import struct
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from natlab.errors import UsageError

_NUMBERS: Final = {"icmp": 1, "tcp": 6, "udp": 17}
_MAX_BYTE: Final = 0xFF
_MAX_WORD: Final = 0xFFFF
_MAX_LONG: Final = 0xFFFFFFFF
_DF: Final = 0x4000
_SYN: Final = 0x02


def checksum(data: bytes) -> int:
    """Return the Internet checksum of some bytes; 0 for data that holds its own checksum."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > _MAX_WORD:
        total = (total >> 16) + (total & _MAX_WORD)
    return ~total & _MAX_WORD


def ipv4(
    src: str,
    dst: str,
    proto: int | str,
    payload: bytes,
    *,
    ttl: int = 64,
    df: bool = False,
    ident: int = 0,
) -> bytes:
    """Put an IPv4 header before a transport segment.

    Args:
        src: Source address.
        dst: Destination address.
        proto: Protocol number, 0 to 255, or "tcp", "udp", "icmp".
        payload: The segment, at most 65515 bytes.
        ttl: Time to live, 0 to 255.
        df: Set the don't-fragment bit.
        ident: Identification, 0 to 65535.

    Raises:
        UsageError: An address is not IPv4, or a number is out of its range.
    """
    number = _NUMBERS.get(proto, -1) if isinstance(proto, str) else proto
    _in_range("protocol", number, _MAX_BYTE)
    _in_range("ttl", ttl, _MAX_BYTE)
    _in_range("ident", ident, _MAX_WORD)
    total = _in_range("IPv4 packet length", 20 + len(payload), _MAX_WORD)
    head = struct.pack("!BBHHHBB", 0x45, 0, total, ident, _DF if df else 0, ttl, number)
    ends = _address(src) + _address(dst)
    return head + struct.pack("!H", checksum(head + b"\0\0" + ends)) + ends + payload


def tcp_syn(
    src: str,
    dst: str,
    sport: int,
    dport: int,
    *,
    seq: int = 0,
    mss: int | None = 1460,
    timestamps: int | None = None,
    window: int = 64240,
    ttl: int = 64,
    ident: int = 0,
) -> bytes:
    """Return an IPv4 packet that opens a TCP connection.

    Args:
        src: Source address.
        dst: Destination address.
        sport: Source port, 0 to 65535.
        dport: Destination port.
        seq: Initial sequence number, 32 bits.
        mss: Maximum segment size option, None to leave it out.
        timestamps: Value of the timestamps option; None leaves the option out, as a client
            does under `net.ipv4.tcp_timestamps=0`.
        window: Unscaled window.
        ttl: Time to live.
        ident: IPv4 identification.

    Raises:
        UsageError: An address is not IPv4, or a number is out of its range.
    """
    options = b"" if mss is None else struct.pack("!BBH", 2, 4, _in_range("mss", mss, _MAX_WORD))
    if timestamps is not None:
        value = _in_range("timestamp", timestamps, _MAX_LONG)
        options += struct.pack("!BBBBII", 1, 1, 8, 10, value, 0)
    head = _ports(sport, dport) + struct.pack("!II", _in_range("seq", seq, _MAX_LONG), 0)
    size = (20 + len(options)) // 4 << 4
    head += struct.pack("!BBH", size, _SYN, _in_range("window", window, _MAX_WORD))
    summed = _with_checksum(src, dst, "tcp", head, b"\0\0" + options)
    return ipv4(src, dst, "tcp", summed, ttl=ttl, df=True, ident=ident)


def udp(
    src: str,
    dst: str,
    sport: int,
    dport: int,
    payload: bytes = b"",
    *,
    ttl: int = 64,
    ident: int = 0,
) -> bytes:
    """Return an IPv4 packet with a UDP datagram.

    Raises:
        UsageError: An address is not IPv4, a port is not in 0 to 65535, or it is too long.
    """
    size = _in_range("UDP datagram length", 8 + len(payload), _MAX_WORD)
    head = _ports(sport, dport) + struct.pack("!H", size)
    summed = _with_checksum(src, dst, "udp", head, payload)
    return ipv4(src, dst, "udp", summed, ttl=ttl, ident=ident)


def icmp_echo(
    src: str,
    dst: str,
    echo_id: int,
    seq: int,
    payload: bytes = b"",
    *,
    reply: bool = False,
    ttl: int = 64,
    ident: int = 0,
) -> bytes:
    """Return an IPv4 packet with an ICMP echo request, or reply.

    Equivalent to: `ping -c 1 -e ID DST`.

    Raises:
        UsageError: An address is not IPv4, or a number is out of its range.
    """
    _in_range("echo id", echo_id, _MAX_WORD)
    _in_range("echo seq", seq, _MAX_WORD)
    head = struct.pack("!BB", 0 if reply else 8, 0)
    tail = struct.pack("!HH", echo_id, seq) + payload
    message = head + struct.pack("!H", checksum(head + b"\0\0" + tail)) + tail
    return ipv4(src, dst, "icmp", message, ttl=ttl, ident=ident)


def _with_checksum(src: str, dst: str, proto: str, head: bytes, tail: bytes) -> bytes:
    """Put the checksum between head and tail, computed over them and the pseudo header."""
    size = len(head) + 2 + len(tail)
    pseudo = _address(src) + _address(dst) + struct.pack("!BBH", 0, _NUMBERS[proto], size)
    value = checksum(pseudo + head + b"\0\0" + tail)
    if proto == "udp" and value == 0:
        value = _MAX_WORD  # RFC 768: zero on the wire means "no checksum"
    return head + struct.pack("!H", value) + tail


def _ports(sport: int, dport: int) -> bytes:
    _in_range("source port", sport, _MAX_WORD)
    return struct.pack("!HH", sport, _in_range("destination port", dport, _MAX_WORD))


def _address(text: str) -> bytes:
    try:
        return IPv4Address(text).packed
    except AddressValueError:
        raise UsageError(f"{text!r} is not an IPv4 address; write it like 172.17.0.2") from None


def _in_range(what: str, value: int, highest: int) -> int:
    if not 0 <= value <= highest:
        raise UsageError(f"{what} {value} is not between 0 and {highest}")
    return value

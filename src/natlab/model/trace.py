"""nftables trace events: which rule a packet met, decoded from the kernel's own messages.

A packet that a rule marked with `meta nftrace set 1` (or iptables' `-j TRACE`) makes the
kernel tell every listener of the multicast group `NFNLGRP_NFTRACE` about each rule that
matched, with its handle and verdict, and about each policy. iptables-nft's rules are
nf_tables rules, so they show up like any other.

Only the first event of a packet in a base chain carries the packet itself; `group` gives the
ones that follow it the same packet to belong to.

Equivalent to: `nft monitor trace`.
Source: linux nf_tables_trace.c and uapi nf_tables.h (enum nft_trace_attributes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from natlab.errors import UsageError
from natlab.model import dissect
from natlab.model.packet import Packet

NFNLGRP_NFTRACE: Final = 9
"""The multicast group of an AF_NETLINK, NETLINK_NETFILTER socket that carries traces."""
NFT_MSG_TRACE: Final = (10 << 8) | 17
"""Netlink message type: subsystem NFNL_SUBSYS_NFTABLES, message NFT_MSG_TRACE."""

FAMILIES: Final = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
KINDS: Final = {1: "policy", 2: "return", 3: "rule"}
_VERDICTS: Final = {
    0: "drop",
    1: "accept",
    2: "stolen",
    3: "queue",
    4: "repeat",
    -1: "continue",
    -2: "break",
    -3: "jump",
    -4: "goto",
    -5: "return",
}
_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _ID = range(1, 7)
_LINK, _NETWORK, _TRANSPORT, _IIF, _IIFTYPE, _OIF, _OIFTYPE, _MARK, _NFPROTO, _POLICY = range(7, 17)
_CT_ID, _CT_DIRECTION, _CT_STATUS, _CT_STATE = range(18, 22)
_VERDICT_CODE, _VERDICT_CHAIN = 1, 2
_CT_STATES: Final = {
    0x01: "invalid",
    0x02: "established",
    0x04: "related",
    0x08: "new",
    0x40: "untracked",
}
_TYPE_MASK: Final = 0x3FFF
_NLMSG_HEADER: Final = struct.Struct("=IHHII")
_NLA_HEADER: Final = struct.Struct("=HH")
_NFGENMSG: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceEvent:
    """One message of the trace.

    Attributes:
        id: The kernel's number for this packet on this host; the numbers of later packets
            may repeat it.
        family: Family of the table: "ip", "ip6", "inet", "arp", "bridge" or "netdev".
        table: The table's name.
        chain: The chain's name.
        kind: "rule" (a rule matched), "return" (a chain ended) or "policy".
        rule_handle: The rule's handle; None for a policy and for the end of a chain.
        verdict: "accept", "drop", "continue", "jump CHAIN", "goto CHAIN", "return", "queue",
            "stolen", "repeat" or "break".
        iif: Index of the incoming interface; only beside `packet`, and only if there is one.
        oif: Index of the outgoing interface, likewise.
        packet: The packet as it entered the base chain, its payload cut short.
        mark: The packet's mark; None if zero.
        ct_id: Identity of its conntrack entry (kernels since 6.16).
        ct_state: "new", "established", "related", "invalid" or "untracked", likewise.
        ct_reply: Whether conntrack sees a packet of the reply direction, likewise.
    """

    id: int
    family: str
    table: str
    chain: str
    kind: str
    verdict: str
    rule_handle: int | None = None
    iif: int | None = None
    oif: int | None = None
    packet: Packet | None = None
    mark: int | None = None
    ct_id: int | None = None
    ct_state: str | None = None
    ct_reply: bool | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS.values():
            raise UsageError(f"trace kind {self.kind!r}: use {', '.join(KINDS.values())}")

    def __str__(self) -> str:
        where = f"trace id {self.id:08x} {self.family} {self.table} {self.chain}"
        rule = "" if self.rule_handle is None else f" handle {self.rule_handle}"
        return f"{where} {self.kind}{rule} (verdict {self.verdict})"


def decode(data: bytes) -> tuple[TraceEvent, ...]:
    """Read what one `recv` on the trace group's socket returned.

    Messages of other kinds, and what cannot be read, are passed over: it never raises.

    Args:
        data: One or more netlink messages, in the byte order of this machine.
    """
    events = (_event(body) for kind, body in _messages(data) if kind == NFT_MSG_TRACE)
    return tuple(event for event in events if event is not None)


def group(events: Iterable[TraceEvent]) -> tuple[tuple[TraceEvent, ...], ...]:
    """Sort one host's events into visits of one packet to one base chain.

    Each visit begins with the event that carries the packet. Events whose beginning was
    missed are left out. Visits come in the order in which they began.
    """
    visits: list[list[TraceEvent]] = []
    current: dict[int, list[TraceEvent]] = {}
    for event in events:
        if event.packet is not None:
            current[event.id] = []
            visits.append(current[event.id])
        if event.id in current:
            current[event.id].append(event)
    return tuple(tuple(visit) for visit in visits)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _NLMSG_HEADER.size:
        length, kind, *_rest = _NLMSG_HEADER.unpack_from(data)
        if length < _NLMSG_HEADER.size:
            return
        yield kind, data[_NLMSG_HEADER.size : length]
        data = data[_aligned(length) :]


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= _NLA_HEADER.size:
        length, kind = _NLA_HEADER.unpack_from(data)
        if not _NLA_HEADER.size <= length <= len(data):
            break
        found[kind & _TYPE_MASK] = data[_NLA_HEADER.size : length]
        data = data[_aligned(length) :]
    return found


def _event(body: bytes) -> TraceEvent | None:
    attrs = _attributes(body[_NFGENMSG:])
    kind = KINDS.get(_number(attrs, _TYPE) or 0)
    trace_id = _number(attrs, _ID)
    if kind is None or trace_id is None:
        return None
    direction = _number(attrs, _CT_DIRECTION)
    return TraceEvent(
        id=trace_id,
        family=FAMILIES.get(body[0], str(body[0])),
        table=_text(attrs.get(_TABLE, b"")),
        chain=_text(attrs.get(_CHAIN, b"")),
        kind=kind,
        rule_handle=_number(attrs, _HANDLE),
        verdict=_verdict(attrs),
        iif=_number(attrs, _IIF),
        oif=_number(attrs, _OIF),
        packet=_packet(attrs),
        mark=_number(attrs, _MARK),
        ct_id=_number(attrs, _CT_ID),
        ct_state=_CT_STATES.get(_number(attrs, _CT_STATE) or 0),
        ct_reply=None if direction is None else bool(direction),
    )


def _verdict(attrs: dict[int, bytes]) -> str:
    if _POLICY in attrs:
        return _verdict_word(attrs[_POLICY])
    inner = _attributes(attrs.get(_VERDICT, b""))
    word = _verdict_word(inner.get(_VERDICT_CODE, b""))
    return f"{word} {_text(inner[_VERDICT_CHAIN])}" if _VERDICT_CHAIN in inner else word


def _verdict_word(raw: bytes) -> str:
    code = int.from_bytes(raw, "big", signed=True)
    if code >= 0:
        code &= 0xFFFF  # the upper half is a queue's number or a drop's errno
    return _VERDICTS.get(code, f"verdict {code}")


def _packet(attrs: dict[int, bytes]) -> Packet | None:
    if _NETWORK not in attrs:
        return None
    return dissect.headers(attrs[_NETWORK], attrs.get(_TRANSPORT, b""), attrs.get(_LINK, b""))


def _number(attrs: dict[int, bytes], kind: int) -> int | None:
    return int.from_bytes(attrs[kind], "big") if kind in attrs else None


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode(errors="replace")


def _aligned(length: int) -> int:
    return (length + 3) & ~3

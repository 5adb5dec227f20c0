"""Docker's embedded name server as decisions: what a query asks, and what is answered to it.

Everything here follows moby's `libnetwork/resolver.go`. A question about a container is answered
from what its networks know; any other is passed on word for word, so that what this module does
not understand (EDNS options, new record types) still arrives.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any, Final, Protocol

from dnslib import AAAA, PTR, QTYPE, RCODE, RR, A, DNSBuffer, DNSHeader, DNSQuestion, DNSRecord

from natlab.model.addresses import Address

TTL: Final = 600
"""Seconds for which its own answers hold (moby: respTTL)."""

_SMALLEST: Final = 512  # a datagram's room without EDNS, RFC 1035
_LARGEST: Final = 65535
_RECORD: Final = 16  # bytes of an A record whose name is a pointer
_OPT: Final = 41
_HEADER: Final = 12
_REVERSE: Final = ".in-addr.arpa"
_REVERSE6: Final = ".ip6.arpa"
_DIGITS6: Final = re.compile(r"[0-9a-f](\.[0-9a-f]){31}")
_VERSIONS: Final = {"A": 4, "AAAA": 6}


class View(Protocol):
    """What one container may know of the others. It is asked anew for each query."""

    def addresses(self, name: str) -> Sequence[Address]:
        """The addresses of both families behind a name in lower case without a final dot.

        None: it is unknown.

        Names, aliases, short ids, and each of them with a network's name behind it: see
        `readings`.
        """

    def name_of(self, address: Address) -> str | None:
        """The name behind an address with its network's, as `web.net1`; None: unknown."""


class BadQueryError(ValueError):
    """A packet that is not a query one can answer; `reply` is what its sender gets, if anything."""

    def __init__(self, why: str, reply: bytes | None = None) -> None:
        super().__init__(why)
        self.reply = reply


@dataclass(frozen=True)
class Query:
    """A query that was understood as far as it has to be."""

    packet: bytes = field(repr=False)
    name: str
    """In lower case, without the final dot; empty for the root and for what is not ASCII."""
    kind: str
    """`A`, `PTR`, …, or the number of a type without a name."""
    room: int
    """Bytes that its sender takes in one datagram."""
    header: Any = field(repr=False, compare=False)
    question: Any = field(repr=False, compare=False)


def read_query(packet: bytes) -> Query:
    """Read a packet that a program sent to its name server.

    Raises:
        BadQueryError: it is no query. As Docker's DNS library does, an answer or less than a
            header is dropped, an unknown operation is NOTIMP, anything else FORMERR (miekg/dns,
            acceptfunc.go and server.go).
    """
    if len(packet) < _HEADER:
        raise BadQueryError("shorter than a header")
    buffer = DNSBuffer(packet)
    header = DNSHeader.parse(buffer)
    if header.qr:
        raise BadQueryError("an answer, not a query")
    if header.opcode:
        raise BadQueryError("not an ordinary query", _without_question(header, RCODE.NOTIMP))
    if header.q != 1 or header.a > 1 or header.auth > 1 or header.ar > 2:  # noqa: PLR2004 - as there
        raise BadQueryError("odd numbers of records", _without_question(header, RCODE.FORMERR))
    try:
        question = DNSQuestion.parse(buffer)
        _pack(header, question)  # a label may be longer than can be written again
    except Exception as error:
        raise BadQueryError(
            "a broken question", _without_question(header, RCODE.FORMERR)
        ) from error
    kind = QTYPE.get(question.qtype)
    return Query(packet, _text(question.qname.label), kind, _room(buffer, header), header, question)


def local_answer(query: Query, view: View, *, tcp: bool = False) -> bytes | None:
    """The answer that needs nobody else; None: the world's name servers have to be asked.

    Where a known name has no address of the family that is asked for, or no MX record, it says so
    (NOERROR without an answer). Several addresses come in random order. What does not fit is left
    out and marked as truncated.
    """
    records = _records(query, view)
    if records is None:
        return None
    room = _LARGEST if tcp else query.room
    packet = _pack(query.header, query.question, records)
    while len(packet) > room and records:
        records = records[: -max(1, (len(packet) - room) // _RECORD)]
        packet = _pack(query.header, query.question, records, tc=1)
    return packet


def empty_answer(query: Query) -> bytes:
    """NOERROR without an answer: the program goes on with the next of its search domains."""
    return _pack(query.header, query.question)


def failure(query: Query, rcode: str = "SERVFAIL") -> bytes:
    """The answer that there is none: `SERVFAIL` or `REFUSED`."""
    return _pack(query.header, query.question, ra=0, rcode=getattr(RCODE, rcode))


def stays_inside(query: Query, *, ndots: bool) -> bool:
    """Tell whether a name without a dot is not passed on, since the user chose `ndots` himself.

    Source: moby, `serveDNS`: by default (ndots:0) such names are passed on.
    """
    return ndots and query.kind in {"A", "AAAA"} and "." not in query.name


def renumbered(packet: bytes, number: int) -> bytes:
    """The same message with another id."""
    return number.to_bytes(2, "big") + packet[2:]


def number_of(packet: bytes) -> int:
    """The id of a message."""
    return int.from_bytes(packet[:2], "big")


def verdict(query: Query, packet: bytes) -> str | None:
    """The code of a name server's answer (`NOERROR`, `NXDOMAIN`, …); None if it is no answer.

    An answer repeats the question. A failure may leave it out: some servers do.
    """
    if len(packet) < _HEADER:
        return None
    buffer = DNSBuffer(packet)
    header = DNSHeader.parse(buffer)
    if not header.qr:
        return None
    rcode = str(RCODE.get(header.rcode))
    if header.q == 0:
        return None if rcode == "NOERROR" and not header.tc else rcode
    try:
        question = DNSQuestion.parse(buffer)
    except Exception:  # noqa: BLE001 - a broken packet breaks the library in many ways
        return None
    return rcode if _same(question, query.question) else None


def readings(name: str) -> Iterator[tuple[str, str]]:
    """What a name with dots can mean, the best first: a name, and a network's or none.

    Docker allows dots in both, so `a.b.c` is `a.b.c` in any network, `a.b` in the network `c`,
    or `a` in the network `b.c`. Source: moby, `Sandbox.ResolveName`.
    """
    yield name, ""
    for at in range(len(name) - 1, -1, -1):
        if name[at] == ".":
            yield name[:at], name[at + 1 :]


def _records(query: Query, view: View) -> list[Any] | None:
    if not query.name:
        return None
    if query.kind == "PTR":
        address = _reversed(query.name)
        name = address and view.name_of(address)
        return [_record(query, name)] if name else None
    if query.kind not in {"A", "AAAA", "MX"}:
        return None
    addresses = list(view.addresses(query.name))
    if not addresses:
        return None
    random.shuffle(addresses)
    wanted = _VERSIONS.get(query.kind)
    return [_record(query, str(each)) for each in addresses if each.version == wanted]


def _record(query: Query, value: str) -> Any:
    data = {"A": A, "AAAA": AAAA}.get(query.kind, PTR)(value)
    return RR(query.question.qname, query.question.qtype, ttl=TTL, rdata=data)


def _reversed(name: str) -> Address | None:
    """The address in `2.0.18.172.in-addr.arpa`, or in 32 digits before `.ip6.arpa`."""
    if name.endswith(_REVERSE6):
        digits = name.removesuffix(_REVERSE6)[::-1]
        return IPv6Address(int(digits[::2], 16)) if _DIGITS6.fullmatch(digits) else None
    if not name.endswith(_REVERSE):
        return None
    try:
        return IPv4Address(".".join(reversed(name.removesuffix(_REVERSE).split("."))))
    except AddressValueError:
        return None


def _pack(header: Any, question: Any, records: Sequence[Any] = (), **flags: int) -> bytes:
    flags = {"qr": 1, "rd": header.rd, "cd": header.cd, "ra": 1} | flags
    made = DNSHeader(id=header.id, bitmap=0, **flags)
    return bytes(DNSRecord(made, questions=[question], rr=list(records)).pack())


def _without_question(header: Any, rcode: int) -> bytes:
    made = DNSHeader(id=header.id, bitmap=0, qr=1, opcode=header.opcode, rd=header.rd, rcode=rcode)
    return bytes(DNSRecord(made).pack())


def _text(labels: Sequence[bytes]) -> str:
    plain = all(label.isascii() and b"." not in label for label in labels)
    return b".".join(labels).decode("ascii").lower() if plain else ""


def _same(one: Any, other: Any) -> bool:
    return bool(
        one.qname == other.qname and one.qtype == other.qtype and one.qclass == other.qclass
    )


def _room(buffer: Any, header: Any) -> int:
    """Bytes of a datagram, from the EDNS record behind the question, if there is one."""
    try:
        for _ in range(header.a + header.auth + header.ar):
            record = RR.parse(buffer)
            if record.rtype == _OPT:
                return max(_SMALLEST, int(record.rclass))
    except Exception:  # noqa: BLE001 - what follows the question is the next server's business
        return _SMALLEST
    return _SMALLEST

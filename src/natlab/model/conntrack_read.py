"""Conntrack entries from what others hand out: `conntrack -L` lines, netlink values.

Source of the text form: libnetfilter_conntrack, conntrack/snprintf_default.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from natlab.errors import UsageError
from natlab.model.conntrack import STATUS_BITS, ConntrackEntry, Tuple

PROTOCOLS: Final = {
    1: "icmp",
    6: "tcp",
    17: "udp",
    33: "dccp",
    58: "icmpv6",
    132: "sctp",
    136: "udplite",
}
TCP_STATES: Final = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
)
_FAMILY: Final = re.compile(r"^(?:ipv4|ipv6)\s+\d+\s+")
_HEAD: Final = re.compile(
    r"^(?P<proto>\S+)\s+(?P<number>\d+)(?:\s+(?P<timeout>\d+))?(?:\s+(?P<state>[A-Z_0-9]+))?\s+(?=src=)"
)
_FLAGS: Final = {"[ASSURED]": "assured", "[OFFLOAD]": "offload", "[HW_OFFLOAD]": "hw_offload"}
_UNREPLIED: Final = "[UNREPLIED]"
_SIDES: Final = 2


def parse(line: str) -> ConntrackEntry:
    """Read one line of `conntrack -L` (or `-o extended`, or /proc/net/nf_conntrack).

    Words that are not understood are ignored; NAT status is derived from the tuples.

    Raises:
        UsageError: The line is not a conntrack entry.
    """
    text = _FAMILY.sub("", line.strip())
    head = _HEAD.match(text)
    if head is None:
        raise UsageError(f"not a line of `conntrack -L`: {line.strip()!r}")
    words = text[head.end() :].split()
    sides = _sides(words)
    if len(sides) != _SIDES:
        raise UsageError(f"a conntrack line has two tuples, this one {len(sides)}: {text!r}")
    try:
        return _entry(head, words, sides)
    except (KeyError, ValueError):
        raise UsageError(f"a tuple of this conntrack line is not readable: {text!r}") from None


def parse_list(text: str) -> tuple[ConntrackEntry, ...]:
    """Read the whole output of `conntrack -L`, without its closing line of statistics.

    Raises:
        UsageError: Another line is not a conntrack entry.
    """
    lines = (line for line in text.splitlines() if line.strip())
    return tuple(parse(line) for line in lines if "flow entries have been shown" not in line)


def from_nfct(attrs: Mapping[str, Any]) -> ConntrackEntry:
    """Make an entry from plain values, as a ctnetlink message holds them.

    Args:
        attrs: `orig` and `reply`: mappings with `src`, `dst` and, where the protocol has
            them, `sport`, `dport`, or `type`, `code`, `id`. `proto`: the protocol number.
            Optional: `status` (the kernel's bits), `timeout` (s), `tcp_state` (number or
            name), `mark`, `zone`, `use`, and `packets` and `bytes` as (original, reply).

    Raises:
        UsageError: A needed value is missing or not valid.

    Source: uapi nfnetlink_conntrack.h (CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_STATUS, …).
    """
    try:
        number = int(attrs["proto"])
        proto = PROTOCOLS.get(number, "unknown")
        original, reply = _tuple(attrs["orig"], proto), _tuple(attrs["reply"], proto)
    except KeyError as missing:
        raise UsageError(f"a conntrack message lacks {missing}: give orig, reply, proto") from None
    return ConntrackEntry(
        original=original,
        reply=reply,
        proto=proto,
        number=number,
        state=_state(attrs.get("tcp_state")),
        status=status_names(attrs.get("status", 0)),
        timeout=attrs.get("timeout"),
        packets=attrs.get("packets"),
        bytes=attrs.get("bytes"),
        mark=attrs.get("mark"),
        zone=attrs.get("zone") or None,
        use=attrs.get("use"),
    )


def status_names(bits: int) -> frozenset[str]:
    """Return the names of the status bits that are set, leaving out those nobody looks at."""
    return frozenset(name for name, bit in STATUS_BITS.items() if bits & bit)


def _entry(head: re.Match[str], words: list[str], sides: list[dict[str, str]]) -> ConntrackEntry:
    proto = head["proto"]
    original, reply = (_tuple_of_words(side, proto) for side in sides)
    status = {_FLAGS[word] for word in words if word in _FLAGS}
    if _UNREPLIED not in words:
        status.add("seen_reply")
    entry = ConntrackEntry(
        original=original,
        reply=reply,
        proto=proto,
        number=int(head["number"]),
        state=head["state"],
        timeout=None if head["timeout"] is None else int(head["timeout"]),
        packets=_pair(sides, "packets"),
        bytes=_pair(sides, "bytes"),
        mark=_number(sides[1], "mark"),
        zone=_number(sides[1], "zone"),
        use=_number(sides[1], "use"),
    )
    status |= {name for name, found in (("src_nat", entry.snat), ("dst_nat", entry.dnat)) if found}
    return replace(entry, status=frozenset(status))


def _sides(words: Iterable[str]) -> list[dict[str, str]]:
    """Sort `name=value` words by tuple; each `src=` begins one."""
    sides: list[dict[str, str]] = []
    for name, equals, value in (word.partition("=") for word in words):
        if name == "src":
            sides.append({})
        if equals and sides:
            sides[-1][name] = value
    return sides


def _tuple_of_words(side: Mapping[str, str], proto: str) -> Tuple:
    names = ("sport", "dport", "type", "code", "id")
    numbers = {name: int(side[name]) for name in names if name in side}
    return _tuple({"src": side["src"], "dst": side["dst"], **numbers}, proto)


def _pair(sides: list[dict[str, str]], name: str) -> tuple[int, int] | None:
    if not all(name in side for side in sides):
        return None
    return int(sides[0][name]), int(sides[1][name])


def _number(side: Mapping[str, str], name: str) -> int | None:
    return int(side[name]) if name in side else None


def _tuple(values: Mapping[str, Any], proto: str) -> Tuple:
    return Tuple(
        values["src"],
        values["dst"],
        values.get("sport"),
        values.get("dport"),
        proto,
        values.get("type"),
        values.get("code"),
        values.get("id"),
    )


def _state(value: int | str | None) -> str | None:
    if not isinstance(value, int):
        return value
    return TCP_STATES[value] if 0 <= value < len(TCP_STATES) else f"STATE_{value}"

"""The left side of a condition: which part of a packet, its connection or its way is looked at."""

from __future__ import annotations

from natlab.model.nft_words import Words

_HEADERS = frozenset(
    {
        *("ip", "ip6", "tcp", "udp", "udplite", "sctp", "dccp", "th", "icmp", "icmpv6", "igmp"),
        *("ether", "arp", "vlan", "esp", "ah", "comp", "gre", "meta", "rt", "socket", "osf"),
    }
)
_SINGLE = frozenset(
    {
        *("iifname", "oifname", "iif", "oif", "iifgroup", "oifgroup", "iiftype", "oiftype"),
        *("ibrname", "obrname", "mark", "pkttype", "skuid", "skgid", "cpu", "rtclassid"),
    }
)
_ARITHMETIC = ("&", "|", "^", "<<", ">>")


def take_key(words: Words) -> str | None:
    """Take a key with its concatenations and its mask; None if the next words are not one."""
    taken = _field(words)
    while taken and words.peek() == ".":
        taken += [*words.take(1), *_field(words)]
    while taken and words.peek() in _ARITHMETIC:
        taken += words.take(2)
    return " ".join(taken) or None


def _field(words: Words) -> list[str]:
    first = words.peek()
    if first in _SINGLE or first.startswith("@"):
        return words.take(1)
    if first == "ct":
        return _connection(words)
    if first == "fib":
        return _route_lookup(words)
    if first == "tcp" and words.peek(1) == "option":
        return words.take(3 if words.peek(3) in ("exists", "missing") else 4)
    return words.take(2) if first in _HEADERS and words.left > 1 else []


def _connection(words: Words) -> list[str]:
    if words.peek(1) == "count":
        return []
    if words.peek(1) not in ("original", "reply"):
        return words.take(2)
    return words.take(4 if words.peek(2) in ("ip", "ip6") else 3)


def _route_lookup(words: Words) -> list[str]:
    taken = words.take(2)
    while words.peek() == ".":
        taken += words.take(2)
    return taken + words.take(1)

"""Conditions on a transport header in iptables' words: ports, TCP flags, ICMP types."""

from __future__ import annotations

import re
from collections.abc import Sequence

from natlab.model.ruleset import Match

_HIGHEST_PORT = 65535
_PORT_HEADERS = ("tcp", "udp", "udplite", "sctp", "dccp")
_PORT_KEYS = {"sport": "spt", "dport": "dpt"}
_FLAG_BITS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
_ICMP_TYPES = {
    "echo-reply": 0,
    "destination-unreachable": 3,
    "source-quench": 4,
    "redirect": 5,
    "echo-request": 8,
    "router-advertisement": 9,
    "router-solicitation": 10,
    "time-exceeded": 11,
    "parameter-problem": 12,
    "timestamp-request": 13,
    "timestamp-reply": 14,
    "info-request": 15,
    "info-reply": 16,
    "address-mask-request": 17,
    "address-mask-reply": 18,
}


def header_of(match: Match) -> str | None:
    """The header ("tcp", "udp", "icmp" …) whose conditions iptables tells in one go, or None."""
    header, _, field = match.key.partition(" ")
    if header in _PORT_HEADERS and field in _PORT_KEYS and _ports(match) is not None:
        return header
    if match.key == "tcp flags" and _flags(match) is not None:
        return header
    is_multiport = header in _PORT_HEADERS and field in _PORT_KEYS and _multiport(match) is not None
    if is_multiport:
        return "multiport"
    return "icmp" if match.key == "icmp type" and _icmp_type(match) is not None else None


def header_texts(run: Sequence[Match]) -> list[str]:
    """Tell conditions on one header, which stand side by side in a rule."""
    if not run:
        return []
    header = header_of(run[0])
    if header == "multiport":
        return [text for match in run if (text := _multiport(match))]
    if header == "icmp":
        return [text for match in run if (text := _icmp_type(match))]
    told = [_flags(match) if match.key == "tcp flags" else _ports(match) for match in run]
    return [" ".join([header or "", *(text for text in told if text)])]


def _ports(match: Match) -> str | None:
    """`dpt:80`, `dpts:1:100`, `dpt:!80` (libxt_tcp's print_ports)."""
    word = _PORT_KEYS[match.key.partition(" ")[2]]
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", match.value)
    if found is None or match.op == "!":
        return None
    low, high = int(found[1]), int(found[2] or found[1])
    bounds = {
        ">": (low + 1, _HIGHEST_PORT),
        ">=": (low, _HIGHEST_PORT),
        "<": (0, high - 1),
        "<=": (0, high),
    }
    low, high = bounds.get(match.op, (low, high))
    sign = "!" if match.op == "!=" else ""
    return f"{word}:{sign}{low}" if low == high else f"{word}s:{sign}{low}:{high}"


def _multiport(match: Match) -> str | None:
    """`multiport dports 80,443:500` (libxt_multiport), for a set of ports and ranges."""
    is_set = re.fullmatch(r"\{ \d+(-\d+)?(, \d+(-\d+)?)* \}", match.value)
    if is_set is None or match.op not in ("==", "!="):
        return None
    sign = " !" if match.op == "!=" else ""  # iptables, too, prints two spaces before the `!`
    ports = ",".join(value.replace("-", ":") for value in match.values)
    return f"multiport {match.key.partition(' ')[2]}s {sign}{ports}"


def _flags(match: Match) -> str | None:
    """`flags:0x17/0x02`: the bits looked at, and those of them that must be set (libxt_tcp)."""
    wanted, _, looked_at = match.value.partition(" / ")
    names = (wanted.split(","), looked_at.split(",") if looked_at else wanted.split(","))
    if not all(name in _FLAG_BITS for part in names for name in part):
        return None
    compare, mask = (sum(_FLAG_BITS[name] for name in part) for part in names)
    sign = ""
    if match.op == "!":
        compare = 0
    elif match.op == "!=":
        sign, mask = "!", mask if looked_at else 0xFF
    elif match.op != "==" or (not looked_at and "," in wanted):
        return None  # "any of these bits": iptables has no word for it
    return f"flags:{sign}0x{mask:02X}/0x{compare:02X}"


def _icmp_type(match: Match) -> str | None:
    """`icmptype 8` (libipt_icmp)."""
    number = _ICMP_TYPES.get(match.value, match.value)
    if match.op not in ("==", "!=") or not str(number).isdigit():
        return None
    return f"icmp !type {number}" if match.op == "!=" else f"icmptype {number}"

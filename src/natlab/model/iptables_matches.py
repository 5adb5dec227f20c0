"""Conditions in iptables' words: what it prints after the columns (libxt_*.c, their `print`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from natlab.model.iptables_headers import header_of, header_texts
from natlab.model.ruleset import Match

_STATES = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED")
_STATUSES = ("EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED")
_ORIGINAL = {
    "ct original ip saddr": "ctorigsrc",
    "ct original ip daddr": "ctorigdst",
    "ct original proto-src": "ctorigsrcport",
    "ct original proto-dst": "ctorigdstport",
}
_LIMIT = re.compile(r"limit rate (\d+)/(second|minute|hour|day)(?: burst (\d+) packets)?")
_PERIODS = {"second": "sec", "minute": "min"}
_DEFAULT_BURST = 5


def match_texts(matches: Sequence[Match], limits: Iterable[str] = ()) -> list[str]:
    """Tell conditions in the rule's order, then its rate limits.

    Conditions on one protocol's header that stand side by side are told together, as iptables
    does: `tcp spt:80 dpts:1024:65535`. What iptables has no word for is told in nft's.
    """
    texts: list[str] = []
    run: list[Match] = []
    for match in matches:
        if run and header_of(match) != header_of(run[0]):
            texts += header_texts(run)
            run = []
        if header_of(match) is not None:
            run.append(match)
        elif text := _told(match):
            texts.append(text)
    return [*texts, *header_texts(run), *map(_limit, limits)]


def nft_words(match: Match) -> str:
    """A condition as nft writes it."""
    return " ".join([match.key, *([] if match.op == "==" else [match.op]), match.value])


def _told(match: Match) -> str:
    if match.key == "meta nfproto" and match.value == "ipv4":
        return ""  # true of every packet that iptables sees
    tell = _TELLERS.get(match.key.partition(" & ")[0])
    told = tell(match) if tell is not None else None
    return nft_words(match) if told is None else told


def _negated(match: Match, sign: str) -> str | None:
    return {"==": "", "!=": sign}.get(match.op)


def _address_type(match: Match) -> str | None:
    sign = _negated(match, "!")
    if sign is None or match.value.startswith("@"):
        return None
    side = "src" if "saddr" in match.key else "dst"
    return f"ADDRTYPE match {side}-type {sign}{','.join(match.values).upper()}"


def _range(match: Match) -> str | None:
    sign = _negated(match, "! ")
    is_range = "-" in match.value and match.value[0] not in "{@" and "&" not in match.key
    if sign is None or not is_range:
        return None
    return f"{'source' if match.key == 'ip saddr' else 'destination'} IP range {sign}{match.value}"


def _state(match: Match) -> str | None:
    sign = _negated(match, "! ")
    found = {value.upper() for value in match.values}
    if sign is None or not found.issubset(_STATES):
        return None
    return f"{sign}ctstate {','.join(s for s in _STATES if s in found)}"


def _status(match: Match) -> str | None:
    found = {value.upper().replace("-", "_") for value in match.values}
    sign = {"==": "", "!": "! "}.get(match.op)
    if sign is None:
        return None
    if found in ({"DNAT"}, {"SNAT"}):
        return f"{sign}ctstate {found.pop()}"
    if not found.issubset(_STATUSES):
        return None
    return f"{sign}ctstatus {','.join(s for s in _STATUSES if s in found)}"


def _original(match: Match) -> str | None:
    sign = _negated(match, "! ")
    is_single = match.value[:1] not in ("{", "@") and "-" not in match.value
    return f"{sign}{_ORIGINAL[match.key]} {match.value}" if sign is not None and is_single else None


def _mark(match: Match) -> str | None:
    sign = _negated(match, "! ")
    mask = match.key.partition(" & ")[2]
    numbers = [match.value, *([mask] if mask else [])]
    if sign is None or not all(re.fullmatch(r"0x[0-9a-f]+|0|[1-9]\d{0,9}", n) for n in numbers):
        return None
    return f"mark match {sign}{'/'.join(hex(int(n, 0)) for n in numbers)}"


def _packet_type(match: Match) -> str | None:
    sign = {"==": "=", "!=": "!="}.get(match.op)
    return None if sign is None or match.value.startswith("{") else f"PKTTYPE {sign} {match.value}"


def _limit(text: str) -> str:
    found = _LIMIT.fullmatch(text)
    if found is None:
        return text
    period = _PERIODS.get(found[2], found[2])
    return f"limit: avg {found[1]}/{period} burst {found[3] or _DEFAULT_BURST}"


_TELLERS: dict[str, Callable[[Match], str | None]] = {
    "fib saddr type": _address_type,
    "fib daddr type": _address_type,
    "ip saddr": _range,
    "ip daddr": _range,
    "ct state": _state,
    "ct status": _status,
    "meta mark": _mark,
    "mark": _mark,
    "pkttype": _packet_type,
    "meta pkttype": _packet_type,
    **dict.fromkeys(_ORIGINAL, _original),
}

"""One rule as iptables' columns: what has a column of its own goes there, the rest into words."""

from __future__ import annotations

from natlab.model.iptables_layout import ANY_ADDRESS, ANY_INTERFACE, Row
from natlab.model.iptables_matches import match_texts
from natlab.model.iptables_targets import target_of
from natlab.model.ruleset import Match, Raw, Rule

_INTERFACES = {
    "iifname": "in_interface",
    "iif": "in_interface",
    "oifname": "out_interface",
    "oif": "out_interface",
}
_ADDRESSES = {"ip saddr": "source", "ip daddr": "destination"}
_EMPTY = {
    "in_interface": ANY_INTERFACE,
    "out_interface": ANY_INTERFACE,
    "source": ANY_ADDRESS,
    "destination": ANY_ADDRESS,
    "protocol": "all",
    "options": "--",
}
_NOT_A_FRAGMENT = ("ip frag-off & 8191", "ip frag-off & 0x1fff")

# iptables -n names only the protocols that libxtables knows by itself (xtables_chain_protos).
_PROTOCOLS = {
    "ipv6-icmp": "icmpv6",
    "igmp": "2",
    "ipip": "4",
    "dccp": "33",
    "gre": "47",
    "comp": "108",
}
_IMPLY_A_PROTOCOL = ("tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "esp", "ah")


def row_of(rule: Rule) -> Row:
    """Lay a rule out as iptables does.

    A condition that its column cannot hold (a set, a range, a second one of its kind) is told in
    words after the columns, as is everything that iptables has no column for.
    """
    columns = dict(_EMPTY)
    told: list[Match] = []
    for match in rule.matches:
        placed = _column(match)
        if placed is None or columns[placed[0]] not in (_EMPTY[placed[0]], placed[1]):
            told.append(match)
        else:
            columns[placed[0]] = placed[1]
    target, words = target_of(rule.statements)
    comment = [f"/* {rule.comment} */"] if rule.comment is not None else []
    extras = [*match_texts(told, _limits(rule)), *comment, *words]
    goto = "[goto] " if rule.verdict is not None and rule.verdict.kind == "goto" else ""
    text = goto + "".join(f" {extra}" for extra in extras)
    columns["protocol"] = _protocol_of(columns["protocol"], told)
    return Row(**columns, target=target, extras=text, counter=rule.counter)


def _column(match: Match) -> tuple[str, str] | None:
    """The column that a condition fills and its text, or None if it has none or does not fit."""
    if match.key in _NOT_A_FRAGMENT and match.value == "0" and match.op in ("==", "!="):
        return "options", "!f" if match.op == "==" else "-f"
    if match.op not in ("==", "!=") or match.value.startswith(("{", "@")):
        return None
    sign = "!" if match.op == "!=" else ""
    if match.key in _INTERFACES:
        return _INTERFACES[match.key], sign + _interface(match.value)
    if match.key in ("meta l4proto", "ip protocol"):
        return "protocol", sign + _PROTOCOLS.get(match.value, match.value)
    address, _, mask = match.key.partition(" & ")
    if address in _ADDRESSES and "-" not in match.value:
        return _ADDRESSES[address], f"{sign}{match.value}{'/' if mask else ''}{mask}"
    return None


def _interface(name: str) -> str:
    return f"{name[:-1]}+" if name.endswith("*") else name


def _protocol_of(column: str, told: list[Match]) -> str:
    """The protocol column: the rule's own, or the one that a condition on its header implies."""
    implied = (match.key.partition(" ")[0] for match in told)
    found = next((name for name in implied if name in _IMPLY_A_PROTOCOL), "all")
    return _PROTOCOLS.get(found, found) if column == _EMPTY["protocol"] else column


def _limits(rule: Rule) -> list[str]:
    return [s.text for s in rule.statements if isinstance(s, Raw) and s.text.startswith("limit ")]

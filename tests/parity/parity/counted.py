"""Which rules counted a packet, said in one way for Docker's tables and for natlab's."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from dataclasses import dataclass

from natlab.model.iptables_layout import Row
from natlab.model.iptables_row import row_of
from natlab.model.iptables_view import place_of
from natlab.model.ruleset import Chain, Table
from parity.sides import Side

_ANSWERS = re.compile(r"ctstate (RELATED,ESTABLISHED|ESTABLISHED,RELATED)|spt:")
"""Rules for answers: what they count depends on which of them stands first, and decides nothing."""


@dataclass(frozen=True)
class Counted:
    """The rules that decided something, without the chains in which they stand."""

    nat: tuple[str, ...] = ()
    filter: tuple[str, ...] = ()


def counters(side: Side) -> dict[tuple[str, str], int]:
    """Packets by (nat or filter, rule), of every rule that rewrites, accepts or drops."""
    found: Counter[tuple[str, str]] = Counter()
    bridges = _names_of_bridges(side)
    for table, chain, rule in side.host.ruleset().rules():
        if rule.counter is None or rule.is_policy_counter:
            continue
        row = _one_stage(row_of(rule))
        if row.target not in ("ACCEPT", "DROP", "DNAT", "SNAT", "MASQUERADE", "REJECT"):
            continue
        kind = _kind(table, chain)
        words = [row.target, row.protocol, row.in_interface, row.out_interface]
        text = " ".join([*words, row.source, row.destination, row.extras.strip()])
        text = re.sub(r"\b(tcp|udp) (dpt|spt)", r"\2", " ".join(text.split()))
        for bridge, network in bridges.items():
            text = text.replace(bridge, network)
        if not _ANSWERS.search(text):
            found[kind, text] += rule.counter.packets
    return found


def _one_stage(row: Row) -> Row:
    """Docker drops between two networks in two stages, of which the second names no way in."""
    between = row.target == "DROP" and "*" not in (row.in_interface, row.out_interface)
    if between and row.in_interface != row.out_interface:
        return dataclasses.replace(row, in_interface="*")
    return row


def _kind(table: Table, chain: Chain) -> str:
    if chain.hook is not None:
        return place_of(chain) or ""
    bases = [base for base in table.chains if base.is_base and chain in table.reachable(base)]
    return next((kind for base in bases if (kind := place_of(base))), "")


def _names_of_bridges(side: Side) -> dict[str, str]:
    """The bridges that are named after a network's number, and that network's name."""
    with side.api() as client:
        return {f"br-{network['Id'][:12]}": network["Name"] for network in client.api.networks()}


def difference(before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]) -> Counted:
    """The rules that counted between two looks."""
    grew = sorted(key for key, packets in after.items() if packets > before.get(key, 0))
    return Counted(
        nat=tuple(text for kind, text in grew if kind == "nat"),
        filter=tuple(text for kind, text in grew if kind in ("filter", "raw")),
    )

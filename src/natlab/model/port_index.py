"""Indexes: with many published ports a packet finds its rule without passing the others.

A packet passes the rules of a chain one after the other, so the thousandth port would be slower
than the first. From the thirty-third on natlab therefore puts each rule into a small chain of its
own, and a verdict map leads there by what tells the ports apart. The rules themselves are the
same, each with its counter; the iptables view prints them where the map is looked up.

    chain DOCKER { meta l4proto . th dport vmap @ports; … the first rules, as Docker has them }
    map ports { type inet_proto . inet_service : verdict; elements = { tcp . 8080 : jump … } }
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from natlab.model.addresses import Address
from natlab.model.rule_spec import FAMILIES, TABLE, Entry, Expr, Family, RuleSpec, field, meta, rule
from natlab.model.ruleset import Chain, Rule, Table

FEW: Final = 32
"""So many ports are published by rules that stand in Docker's own chains."""

_DPORT: Final = field("th", "dport")
_L4PROTO: Final = meta("l4proto")
_ADDRESS: Final = {"ip": "ipv4_addr", "ip6": "ipv6_addr"}


@dataclass(frozen=True)
class Index:
    """A verdict map that leads from a chain to smaller ones.

    Attributes:
        name: The map's name, and the beginning of the smaller chains' names.
        chain: Where it is looked up.
        address: Whose address its keys begin with, if any: `daddr` or `saddr`.
        at: The end of the chain where it is looked up.
    """

    name: str
    chain: str
    address: str | None = None
    at: Literal["top", "end"] = "end"

    def entry(self, *key: str | int | Address) -> Entry:
        """The entry of a key: the address, if keys have one, protocol and port."""
        plain = tuple(part if isinstance(part, int) else str(part) for part in key)
        return Entry(self.name, plain, "-".join(map(str, (self.name, *plain))))

    def lookup(self, family: Family = "ip") -> RuleSpec:
        """The rule that looks a packet up. Equivalent to: `meta l4proto . th dport vmap @NAME`."""
        address = [] if self.address is None else [field(family, self.address)]
        concat = f'{{"concat":[{",".join([*address, _L4PROTO, _DPORT])}]}}'
        vmap = f'{{"vmap":{{"data":"@{self.name}","key":{concat}}}}}'
        return rule(self.chain, vmap, at=self.at, family=family)

    def definition(self, family: Family = "ip") -> Expr:
        """The command that makes the map; it is fine if it stands already."""
        address = [] if self.address is None else [_ADDRESS[family]]
        types = [*address, "inet_proto", "inet_service"]
        place = {"family": family, "table": TABLE, "name": self.name}
        return {"add": {"map": {**place, "type": types, "map": "verdict"}}}


PORTS: Final = Index("ports", "DOCKER")
"""DNAT rules by the host's port, whatever its address; below what is left to the proxy."""

DESTINATIONS: Final = Index("destinations", "DOCKER-FORWARD", "daddr")
"""The rules that let published ports through, by the container's address and port.

Below those for answers, which are most of the packets.
"""

HAIRPINS: Final = Index("hairpins", "POSTROUTING", "saddr", at="top")
"""Masquerading for containers that reach themselves, by address and port; above the policy."""

INDEXES: Final = {index.name: index for index in (PORTS, DESTINATIONS, HAIRPINS)}


def lookups(specs: Iterable[RuleSpec]) -> list[RuleSpec]:
    """The lookup rules that indexed rules need, each once."""
    wanted = ((s.family, s.entry.map) for s in specs if s.entry and s.is_indexed)
    return [INDEXES[name].lookup(family) for family, name in dict.fromkeys(wanted)]


def groundwork(specs: Iterable[RuleSpec]) -> Iterator[Expr]:
    """The commands to be given before those that add rules: maps, chains, elements."""
    entries = dict.fromkeys((s.family, s.entry) for s in specs if s.entry and s.is_indexed)
    maps = dict.fromkeys((family, entry.map) for family, entry in entries)
    yield from (INDEXES[name].definition(family) for family, name in maps)
    for family, entry in entries:
        yield {"add": {"chain": _chain(family, entry)}}
        yield {"add": {"element": _element(family, entry)}}


def clearing(family: Family, entry: Entry) -> Iterator[Expr]:
    """The commands that take away an entry whose last rule is gone."""
    yield {"delete": {"element": _element(family, entry)}}
    yield {"delete": {"chain": _chain(family, entry)}}


def led(table: Table, rule: Rule) -> tuple[str, ...]:
    """The smaller chains to which a lookup rule leads, as they stand; none for any other rule."""
    index = _index(table, rule)
    if index is None:
        return ()
    names = {name for name in table.targets(rule) if name.startswith(f"{index.name}-")}
    return tuple(chain.name for chain in table.chains if chain.name in names)


def spread(table: Table, chain: Chain) -> tuple[Rule, ...]:
    """The rules of a chain in their order, those of the smaller chains instead of a lookup."""
    rules: list[Rule] = []
    for one in chain.rules:
        if _index(table, one) is None:
            rules.append(one)
        smaller = (table.chain(name) for name in led(table, one))
        rules += (rule for found in smaller if found for rule in found.rules)
    return tuple(rules)


def _index(table: Table, rule: Rule) -> Index | None:
    """The index that a rule looks packets up in."""
    _, is_lookup, name = rule.text.rpartition(" vmap @")
    ours = is_lookup and table.family in FAMILIES and table.name == TABLE
    return INDEXES.get(name) if ours else None


def _chain(family: Family, entry: Entry) -> Expr:
    return {"family": family, "table": TABLE, "name": entry.chain}


def _element(family: Family, entry: Entry) -> Expr:
    leads: list[Any] = [{"concat": list(entry.key)}, {"jump": {"target": entry.chain}}]
    return {"family": family, "table": TABLE, "name": entry.map, "elem": [leads]}

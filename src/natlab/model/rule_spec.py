"""One nftables rule to be, as a value that is written and compared as text.

A rule is an nftables JSON expression list (libnftables-json(5)) with the chain it belongs to and
the end of the chain it joins. Expressions are written here as libnftables reads them, so that a
rule is encoded once.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from natlab.model.addresses import Address, Network

Family: TypeAlias = Literal["ip", "ip6"]
FAMILIES: Final[tuple[Family, ...]] = ("ip", "ip6")
TABLE: Final = "natlab"
"""A host's one table; a network with IPv6 has a second one of that name, in the family ip6."""

Expr = dict[str, Any]
_IPV4: Final = 4


class Entry(NamedTuple):
    """Where an index leads: its map, the key there, and the chain of the rules for that key.

    See `natlab.model.port_index`.
    """

    map: str
    key: tuple[str | int, ...]
    chain: str


class RuleSpec(NamedTuple):
    """One rule to be: its chain, what it says, and the end of the chain where it is put."""

    chain: str
    text: str
    """Its expressions as `written` writes them, which is what libnftables reads too."""
    at: Literal["top", "end"] = "end"
    entry: Entry | None = None
    """How an index finds it; None for a rule that packets find by passing the others."""
    family: Family = "ip"

    @property
    def key(self) -> str:
        """What it says, in a form that is the same for the rule that the kernel lists."""
        return placed(self.family, self.chain, self.text)

    @property
    def indexed(self) -> RuleSpec:
        """The same rule in the chain of its entry; itself, if it has none."""
        return self if self.entry is None else self._replace(chain=self.entry.chain)

    @property
    def is_indexed(self) -> bool:
        """Whether it stands in the chain of its entry."""
        return self.entry is not None and self.entry.chain == self.chain

    @property
    def exprs(self) -> list[Expr]:
        """Its expressions."""
        exprs: list[Expr] = json.loads(self.text)
        return exprs

    @property
    def add_command(self) -> str:
        """The libnftables command that adds it, as JSON."""
        verb = "insert" if self.at == "top" else "add"
        head = f'"family":"{self.family}","table":"{TABLE}","chain":"{self.chain}"'
        return f'{{"{verb}":{{"rule":{{{head},"expr":{self.text}}}}}}}'


def rule(
    chain: str,
    *exprs: str,
    at: Literal["top", "end"] = "end",
    entry: Entry | None = None,
    family: Family = "ip",
) -> RuleSpec:
    """A rule of these expressions, each as text.

    Raises:
        ValueError: there are none.
    """
    if not exprs:
        raise ValueError(f"a rule of chain {chain} without expressions")
    return RuleSpec(chain, f"[{','.join(exprs)}]", at, entry, family)


def family_of(address: Address | Network) -> Family:
    """The family of the table for an address: `ip` or `ip6`, which is also the header's name."""
    return "ip" if address.version == _IPV4 else "ip6"


written: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""Expressions as text: names in order, no spaces. Those below are written so at once."""


def match(left: str, right: Any, op: str = "==") -> str:
    """A condition."""
    value = str(right) if isinstance(right, int) else written(right)
    return f'{{"match":{{"left":{left},"op":"{op}","right":{value}}}}}'


def meta(key: str) -> str:
    """What the kernel knows beside the packet: `iifname`, `oifname`, `l4proto`."""
    return f'{{"meta":{{"key":"{key}"}}}}'


def field(protocol: str, name: str) -> str:
    """A field of the packet, like `tcp dport`."""
    return f'{{"payload":{{"field":"{name}","protocol":"{protocol}"}}}}'


def route_type(of: str) -> str:
    """Whether an address (`daddr`, `saddr`) is this host's own. Equivalent to: `fib OF type`."""
    return f'{{"fib":{{"flags":["{of}"],"result":"type"}}}}'


def jump(target: str) -> str:
    """Go on in another chain, and come back."""
    return f'{{"jump":{{"target":"{target}"}}}}'


def prefix(network: Network) -> Expr:
    """A network as the right side of a condition."""
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}


def key(chain: str, exprs: Any, family: str = "ip") -> str:
    """A rule as text: equal for two rules of one chain that say the same."""
    return placed(family, chain, written(canonical(exprs)))


def placed(family: str, chain: str, text: str) -> str:
    """A rule's text with the place where it stands."""
    return f"{chain} {text}" if family == "ip" else f"{family} {chain} {text}"


def canonical(exprs: Any) -> Any:
    """Expressions without what the kernel counts, so that a rule compares equal to itself."""
    if isinstance(exprs, dict):
        return {key: None if key == "counter" else canonical(value) for key, value in exprs.items()}
    if isinstance(exprs, (list, tuple)):
        plain = [canonical(item) for item in exprs]
        return sorted(plain) if plain and all(isinstance(i, str) for i in plain) else plain
    return exprs

"""A ruleset as values: tables, chains and rules, as the kernel holds them.

These are what `natlab.model.nft_text.parse` returns. A rule keeps its own text beside the parts
that were understood, so nothing that a person typed is ever lost: what has no value of its own
here is a `Raw` statement.

The same values describe rules written with `nft` and rules written with `iptables`
(iptables-nft stores them in nft tables), so one question serves both spellings:

    [rule for _, chain, rule in ruleset.rules() if rule.dnat == ("172.17.0.2", 8080)]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from natlab.errors import UsageError
from natlab.model.rule_parts import Counter, Match, Raw, Statement, Translation, Verdict

__all__ = [
    "POLICY_COMMENT",
    "Chain",
    "Counter",
    "Match",
    "NamedObject",
    "Raw",
    "Rule",
    "Ruleset",
    "Statement",
    "Table",
    "Translation",
    "Verdict",
]

POLICY_COMMENT = "policy"
"""The comment of the counting rule that ends a base chain and stands for its policy's counter.

nft has no counters for a chain's policy; what iptables prints as `policy ACCEPT 3 packets,
432 bytes` is counted by a last rule `counter comment "policy"`.
"""

_JUMP = re.compile(r"\b(?:jump|goto) ([\w./-]+)")
_QUOTED = re.compile(r'"[^"]*"')
_NAMED_VMAP = re.compile(r"\bvmap @([\w./-]+)")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its text as nft prints it, and what the text says.

    `handle` is None when the listing was made without `-a`. `counter` is the rule's own counter,
    or the named one it refers to; None when nothing counts the rule's packets.
    """

    handle: int | None
    text: str
    matches: tuple[Match, ...] = ()
    counter: Counter | None = None
    statements: tuple[Statement, ...] = ()
    comment: str | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The rule's verdict (accept, drop, jump …), if it has one."""
        return next((s for s in self.statements if isinstance(s, Verdict)), None)

    @property
    def translation(self) -> Translation | None:
        """The rule's address translation (dnat, snat, masquerade, redirect), if it has one."""
        return next((s for s in self.statements if isinstance(s, Translation)), None)

    @property
    def dnat(self) -> tuple[str, int | None] | None:
        """Address and port of a DNAT to one destination; None for every other rule.

        The port is None when the rule leaves the packet's own. A DNAT to a range, or through a
        map, has no single destination: read `translation` there.
        """
        found = self.translation
        return found.destination if found is not None and found.kind == "dnat" else None

    @property
    def masquerades(self) -> bool:
        """Whether the rule rewrites the source to the address of the interface it leaves by."""
        return self.translation is not None and self.translation.kind == "masquerade"

    @property
    def is_policy_counter(self) -> bool:
        """Whether the rule is only `counter comment "policy"`."""
        bare = self.counter is not None and not self.matches and not self.statements
        return bare and self.comment == POLICY_COMMENT

    def match(self, key: str) -> Match | None:
        """The first match on `key` ("iifname", "ip saddr", "tcp dport" …), or None."""
        return next((m for m in self.matches if m.key == key), None)


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain. A base chain has a type, a hook and a priority; a regular one has none of them.

    `priority` is a number (`srcnat` is 100); None in a regular chain, or where the name of the
    priority is not known. `policy` is "accept" or "drop" in a base chain.
    """

    name: str
    handle: int | None = None
    type: str | None = None
    hook: str | None = None
    priority: int | None = None
    policy: str | None = None
    rules: tuple[Rule, ...] = ()
    comment: str | None = None

    def __post_init__(self) -> None:
        """Refuse a chain that is half a base chain."""
        if (self.type is None) != (self.hook is None):
            raise UsageError(
                f"chain {self.name} has only one of type and hook; a base chain needs both"
            )

    @property
    def is_base(self) -> bool:
        """Whether the kernel itself enters this chain, at a hook."""
        return self.hook is not None

    @property
    def policy_counter(self) -> Counter | None:
        """What reached the chain's end and met its policy, if a last rule counts it.

        That is a base chain's last rule, if it is only `counter comment "policy"`. A packet that
        an earlier rule of the chain let `return` also meets the policy, but is not counted here.
        """
        if self.is_base and self.rules and self.rules[-1].is_policy_counter:
            return self.rules[-1].counter
        return None


@dataclass(frozen=True, slots=True)
class NamedObject:
    """What a table holds beside chains: a set, map, flowtable, counter, quota or limit.

    `body` is the text inside its braces; `elements` are a set's or map's, one text each.
    """

    kind: str
    name: str
    handle: int | None = None
    body: str = ""
    elements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `managed_by_iptables` when `iptables` made it and nft warns not to touch it."""

    family: str
    name: str
    chains: tuple[Chain, ...] = ()
    objects: tuple[NamedObject, ...] = ()
    handle: int | None = None
    flags: str = ""
    managed_by_iptables: bool = False

    @property
    def title(self) -> str:
        """Family and name, as nft writes them: "ip nat"."""
        return f"{self.family} {self.name}"

    def chain(self, name: str) -> Chain | None:
        """The chain of that name (case counts), or None."""
        return next((chain for chain in self.chains if chain.name == name), None)

    def object(self, name: str) -> NamedObject | None:
        """The set, map, counter or other object of that name, or None."""
        return next((found for found in self.objects if found.name == name), None)

    def targets(self, rule: Rule) -> tuple[str, ...]:
        """Names of the chains that a rule may send a packet to, once for each mention.

        Its own `jump` or `goto`, those in its verdict map, and those in a named map it looks up.
        """
        text = _QUOTED.sub("", rule.text)
        named = (self.object(name) for name in _NAMED_VMAP.findall(text))
        texts = [text, *(element for found in named if found for element in found.elements)]
        return tuple(name for part in texts for name in _JUMP.findall(_QUOTED.sub("", part)))

    def reachable(self, chain: Chain) -> tuple[Chain, ...]:
        """The chain itself, then every chain of this table that jumps and gotos lead to from it."""
        found, waiting = {chain.name: chain}, [chain]
        while waiting:
            for rule in waiting.pop(0).rules:
                for name in self.targets(rule):
                    target = self.chain(name)
                    if target is not None and name not in found:
                        found[name] = target
                        waiting.append(target)
        return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Every table of one network namespace.

    Equivalent to: `nft -a list ruleset`.
    """

    tables: tuple[Table, ...] = ()

    def table(self, family: str, name: str) -> Table | None:
        """The table of that family ("ip", "inet" …) and name, or None."""
        return next((t for t in self.tables if (t.family, t.name) == (family, name)), None)

    def rules(self) -> Iterator[tuple[Table, Chain, Rule]]:
        """Every rule with the chain and the table it stands in, in the kernel's order."""
        for table, chain in self.chains():
            for rule in chain.rules:
                yield table, chain, rule

    def chains(self, name: str | None = None) -> Iterator[tuple[Table, Chain]]:
        """Every chain with its table; with a name, only the chains called so."""
        for table in self.tables:
            for chain in table.chains:
                if name is None or chain.name == name:
                    yield table, chain

    def base_chains(self, hook: str, type: str | None = None) -> tuple[tuple[Table, Chain], ...]:  # noqa: A002 - nft's own word for it
        """The chains that the kernel enters at a hook, first to last by priority.

        Args:
            hook: "prerouting", "input", "forward", "output", "postrouting" or "ingress".
            type: "nat", "filter" or "route"; None for all of them.
        """
        found = [
            (table, chain)
            for table, chain in self.chains()
            if chain.hook == hook and type in (None, chain.type)
        ]
        return tuple(sorted(found, key=lambda pair: pair[1].priority or 0))

    def reachable(self, chain: Chain) -> tuple[Chain, ...]:
        """The chain and all that it leads to within its table.

        Raises:
            UsageError: The chain does not stand in this ruleset.
        """
        for table, candidate in self.chains():
            if candidate is chain:
                return table.reachable(chain)
        raise UsageError(
            f"chain {chain.name} is not of this ruleset; look it up with Ruleset.chains() first"
        )

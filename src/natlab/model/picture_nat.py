"""What a host's rules say about NAT, as far as a map shows it: rewritten sources and destinations.

`nft` and `iptables` rules, of any table, read alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from natlab.model.ruleset import Chain, Rule, Ruleset, Table

_PORT_KEYS: Final = {f"{proto} dport": proto for proto in ("tcp", "udp", "sctp", "th")}
_ANY_ADDRESS: Final = {"ip6": "::"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Masquerade:
    """A rule that rewrites sources. Equivalent to: `-j MASQUERADE`, or `-j SNAT`.

    Attributes:
        source: The network whose packets it takes; None for any.
        out: The interface by which they must leave ("eth0"), or must not ("!docker0"), or None.
        to: The new source; None for that of the interface they leave by.
        chain: Where the rule stands: "ip nat POSTROUTING".
        hooks: By which hooks packets reach the rule; none if nothing leads to its chain.
    """

    source: str | None = None
    out: str | None = None
    to: str | None = None
    chain: str = "ip nat POSTROUTING"
    hooks: tuple[str, ...] = ("postrouting",)

    def says(self, *, known: bool = False) -> str:
        """The rule in words; `known` leaves the source out, where it is clear from the place."""
        words = [f"snat to {self.to}" if self.to else "masquerade"]
        if self.source is None or not known:
            words.append(self.source or "any source")
        words.append(f"out of {self.out}" if self.out else "whatever the way out")
        return " ".join(words) + unreached(self.chain, self.hooks)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A rule that rewrites destinations. Equivalent to: `docker run -p HOST_IP:HOST_PORT:TO_PORT`.

    Attributes:
        host_ip: The address of the host; 0.0.0.0 for any.
        host_port: "49153", a range such as "8000-8002", or "any".
        proto: "tcp", "udp" or "sctp"; "any" where the rule does not say.
        to: The new destination's address (or nft's text, where it is not one address).
        to_port: The new port; None where the packet keeps its own.
        chain: Where the rule stands: "ip nat DOCKER".
        hooks: By which hooks packets reach the rule; none if nothing leads to its chain.
    """

    host_ip: str = "0.0.0.0"
    host_port: str
    proto: str = "tcp"
    to: str
    to_port: int | None = None
    chain: str = "ip nat DOCKER"
    hooks: tuple[str, ...] = ("prerouting", "output")

    def says(self, *, known: bool = False) -> str:
        """The rule as `docker ps` writes it; `known` leaves out the address that it leads to."""
        host = f"[{self.host_ip}]" if ":" in self.host_ip else self.host_ip
        port = str(self.to_port or self.host_port)
        to = port if known else f"[{self.to}]:{port}" if ":" in self.to else f"{self.to}:{port}"
        return f"{host}:{self.host_port}->{to}/{self.proto}" + unreached(self.chain, self.hooks)


@dataclass(frozen=True, slots=True)
class NatRules:
    """What the rules of one node say about NAT.

    Attributes:
        published: Every rule that rewrites destinations, in the kernel's order.
        masquerades: Every rule that rewrites sources.
        forward_policy: What becomes of a packet that no rule at the hook forward decides on.
    """

    published: tuple[PublishedPort, ...]
    masquerades: tuple[Masquerade, ...]
    forward_policy: str

    def __str__(self) -> str:
        said = [rule.says() for rule in self.published]
        return "\n".join([*said, *(rule.says() for rule in self.masquerades)])


def nat_rules(ruleset: Ruleset) -> NatRules:
    """All of it at once."""
    return NatRules(published(ruleset), masquerades(ruleset), forward_policy(ruleset))


def unreached(chain: str, hooks: tuple[str, ...]) -> str:
    """What to add about a rule that no packet can reach."""
    return "" if hooks else f" (nothing leads to chain {chain.rpartition(' ')[2]})"


def forward_policy(ruleset: Ruleset) -> str:
    """Tell what becomes of a packet that no rule at the hook forward decides on.

    "drop" where one of the chains there has that policy, else "accept".
    """
    chains = ruleset.base_chains("forward", "filter")
    dropping = any(
        chain.policy == "drop" for table, chain in chains if table.family in ("ip", "inet")
    )
    return "drop" if dropping else "accept"


def masquerades(ruleset: Ruleset) -> tuple[Masquerade, ...]:
    """Every rule that rewrites sources, in the kernel's order."""
    return tuple(
        Masquerade(
            source=_equal(rule, "saddr"),
            out=_interface(rule),
            to=rule.translation.to
            if rule.translation and rule.translation.kind == "snat"
            else None,
            chain=f"{table.title} {chain.name}",
            hooks=_hooks(table, chain),
        )
        for table, chain, rule in ruleset.rules()
        if rule.translation is not None and rule.translation.kind in ("masquerade", "snat")
    )


def published(ruleset: Ruleset) -> tuple[PublishedPort, ...]:
    """Every rule that rewrites destinations, in the kernel's order, one value for each port."""
    return tuple(
        PublishedPort(
            host_ip=_equal(rule, "daddr") or _ANY_ADDRESS.get(table.family, "0.0.0.0"),
            host_port=port,
            proto=proto,
            to=to,
            to_port=to_port,
            chain=f"{table.title} {chain.name}",
            hooks=_hooks(table, chain),
        )
        for table, chain, rule in ruleset.rules()
        for to, to_port in _destination(rule)
        for port, proto in _ports(rule)
    )


def _destination(rule: Rule) -> Iterator[tuple[str, int | None]]:
    if rule.dnat is not None:
        yield rule.dnat
    elif rule.translation is not None and rule.translation.kind == "dnat":
        yield rule.translation.to or "?", None


def _ports(rule: Rule) -> Iterator[tuple[str, str]]:
    protocols = (rule.match("meta l4proto"), rule.match("ip protocol"))
    proto = next((match.value for match in protocols if match and match.op == "=="), "any")
    for match in rule.matches:
        if match.key in _PORT_KEYS and match.op == "==":
            named = _PORT_KEYS[match.key]
            yield from ((port, proto if named == "th" else named) for port in match.values)
            return
    yield "any", proto


def _equal(rule: Rule, field: str) -> str | None:
    """The address or network that a rule wants there, of either family."""
    for key in (f"ip {field}", f"ip6 {field}"):
        match = rule.match(key)
        if match is not None:
            return match.value if match.op == "==" else f"!{match.value}"
    return None


def _interface(rule: Rule) -> str | None:
    match = rule.match("oifname") or rule.match("oif")
    if match is None:
        return None
    return match.value if match.op == "==" else f"!{match.value}"


def _hooks(table: Table, chain: Chain) -> tuple[str, ...]:
    """The hooks from which packets get to a chain of a table."""
    bases = (base for base in table.chains if base.is_base)
    return tuple(base.hook or "" for base in bases if chain in table.reachable(base))

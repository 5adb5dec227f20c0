"""Which rules a network of containers needs on its host, in both families."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from natlab.model import firewall
from natlab.model.addresses import Network
from natlab.model.rule_spec import FAMILIES, Family, RuleSpec, family_of


@dataclass(frozen=True)
class NetworkRules:
    """A bridge with its subnets, and what it lets through.

    Attributes:
        bridge: The bridge's name.
        subnets: Its IPv4 subnet, and its IPv6 subnet if it has one.
        icc: Whether its containers reach each other.
        internal: Whether they are kept from the outside.
    """

    bridge: str
    subnets: tuple[Network, ...]
    icc: bool = True
    internal: bool = False

    @property
    def families(self) -> tuple[Family, ...]:
        """The families in which it has addresses."""
        return tuple(map(family_of, self.subnets))

    def masquerading(self) -> list[RuleSpec]:
        """What lets its packets leave with the host's address."""
        return [firewall.masquerade(subnet, self.bridge) for subnet in self.subnets]

    def forwarding(
        self, others: Sequence[str], *, proxy: bool, standing: Collection[str] = ()
    ) -> list[RuleSpec]:
        """What passes between it and the outside, and between it and the host's other bridges.

        Args:
            others: The other bridges.
            proxy: Whether a userland proxy stands in for ports across bridges.
            standing: The keys of the rules that are there already.
        """
        specs: list[RuleSpec] = []
        for family in self.families:
            specs += firewall.forward_network(self.bridge, family, icc=self.icc)
            specs += self._apart(others, family)
        if self.internal:
            specs += self._closed()
        if others and proxy:
            left = [s for f in self.families for s in _left((self.bridge, *others), f)]
            specs += [spec for spec in left if spec.key not in standing]
        return specs

    def every(self, others: Sequence[str]) -> list[RuleSpec]:
        """Every rule that it may have, and others because of it: for its removal."""
        lone = others if len(others) == 1 else ()
        specs = [*self.masquerading(), *self._closed()]
        for family in FAMILIES:
            specs.append(firewall.masquerade_local(self.bridge, family))
            specs += firewall.forward_network(self.bridge, family, icc=True)
            specs += firewall.forward_network(self.bridge, family, icc=False)[-1:]
            specs += self._apart(others, family)
            specs += _left((self.bridge, *lone), family)
        return specs

    def _apart(self, others: Sequence[str], family: Family) -> Iterator[RuleSpec]:
        for other in others:
            yield from firewall.isolate(self.bridge, other, family)

    def _closed(self) -> list[RuleSpec]:
        return [spec for subnet in self.subnets for spec in firewall.closed(self.bridge, subnet)]


def _left(bridges: Sequence[str], family: Family) -> Iterator[RuleSpec]:
    return (firewall.left_to_proxy(bridge, family) for bridge in bridges)

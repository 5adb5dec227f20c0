"""Which rules a container's published ports need, decided from what stands already."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from natlab.model import firewall
from natlab.model.addresses import Address
from natlab.model.port_index import FEW, PORTS, lookups
from natlab.model.publish import Published
from natlab.model.rule_spec import Expr, RuleSpec, family_of


@dataclass(frozen=True)
class Target:
    """A container on its bridge, and whether a userland proxy stands in for what no rule covers."""

    bridge: str
    address: Address
    proxy: bool

    def dnat(self, item: Published) -> RuleSpec:
        """The rule that rewrites the destination of what comes for a published port."""
        return firewall.dnat(
            self.bridge,
            item.host_ip,
            item.host_port,
            self.address,
            item.container_port,
            item.proto,
            userland_proxy=self.proxy,
        )

    def admitting(self, published: Sequence[Published]) -> list[RuleSpec]:
        """The rules that a container's port needs once, however often it is published."""
        ports = dict.fromkeys((item.container_port, item.proto) for item in published)
        specs = [firewall.accept_published(self.bridge, self.address, *port) for port in ports]
        if not self.proxy:
            specs += [firewall.hairpin(self.address, *port) for port in ports]
        return specs

    def standing_once(self, published: Sequence[Published]) -> list[RuleSpec]:
        """The rules that stand once on a host, however much is published."""
        family = family_of(self.address)
        specs = [] if self.proxy else [firewall.masquerade_local(self.bridge, family)]
        if family == "ip" and (not self.proxy or any(p.host_ip.is_loopback for p in published)):
            specs.append(firewall.loopback_guard()[1])
        return specs


def is_dnat(spec: RuleSpec) -> bool:
    """Whether a rule is of one published port only, so that it never stands for another."""
    return spec.entry is not None and spec.entry.map == PORTS.name


def wanted(
    target: Target, published: Sequence[Published], *, held: int, standing: Collection[str]
) -> tuple[list[RuleSpec], list[Expr]]:
    """The rules to add, and the chains that they need first.

    Args:
        target: Where the ports lead.
        published: What is new.
        held: How many ports of the host are published already; many are found through an index.
        standing: The keys of the rules that are there.
    """
    many = held + len(published) > FEW
    admitting = [
        spec.indexed if many else spec
        for spec in target.admitting(published)
        if spec.key not in standing and spec.indexed.key not in standing
    ]
    dnat = [target.dnat(item) for item in published]
    plain = max(FEW - held, 0)
    dnat[plain:] = [spec.indexed for spec in dnat[plain:]]
    once = [*target.standing_once(published), *lookups([*admitting, *dnat])]
    specs = [*(spec for spec in once if spec.key not in standing), *admitting, *dnat]
    chain, guard = firewall.loopback_guard()
    return specs, [chain] if guard in specs else []
